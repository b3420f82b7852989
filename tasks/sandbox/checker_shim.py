# Owns the checker's side: runs the tests, with a proxy in the place of the function under test, and
# reports one verdict. No line of the candidate's program ever runs in this process.
SOURCE, CALLS, VERDICT = 3, 4, 5

EXCEPTIONS = {
    name: kind
    for name, kind in vars(sys.modules["builtins"]).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


class Stop(BaseException):
    """Ends the check with a verdict of its own; a test cannot turn it into a pass by catching it."""

    def __init__(self, letter, text):
        self.letter = letter
        self.text = text


class Proxy:
    """The function under test. Values cross; objects do not."""

    def __init__(self, name, decode_budget_s):
        self.__name__ = name
        self._budget_s = decode_budget_s
        self._stop = None
        self._calls = 0
        self._remote = None
        self._greeted = False

    def _fail(self, letter, text):
        self._stop = Stop(letter, text)
        raise self._stop

    def _receive(self):
        began = _process_time()
        try:
            frame = read_frame(CALLS)
            if frame is None:
                self._fail("D", "the program ended before it answered")
            return decode(frame, began + self._budget_s)
        except CodecError as error:
            self._fail("R", str(error))
        except MemoryError:
            self._fail("R", "a reply is too large to rebuild")
        except ConnectionError:
            self._fail("D", "the program ended before it answered")
        finally:
            self._budget_s -= _process_time() - began

    def _greet(self):
        self._greeted = True
        hello = self._receive()
        if type(hello) is tuple and hello == ("ok",):
            return
        if type(hello) is tuple and len(hello) == 3 and hello[0] == "bad":
            names, text = self._names(hello[1]), hello[2]
            self._fail("M" if "MemoryError" in names else "L", "%s: %s" % (names[0], text))
        self._fail("R", "no greeting")

    def _names(self, names):
        if type(names) is list and names and all(type(n) is str for n in names):
            return names
        self._fail("R", "a malformed exception")

    def _copy_back(self, args, after):
        if type(after) is not tuple or len(after) != len(args):
            self._fail("R", "a malformed reply")
        for old, new in zip(args, after):
            kind = type(old)
            if kind not in (list, dict, set, bytearray):
                continue
            if type(new) is not kind:
                self._fail("R", "a malformed reply")
            if kind is list or kind is bytearray:
                old[:] = new
            else:
                old.clear()
                old.update(new)

    def __call__(self, *args, **kwargs):
        if self._stop is not None:
            raise self._stop
        if not self._greeted:
            self._greet()
        number = int.from_bytes(_urandom(8), "little")
        try:
            request = encode((number, args, kwargs), True)
        except CodecError as error:
            self._fail("I", str(error))
        try:
            write_frame(CALLS, request)
        except ConnectionError:
            self._fail("D", "the program ended before it answered")
        self._calls += 1
        reply = self._receive()
        if type(reply) is not tuple or len(reply) < 3 or reply[0] != number:
            self._fail("R", "a reply to no call")
        if reply[1] == "v" and len(reply) == 4:
            self._copy_back(args, reply[3])
            return reply[2]
        if reply[1] == "e" and len(reply) == 5:
            self._copy_back(args, reply[4])
            raise self._rebuild(self._names(reply[2]), reply[3])
        if reply[1] == "x" and type(reply[2]) is str:
            self._fail("R", reply[2])
        self._fail("R", "a malformed reply")

    def _rebuild(self, names, text):
        kind = next((EXCEPTIONS[n] for n in names if n in EXCEPTIONS), RuntimeError)
        try:
            error = kind(text)
        except Exception:
            error = RuntimeError(text)
        self._remote = (error, "%s: %s" % (names[0], text))
        return error


def numpy_stand_in():
    """What the tests of HumanEval+ use of numpy: allclose on nested lists, three type names."""
    def allclose(a, b, rtol=1e-05, atol=1e-08):
        nested = (list, tuple)
        if isinstance(a, nested) and isinstance(b, nested):
            if len(a) != len(b):
                raise ValueError("shapes differ")
            return all(allclose(x, y, rtol, atol) for x, y in zip(a, b))
        if isinstance(a, nested):
            return all(allclose(x, b, rtol, atol) for x in a)
        if isinstance(b, nested):
            return all(allclose(a, y, rtol, atol) for y in b)
        return a == b or abs(a - b) <= atol + rtol * abs(b)

    numpy = type(sys)("numpy")
    numpy.allclose = allclose
    numpy.ndarray = type("ndarray", (), {})
    numpy.float64 = type("float64", (float,), {})
    numpy.float32 = type("float32", (float,), {})
    return numpy


def compile_prompt(prompt, entry_point):
    # A prompt ends with a signature, often with a docstring; without one it needs a body. One that
    # goes on into the body may end anywhere: the tests can use what stands before the function.
    before = prompt[:max(0, ("\n" + prompt).rfind("\ndef " + entry_point))]
    for text in prompt, prompt.rstrip() + "\n    pass\n":
        try:
            return compile(text, "<prompt>", "exec")
        except SyntaxError:
            pass
    return compile(before, "<prompt>", "exec")


def run_check(proxy, prompt, test, entry_point):
    namespace = {}
    exec(compile_prompt(prompt, entry_point), namespace)
    namespace["by_name"] = ByName
    namespace[entry_point] = proxy
    exec(compile(test, "<test>", "exec"), namespace)
    namespace["check"](proxy)


def judge(proxy, prompt, test, entry_point):
    """The verdict's letter and one line of detail."""
    try:
        run_check(proxy, prompt, test, entry_point)
    except Stop:
        pass
    except BaseException as error:
        if proxy._stop is None:
            if proxy._calls == 0:
                return "I", "the test failed before its first call: %s: %.150s" % (
                    type(error).__name__, error)
            if proxy._remote is not None and proxy._remote[0] is error:
                return ("M" if isinstance(error, MemoryError) else "E"), proxy._remote[1]
            if isinstance(error, AssertionError):
                return "W", "%.200s" % error
            return "E", "in the test: %s: %.150s" % (type(error).__name__, error)
    if proxy._stop is not None:
        return proxy._stop.letter, proxy._stop.text
    if proxy._calls == 0:
        return "I", "the test made no call"
    return "P", sys.version.split()[0]


def main():
    fields = read_fields(SOURCE, 5)
    token = fields[0]
    prompt, test, entry_point, budget_s = (str(f, "utf-8", "replace") for f in fields[1:])
    sys.modules["numpy"] = numpy_stand_in()
    proxy = Proxy(entry_point, float(budget_s))
    letter, text = judge(proxy, prompt, test, entry_point)
    detail = text.encode("utf-8", "replace")[:400]
    message = (token + letter.encode("ascii") + proxy._calls.to_bytes(8, "little") +
               len(detail).to_bytes(2, "little") + detail)
    _write(VERDICT, message)
    _exit(0)


main()
