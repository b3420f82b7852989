#include "tasks/sandbox/launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace tasks::sandbox {
namespace {

constexpr uint64_t kMaxField = uint64_t{64} << 20;
constexpr long kSysCloseRange = 436;

bool send_all(int fd, const void* data, size_t n) {
  const char* p = static_cast<const char*>(data);
  while (n > 0) {
    const ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    p += sent;
    n -= sent;
  }
  return true;
}

bool receive_all(int fd, void* data, size_t n) {
  char* p = static_cast<char*>(data);
  while (n > 0) {
    const ssize_t got = recv(fd, p, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    p += got;
    n -= got;
  }
  return true;
}

void serve(const Confinement& c, int socket) {
  RunRequest request;
  while (receive_all(socket, &request, sizeof request)) {
    Program program;
    std::string* const fields[] = {&program.prompt, &program.completion, &program.test,
                                   &program.entry_point};
    for (int i = 0; i < 4; ++i) {
      if (request.sizes[i] > kMaxField) return;
      fields[i]->resize(request.sizes[i]);
      if (!receive_all(socket, fields[i]->data(), fields[i]->size())) return;
    }
    const RunFacts facts = supervise(c, request, program, socket);
    if (!send_all(socket, &facts, sizeof facts)) return;
  }
}

void default_signals() {
  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Keeps the socket and nothing else of the harness: no output, no database, no other launcher.
[[noreturn]] void become_launcher(int socket, const LauncherOptions& options) {
  constexpr int kSocket = 3;
  default_signals();
  setsid();  // an interrupt from the terminal is the harness's business
  LauncherHello hello;
  try {
    if (socket != kSocket && dup3(socket, kSocket, O_CLOEXEC) < 0)
      throw std::runtime_error("dup3 failed");
    if (syscall(kSysCloseRange, unsigned{kSocket + 1}, ~0u, 0u) != 0)
      throw std::runtime_error("close_range failed");
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; ++fd)
      if (dup2(null, fd) != fd) throw std::runtime_error("/dev/null cannot be opened");
    close(null);
    const Confinement c =
        confine_launcher(options.tier, options.slot, options.first_uid, options.interpreter);
    hello.landlock_abi = c.landlock_abi;
    if (send_all(kSocket, &hello, sizeof hello)) serve(c, kSocket);
  } catch (const std::exception& e) {
    std::string_view(e.what()).copy(hello.error, sizeof hello.error - 1);
    send_all(kSocket, &hello, sizeof hello);
  }
  _exit(0);
}

}  // namespace

Launcher::Launcher(const LauncherOptions& options) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    throw std::runtime_error(fmt::format("socketpair: {}", std::strerror(errno)));
  socket_.reset(pair[0]);
  UniqueFd child_end(pair[1]);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error(fmt::format("fork: {}", std::strerror(errno)));
  if (pid_ == 0) become_launcher(child_end.get(), options);
  child_end.reset();
  LauncherHello hello;
  const bool answered = receive_all(socket_.get(), &hello, sizeof hello);
  if (answered && hello.error[0] == 0) {
    landlock_abi_ = hello.landlock_abi;
    return;
  }
  socket_.reset();
  waitpid(pid_, nullptr, 0);
  throw std::runtime_error(answered ? hello.error : "the launcher ended during its set-up");
}

Launcher::~Launcher() {
  socket_.reset();
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

RunFacts Launcher::run(RunRequest request, const Program& program) {
  RunFacts facts;
  const std::string* const fields[] = {&program.prompt, &program.completion, &program.test,
                                       &program.entry_point};
  bool ok = alive();
  for (int i = 0; i < 4; ++i) {
    request.sizes[i] = fields[i]->size();
    if (request.sizes[i] > kMaxField) {
      std::string_view("the program or its test is over 64 MiB")
          .copy(facts.setup_error, sizeof facts.setup_error - 1);
      return facts;
    }
  }
  ok = ok && send_all(socket_.get(), &request, sizeof request);
  for (int i = 0; i < 4 && ok; ++i)
    ok = send_all(socket_.get(), fields[i]->data(), fields[i]->size());
  if (ok && receive_all(socket_.get(), &facts, sizeof facts)) return facts;
  socket_.reset();
  facts = RunFacts{};
  std::string_view("the launcher process has died")
      .copy(facts.setup_error, sizeof facts.setup_error - 1);
  return facts;
}

}  // namespace tasks::sandbox
