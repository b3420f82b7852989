#include "harness/detach.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "harness/exit_code.h"

namespace harness {

bool detach(const std::filesystem::path& log) {
  const auto fail = [&](const char* what) {
    throw InfrastructureError(fmt::format("{}: {}: {}", log.string(), what, std::strerror(errno)));
  };
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (out < 0) fail("cannot write the log");
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) {
    close(out);
    close(in);
    fmt::print("pid {}\nlog {}\n", pid, std::filesystem::absolute(log).string());
    return false;
  }
  setsid();
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  return true;
}

std::filesystem::path log_path(const std::string& db, const std::string& name) {
  return fmt::format("{}.{}-{}.log", db, name, getpid());
}

}  // namespace harness
