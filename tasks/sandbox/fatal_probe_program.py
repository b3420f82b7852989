# Sets up an io_uring, which must kill the process.
def probe():
    import ctypes
    ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(128))
    return 1
