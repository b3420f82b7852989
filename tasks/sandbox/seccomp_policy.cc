#include "tasks/sandbox/seccomp_policy.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>

#include "tasks/sandbox/unique_fd.h"

namespace tasks::sandbox {
namespace {

constexpr const char* kAllowed[] = {
    // memory
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "membarrier",
    // files: every mount is read-only and Landlock names what may be opened
    "read", "pread64", "readv", "preadv", "write", "pwrite64", "writev", "close", "open", "openat",
    "lseek", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access",
    "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd",
    "chdir", "fchdir", "dup", "dup2", "dup3", "pipe", "pipe2", "fadvise64",
    // waiting
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "nanosleep", "clock_nanosleep", "restart_syscall", "sched_yield", "wait4",
    "waitid", "pause",
    // clocks and facts about oneself
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getrlimit",
    "sysinfo", "uname", "getpid", "gettid", "getppid", "getpgrp", "getpgid", "getsid", "getuid",
    "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpriority",
    "sched_getaffinity", "sched_getparam", "sched_getscheduler", "getcpu", "getrandom",
    // signals to oneself
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigsuspend", "sigaltstack", "alarm", "setitimer", "getitimer",
    // threads and process life
    "futex", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "arch_prctl",
    "execve", "exit", "exit_group"};

// No program under judgement has a reason to try these.
constexpr const char* kKilled[] = {"ptrace",
                                   "process_vm_readv",
                                   "process_vm_writev",
                                   "process_madvise",
                                   "io_uring_setup",
                                   "io_uring_enter",
                                   "io_uring_register",
                                   "bpf",
                                   "keyctl",
                                   "add_key",
                                   "request_key",
                                   "mount",
                                   "umount2",
                                   "pivot_root",
                                   "move_mount",
                                   "open_tree",
                                   "fsopen",
                                   "fsconfig",
                                   "fsmount",
                                   "fspick",
                                   "mount_setattr",
                                   "chroot",
                                   "setns",
                                   "unshare",
                                   "userfaultfd",
                                   "perf_event_open",
                                   "init_module",
                                   "finit_module",
                                   "delete_module",
                                   "kexec_load",
                                   "kexec_file_load",
                                   "open_by_handle_at",
                                   "name_to_handle_at",
                                   "kcmp",
                                   "reboot",
                                   "swapon",
                                   "swapoff",
                                   "acct",
                                   "quotactl",
                                   "iopl",
                                   "ioperm"};

void check(int rc, const char* what) {
  if (rc < 0) throw std::runtime_error(std::string("libseccomp: ") + what + " failed");
}

void add(scmp_filter_ctx ctx, uint32_t action, const char* name,
         std::initializer_list<scmp_arg_cmp> args = {}) {
  const int nr = seccomp_syscall_resolve_name(name);
  if (nr < 0) return;  // unknown to this architecture or library: the default action holds
  check(seccomp_rule_add_array(ctx, action, nr, static_cast<unsigned>(args.size()),
                               args.size() == 0 ? nullptr : args.begin()),
        name);
}

scmp_arg_cmp equals(unsigned arg, uint64_t value) {
  return scmp_arg_cmp{arg, SCMP_CMP_EQ, value, 0};
}

// Compares the low 32 bits only: the kernel ignores the rest (CVE-2019-10063).
scmp_arg_cmp low_word_equals(unsigned arg, uint64_t value) {
  return scmp_arg_cmp{arg, SCMP_CMP_MASKED_EQ, 0xffffffffu, value};
}

void add_rules(scmp_filter_ctx ctx) {
  for (const char* name : kAllowed) add(ctx, SCMP_ACT_ALLOW, name);
  for (const char* name : kKilled) add(ctx, SCMP_ACT_KILL_PROCESS, name);
  add(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3");

  // Threads only: the flags that make a new process or namespace must be as for a thread.
  constexpr uint64_t kMust = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  constexpr uint64_t kMustNot = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_VFORK |
                                CLONE_PTRACE;
  add(ctx, SCMP_ACT_ALLOW, "clone", {scmp_arg_cmp{0, SCMP_CMP_MASKED_EQ, kMust | kMustNot, kMust}});

  add(ctx, SCMP_ACT_ALLOW, "prlimit64", {equals(2, 0)});  // read only

  constexpr uint64_t kTcgets = 0x5401, kFionread = 0x541b, kFioclex = 0x5451;
  for (uint64_t request : {kTcgets, kFionread, kFioclex})
    add(ctx, SCMP_ACT_ALLOW, "ioctl", {low_word_equals(1, request)});

  // No locks, leases or signals on descriptors: they reach other sandboxes through shared inodes.
  for (uint64_t command : {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL})
    add(ctx, SCMP_ACT_ALLOW, "fcntl", {low_word_equals(1, command)});
}

}  // namespace

std::vector<sock_filter> build_seccomp_filter() {
  scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (ctx == nullptr) throw std::runtime_error("libseccomp: seccomp_init failed");
  struct Release {
    scmp_filter_ctx ctx;
    ~Release() { seccomp_release(ctx); }
  } release{ctx};
  check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "badarch");
  check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
  add_rules(ctx);

  UniqueFd file(memfd_create("policy", MFD_CLOEXEC));
  if (file.get() < 0) throw std::runtime_error("memfd_create failed");
  check(seccomp_export_bpf(ctx, file.get()), "seccomp_export_bpf");
  const off_t size = lseek(file.get(), 0, SEEK_END);
  if (size <= 0 || size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > BPF_MAXINSNS)
    throw std::runtime_error("libseccomp: the exported filter has a wrong size");
  std::vector<sock_filter> program(size / sizeof(sock_filter));
  if (pread(file.get(), program.data(), size, 0) != size)
    throw std::runtime_error("libseccomp: the exported filter cannot be read");
  return program;
}

}  // namespace tasks::sandbox
