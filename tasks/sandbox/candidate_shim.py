# Owns the candidate's side: loads the untrusted program, then serves calls until the checker goes.
# Nothing here is a secret or decides anything: the program under judgement may rewrite all of it.
SOURCE, CALLS = 3, 4


def describe(error):
    names = [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
    try:
        text = str(error)[:200]
    except BaseException:
        text = ""
    return names, text.encode("utf-8", "replace").decode("utf-8")


def load(program, entry_point):
    # An empty namespace, as the published checker uses: `if __name__ == "__main__"` stays unused.
    namespace = {}
    exec(compile(program, "<program>", "exec"), namespace)
    if entry_point not in namespace:
        raise NameError("the program does not define %s" % entry_point)
    return namespace


def answer(function, request):
    number, args, kwargs = request
    try:
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            names, text = describe(error)
            return encode((number, "e", names, text, mutable(args)), False)
        return encode((number, "v", value, mutable(args)), False)
    except BaseException as error:
        return encode((number, "x", type(error).__name__ + ": " + describe(error)[1]), False)


def mutable(args):
    return tuple(a if type(a) in (list, dict, set, bytearray) else None for a in args)


def main():
    global NAMES
    program, entry_point = (str(f, "utf-8", "replace") for f in read_fields(SOURCE, 2))
    try:
        namespace = load(program, entry_point)
    except BaseException as error:
        names, text = describe(error)
        write_frame(CALLS, encode(("bad", names, text), False))
        _exit(0)
    NAMES = namespace
    write_frame(CALLS, encode(("ok",), False))
    while True:
        frame = read_frame(CALLS)
        if frame is None:
            _exit(0)
        write_frame(CALLS, answer(namespace[entry_point], decode(frame)))


main()
