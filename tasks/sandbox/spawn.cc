#include "tasks/sandbox/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace tasks::sandbox {
namespace {

// Descriptors inside: 0 null, 1 and 2 output, 3 source, 4 calls, 5 verdict (checker); the two above
// are closed by exec.
constexpr int kStatus = 6, kLandlock = 7;
constexpr long kSysLandlockRestrict = 446, kSysCloseFiles = 436;
constexpr unsigned kThreads = 18;  // init, python and 16 threads

struct ChildEnds {
  int null, output, source, calls, verdict, status;
};

// Runs in the child, from clone to exec. No return; any failure ends with exit status 125.
class Child {
 public:
  Child(const Confinement& c, const SpawnRequest& r, const ChildEnds& ends)
      : c_(c),
        r_(r),
        ends_(ends),
        uid_(r.role == Role::candidate ? c.candidate_uid : c.checker_uid) {}

  [[noreturn]] void run() {
    arrange_descriptors();
    step(SetupStep::session, setsid() >= 0);
    drop_privileges();
    step(SetupStep::parent_death_signal, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
    // The launcher answers only if it lives after the signal was set.
    char go = 0;
    step(SetupStep::parent_alive, read(status_, &go, 1) == 1);
    const pid_t init = getpid();
    const pid_t python = ::fork();
    step(SetupStep::fork, python >= 0);
    if (python == 0) become_python(init);
    wait_for(python);
  }

 private:
  void step(SetupStep s, bool ok) {
    if (static_cast<int>(s) == r_.fail_step) {
      ok = false;
      errno = ECANCELED;
    }
    if (ok) return;
    const SetupMessage message{SetupMessage::Kind::failed, static_cast<int32_t>(s), errno};
    [[maybe_unused]] const ssize_t n = write(status_, &message, sizeof message);
    _exit(125);
  }

  void arrange_descriptors() {
    status_ = ends_.status;
    // First out of the way, then each to its place.
    int fds[] = {ends_.null,  ends_.output,  ends_.output, ends_.source,
                 ends_.calls, ends_.verdict, ends_.status, c_.landlock.get()};
    constexpr int kCount = kLandlock + 1;
    bool ok = true;
    for (int& fd : fds)
      if (fd >= 0) ok = ok && (fd = fcntl(fd, F_DUPFD_CLOEXEC, 100)) >= 0;
    if (ok) status_ = fds[kStatus];
    for (int i = 0; i < kCount && ok; ++i) {
      if (fds[i] < 0) {
        close(i);
        continue;
      }
      ok = dup3(fds[i], i, i >= kStatus ? O_CLOEXEC : 0) == i;
    }
    ok = ok && syscall(kSysCloseFiles, unsigned{kCount}, ~0u, 0u) == 0;
    if (ok) status_ = kStatus;
    step(SetupStep::descriptors, ok);
  }

  void drop_privileges() {
    bool ok = true;
    if (c_.has_caps) {
      for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap)
        ok = ok && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0;
      ok = ok && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0;
    }
    step(SetupStep::bounding_set, ok);
    // Tier 2 has one id and setgroups denied; the others change it when they are root.
    const bool change = c_.has_caps && c_.tier != 2;
    step(SetupStep::groups, !change || setgroups(0, nullptr) == 0);
    step(SetupStep::group_id, !change || setresgid(uid_, uid_, uid_) == 0);
    step(SetupStep::user_id, !change || setresuid(uid_, uid_, uid_) == 0);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    step(SetupStep::capabilities, syscall(SYS_capset, &header, none) == 0);
    step(SetupStep::no_new_privileges, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    step(SetupStep::not_dumpable, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
  }

  static bool limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard) {
    rlimit now;
    if (getrlimit(what, &now) != 0) return false;
    if (now.rlim_max < hard) hard = now.rlim_max;  // a tighter limit of the host stays
    const rlimit wanted{soft < hard ? soft : hard, hard};
    return setrlimit(what, &wanted) == 0;
  }

  bool set_seccomp() {
    sock_fprog program{static_cast<unsigned short>(c_.filter.size()),
                       const_cast<sock_filter*>(c_.filter.data())};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &program) == 0;
  }

  [[noreturn]] void become_python(pid_t init) {
    step(SetupStep::python_death_signal, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
    step(SetupStep::python_parent, getppid() == init);
    // The launcher stops the process at the exact limit; these are the backstop.
    const auto cpu = static_cast<rlim_t>(std::ceil(r_.cpu_s)) + 1;
    step(SetupStep::limits,
         limit(RLIMIT_CPU, cpu, cpu + 1) && limit(RLIMIT_NPROC, kThreads, kThreads) &&
             limit(RLIMIT_NOFILE, 32, 32) && limit(RLIMIT_FSIZE, 1 << 20, 1 << 20) &&
             limit(RLIMIT_STACK, 8 << 20, 8 << 20) && limit(RLIMIT_CORE, 0, 0) &&
             limit(RLIMIT_MEMLOCK, 0, 0) && limit(RLIMIT_MSGQUEUE, 0, 0) &&
             limit(RLIMIT_SIGPENDING, 64, 64));
    step(SetupStep::landlock, syscall(kSysLandlockRestrict, kLandlock, 0u) == 0);
    const char* const argv[] = {c_.interpreter.c_str(), "-s", "-S", "-B", "-c", r_.shim, nullptr};
    // PYTHONSAFEPATH is -P for interpreters that know it and nothing for older ones; -I would
    // ignore the hash seed.
    const char* const environment[] = {"PATH=/usr/bin",    "HOME=/",           "LC_ALL=C.UTF-8",
                                       "PYTHONHASHSEED=0", "PYTHONSAFEPATH=1", nullptr};
    const auto memory = static_cast<rlim_t>(r_.memory_bytes);
    step(SetupStep::memory_limit, limit(RLIMIT_AS, memory, memory));
    step(SetupStep::seccomp, set_seccomp());
    const SetupMessage armed{SetupMessage::Kind::armed, 0, 0};
    step(SetupStep::exec, write(kStatus, &armed, sizeof armed) == sizeof armed);
    execve(c_.interpreter.c_str(), const_cast<char* const*>(argv),
           const_cast<char* const*>(environment));
    step(SetupStep::exec, false);
    _exit(125);
  }

  [[noreturn]] void wait_for(pid_t python) {
    // Only the status socket stays open: the pipes must end when python ends.
    for (int fd = 0; fd <= kLandlock; ++fd)
      if (fd != kStatus) close(fd);
    if (!set_seccomp()) _exit(125);
    for (;;) {
      int status = 0;
      const pid_t ended = waitpid(-1, &status, 0);
      if (ended < 0 && errno != EINTR) _exit(125);
      if (ended != python) continue;
      const SetupMessage message{SetupMessage::Kind::exited, 0, status};
      _exit(write(kStatus, &message, sizeof message) == sizeof message ? 0 : 125);
    }
  }

  const Confinement& c_;
  const SpawnRequest& r_;
  const ChildEnds& ends_;
  uid_t uid_;
  int status_ = -1;
};

void make_pipe(UniqueFd& read_end, UniqueFd& write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0)
    throw std::runtime_error(fmt::format("pipe: {}", std::strerror(errno)));
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
}

void set_nonblocking(const UniqueFd& fd) {
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

}  // namespace

const char* setup_step_name(int32_t step) {
  constexpr const char* kNames[] = {"none",
                                    "descriptors",
                                    "session",
                                    "bounding set",
                                    "groups",
                                    "group id",
                                    "user id",
                                    "capabilities",
                                    "no new privileges",
                                    "not dumpable",
                                    "parent death signal",
                                    "parent alive",
                                    "fork",
                                    "python death signal",
                                    "python parent",
                                    "limits",
                                    "landlock",
                                    "memory limit",
                                    "seccomp",
                                    "exec"};
  static_assert(std::size(kNames) == kNumSetupSteps + 1);
  return step > 0 && step <= kNumSetupSteps ? kNames[step] : "unknown";
}

Spawned spawn(const Confinement& c, const SpawnRequest& request) {
  Spawned s;
  UniqueFd output_end, source_end, verdict_end, status_end;
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) throw std::runtime_error("/dev/null cannot be opened");
  make_pipe(s.output, output_end);
  make_pipe(source_end, s.source);
  if (request.role == Role::checker) make_pipe(s.verdict, verdict_end);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    throw std::runtime_error(fmt::format("socketpair: {}", std::strerror(errno)));
  s.status.reset(pair[0]);
  status_end.reset(pair[1]);
  const int on = 1;
  if (setsockopt(s.status.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    throw std::runtime_error(fmt::format("SO_PASSCRED: {}", std::strerror(errno)));
  for (const UniqueFd* fd : {&s.output, &s.source, &s.verdict, &s.status})
    if (*fd) set_nonblocking(*fd);

  constexpr unsigned long kNamespaces =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  const unsigned long flags = CLONE_PIDFD | SIGCHLD | (c.tier == 3 ? 0 : kNamespaces);
  int pidfd = -1;
  const long pid = syscall(SYS_clone, flags, nullptr, &pidfd, nullptr, nullptr);
  if (pid < 0) throw std::runtime_error(fmt::format("clone: {}", std::strerror(errno)));
  if (pid == 0) {
    const ChildEnds ends{null.get(),       output_end.get(),  source_end.get(),
                         request.calls_fd, verdict_end.get(), status_end.get()};
    Child(c, request, ends).run();
  }
  s.init = static_cast<pid_t>(pid);
  s.pidfd.reset(pidfd);
  [[maybe_unused]] const ssize_t n = send(s.status.get(), "g", 1, MSG_NOSIGNAL);
  return s;
}

}  // namespace tasks::sandbox
