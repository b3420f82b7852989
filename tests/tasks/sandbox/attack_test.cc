// What a hostile program can try against the machine. f() returns True exactly when the attack
// worked, so `passed` would be the attacker's success.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>

#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

using AttackTest = SandboxTest;

struct Attack {
  const char* name;
  std::vector<Verdict> verdicts;
  const char* program;
  double cpu_s = 5;
};

void expect_all(const std::vector<Attack>& attacks,
                SandboxReport (*judge)(const std::string&, double, const std::string&)) {
  for (const Attack& a : attacks) {
    const SandboxReport r = judge(a.program, a.cpu_s, "");
    EXPECT_NE(std::find(a.verdicts.begin(), a.verdicts.end(), r.verdict), a.verdicts.end())
        << a.name << " gave " << verdict_name(r.verdict) << ": " << r.detail;
  }
}

TEST_F(AttackTest, ResourcesAreBounded) {
  using enum Verdict;
  expect_all(
      {{"fork bomb", {error}, "import os\ndef f():\n    while True: os.fork()\n"},
       {"300 threads",
        {wrong},
        "import threading\n"
        "def f():\n"
        "    stop, n = threading.Event(), 0\n"
        "    try:\n"
        "        for n in range(300): threading.Thread(target=stop.wait, daemon=True).start()\n"
        "    except RuntimeError:\n"
        "        pass\n"
        "    stop.set()\n"
        "    return n > 20\n"},
       {"memory in one piece", {memory}, "def f(): return len(bytearray(1500 << 20)) > 0\n"},
       {"memory in small pieces",
        {memory},
        "def f():\n    x = []\n    while True: x.append(bytearray(1 << 20))\n"},
       {"endless loop, signals ignored",
        {timeout_cpu},
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "def f():\n    while True: pass\n",
        0.3},
       {"endless loop while loading", {timeout_cpu}, "while True: pass\n", 0.3},
       {"endless loop in C", {timeout_cpu}, "def f(): return sum(range(10 ** 12)) > 0\n", 0.3},
       {"sleep", {timeout_wall}, "import time\ndef f():\n    time.sleep(1e6)\n", 0.3},
       {"wait for ever",
        {timeout_wall},
        "import threading\ndef f(): threading.Event().wait()\n",
        0.3},
       {"flood of stdout",
        {output_limit},
        "def f():\n    for _ in range(1 << 14): print('x' * 65536)\n    return True\n"},
       {"flood of stderr without line ends",
        {output_limit},
        "import os\ndef f():\n    for _ in range(1 << 20): os.write(2, b'\\x1b[2J\\0' * 9999)\n"},
       {"Python recursion, limit lifted",
        {memory, timeout_cpu, crash_signal},
        "import sys\nsys.setrecursionlimit(1 << 30)\ndef g(n): return g(n + 1)\ndef f(): g(0)\n",
        2},
       {"C recursion",
        {crash_signal, memory},
        "import sys\nsys.setrecursionlimit(1 << 30)\n"
        "def f():\n    v = []\n    for _ in range(1 << 20): v = [v]\n    repr(v)\n"},
       {"raise limits",
        {error},
        "import resource\n"
        "def f(): resource.setrlimit(resource.RLIMIT_NPROC, (99, 99))\n"}},
      &SandboxTest::judge_function);
}

TEST_F(AttackTest, FilesProcessesAndNetworkAreOutOfReach) {
  const std::string program = R"py(
import ctypes, os, signal, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def touch(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
def call(name, *args):
    if getattr(libc, name)(*args) < 0: raise OSError(ctypes.get_errno(), name)
def allowed(attempt):
    try:
        attempt()
        return True
    except OSError:
        return False
attempts = {"touch " + d: lambda d=d: touch(d + "/moeval_attack") for d in
            ("", "/usr", "/usr/bin", "/usr/lib", "/etc", "/root", "/dev", "/dev/shm", "/tmp",
             "/var/tmp", "/proc", "/sys", "/run", "/home", ".")}
attempts.update({"read " + p: lambda p=p: open(p, "rb").read(1) for p in
                 ("/etc/shadow", "/etc/passwd", "/proc/1/environ", "/proc/self/environ",
                  "/proc/self/mem", "/sys/kernel/notes", "/dev/mem", "/dev/kmsg", "/dev/sda")})
attempts.update({"list " + p: lambda p=p: os.listdir(p) for p in
                 ("/root", "/home", "/proc", "/sys", "/etc", "/tmp", "/var", "/")})
attempts.update({"socket %d %d" % (f, k): lambda f=f, k=k: socket.socket(f, k).close()
                 for f in range(0, 46) for k in (1, 2, 3, 5)})
attempts.update({
    "socketpair": lambda: socket.socketpair(),
    "append to the interpreter": lambda: open("/usr/bin/python3", "ab").close(),
    "chmod": lambda: os.chmod("/usr/bin/env", 0o777),
    "utime": lambda: os.utime("/usr/bin/env"),
    "symlink": lambda: os.symlink("/etc/passwd", "/tmp/x"),
    "hard link": lambda: os.link("/usr/bin/env", "/usr/bin/moeval_attack"),
    "fifo": lambda: os.mkfifo("/dev/moeval_attack"),
    "device": lambda: os.mknod("/dev/moeval_attack", 0o60666, os.makedev(254, 0)),
    "mkdir": lambda: os.mkdir("/moeval_attack"),
    "memfd": lambda: os.memfd_create("x"),
    "system v shared memory": lambda: call("shmget", 0, 4096, 0o1600),
    "message queue": lambda: call("mq_open", b"/x", 66, 384, None),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "stop the group": lambda: os.killpg(0, signal.SIGSTOP),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "spawn": lambda: subprocess.Popen(["/usr/bin/true"]),
    "exec": lambda: os.execv("/usr/bin/true", ["true"]),
    "setuid": lambda: os.setuid(0),
    "setgroups": lambda: os.setgroups([0]),
    "chroot to itself": lambda: os.chown("/usr", 0, 0),
    "lock a shared file": lambda: __import__("fcntl").flock(open("/usr/bin/env"), 1),
    "record lock": lambda: __import__("fcntl").lockf(open("/usr/bin/env"), 5),
    "personality": lambda: call("personality", 0x0040000),
    "dumpable": lambda: call("prctl", 4, 1, 0, 0, 0),
    "priority": lambda: os.setpriority(0, 0, -5),
    "terminal": lambda: __import__("fcntl").ioctl(1, 0x5412, b"x"),
    "lock memory": lambda: call("mlockall", 3),
    "pidfd": lambda: os.pidfd_open(1),
    "host name": lambda: socket.sethostname("x"),
})
def f():
    return [name for name, attempt in attempts.items() if allowed(attempt)], len(attempts)
)py";
  const SandboxReport r = judge({"", program,
                                 "def check(candidate):\n"
                                 "    worked, n = candidate()\n"
                                 "    assert n == 246, n\n"
                                 "    assert not worked, worked\n",
                                 "f"});
  EXPECT_EQ(r.verdict, Verdict::passed) << r.detail;
  for (const char* path : {"/moeval_attack", "/usr/moeval_attack", "/dev/shm/moeval_attack",
                           "/tmp/moeval_attack", "/var/tmp/moeval_attack"})
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
}

TEST_F(AttackTest, NothingIsInherited) {
  const SandboxReport r = judge_function(R"py(
import os
def f():
    fds = []
    for fd in range(0, 4096):
        try: fds.append((fd, os.fstat(fd).st_mode >> 12))
        except OSError: pass
    # null device, two pipes, the calls' socket; the source's pipe (3) is still open
    return ([fd for fd, _ in fds] == [0, 1, 2, 3, 4] and os.getpid() == 2 and
            sorted(os.environ) == ["HOME", "LC_ALL", "PATH", "PYTHONHASHSEED", "PYTHONSAFEPATH"] and
            os.getuid() != 0 and os.getcwd() == "/")
)py");
  EXPECT_EQ(r.verdict, Verdict::passed) << r.detail;
}

TEST_F(AttackTest, EveryCallThatLeavesSandboxesKills) {
  const std::pair<const char*, long> calls[] = {
      {"ptrace", SYS_ptrace},
      {"process_vm_readv", SYS_process_vm_readv},
      {"io_uring_setup", 425},
      {"bpf", SYS_bpf},
      {"keyctl", SYS_keyctl},
      {"mount", SYS_mount},
      {"pivot_root", SYS_pivot_root},
      {"setns", SYS_setns},
      {"unshare", SYS_unshare},
      {"userfaultfd", SYS_userfaultfd},
      {"perf_event_open", SYS_perf_event_open},
      {"finit_module", SYS_finit_module},
      {"kexec_load", SYS_kexec_load},
      {"open_by_handle_at", SYS_open_by_handle_at},
  };
  for (const auto& [name, number] : calls) {
    const SandboxReport r = judge_function(fmt::format(
        "import ctypes\ndef f(): return ctypes.CDLL(None).syscall({}, 0, 0, 0, 0, 0) >= 0\n",
        number));
    EXPECT_EQ(r.verdict, Verdict::policy_kill) << name << ": " << r.detail;
  }
}

TEST_F(AttackTest, Clone3AndNewNamespacesAreRefused) {
  const SandboxReport r = judge_function(fmt::format(R"py(
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def refused(wanted, *args):
    return libc.syscall(*args) == -1 and ctypes.get_errno() == wanted
def f():
    return (refused(errno.ENOSYS, {}, 0, 0) and refused(errno.EPERM, {}, 0x10000000 | 17, 0, 0, 0, 0)
            and refused(errno.EPERM, {}, 17, 0, 0, 0, 0))
)py",
                                                     435, SYS_clone, SYS_clone));
  EXPECT_EQ(r.verdict, Verdict::passed) << r.detail;
}

#if defined(__x86_64__)
TEST_F(AttackTest, A32BitCallKills) {
  // mov eax, 20 (getpid); int 0x80; ret
  const SandboxReport r = judge_function(R"py(
import ctypes, mmap
def f():
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(b"\xb8\x14\0\0\0\xcd\x80\xc3")
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0
)py");
  EXPECT_EQ(r.verdict, Verdict::policy_kill) << r.detail;
}
#endif

}  // namespace
}  // namespace tasks::sandbox
