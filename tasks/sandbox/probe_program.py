# Tries what the sandbox must refuse; returns the names of the attempts that succeeded.
def probe():
    import ctypes
    import os
    import resource
    import socket

    libc = ctypes.CDLL(None, use_errno=True)

    def write_file(path):
        with open(path, "w") as f:
            f.write("x")

    def make_socket(family, kind):
        socket.socket(family, kind).close()

    def fork():
        if os.fork() == 0:
            os._exit(0)

    def raise_limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (33, 33))

    def lower_limit_of_others():
        resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))

    def memory_file():
        if libc.memfd_create(b"x", 0) < 0:
            raise OSError(ctypes.get_errno(), "memfd_create")

    def set_dumpable():
        if libc.prctl(4, 1, 0, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "prctl")

    def inherited_descriptor():
        for fd in range(5, 1024):
            try:
                os.fstat(fd)
            except OSError:
                continue
            return
        raise OSError("no descriptor")

    def visible_secret():
        if set(os.environ) - {"PATH", "HOME", "LC_ALL", "PYTHONHASHSEED", "PYTHONSAFEPATH"}:
            return
        raise OSError("no further variables")

    attempts = {
        "write /usr": lambda: write_file("/usr/moeval_probe"),
        "write /": lambda: write_file("/moeval_probe"),
        "write /dev": lambda: write_file("/dev/moeval_probe"),
        "write /tmp": lambda: write_file("/tmp/moeval_probe"),
        "shared memory": lambda: write_file("/dev/shm/moeval_probe"),
        "memory file": memory_file,
        "read shadow": lambda: open("/etc/shadow").close(),
        "read another process": lambda: open("/proc/1/environ").close(),
        "tcp": lambda: make_socket(socket.AF_INET, socket.SOCK_STREAM),
        "tcp6": lambda: make_socket(socket.AF_INET6, socket.SOCK_STREAM),
        "udp": lambda: make_socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": lambda: make_socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "netlink": lambda: make_socket(16, socket.SOCK_RAW),
        "vsock": lambda: make_socket(40, socket.SOCK_STREAM),
        "fork": fork,
        "exec of a program": lambda: os.execv("/usr/bin/env", ["env"]),
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "raise a limit": raise_limit,
        "limit of another process": lower_limit_of_others,
        "symlink": lambda: os.symlink("/etc/passwd", "/tmp/moeval_probe"),
        "set dumpable": set_dumpable,
        "inherited descriptor": inherited_descriptor,
        "visible secret": visible_secret,
    }
    succeeded = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        except ValueError:  # setrlimit above the hard limit
            continue
        succeeded.append(name)
    return [len(attempts), succeeded]
