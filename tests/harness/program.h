// Owns running the moeval program as a user does: arguments in, exit code and output out.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace program {

struct Result {
  int code = -1;  // 128 + signal when killed
  std::string out, err;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

// A started program; its output goes to files in the given folder.
class Child {
 public:
  // file_limit_bytes: RLIMIT_FSIZE, which stands in for a full disk.
  Child(const std::filesystem::path& folder, const std::vector<std::string>& args,
        rlim_t file_limit_bytes = RLIM_INFINITY)
      : out_(folder / "stdout"), err_(folder / "stderr") {
    const std::string binary = std::string(MOEVAL_BINARY_DIR) + "/moeval";
    std::vector<char*> argv{const_cast<char*>(binary.c_str())};
    for (const auto& a : args) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    const int out = open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int err = open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(out, 1);
    dup2(err, 2);
    if (file_limit_bytes != RLIM_INFINITY) {
      const rlimit limit{file_limit_bytes, file_limit_bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);
    }
    execv(binary.c_str(), argv.data());
    _exit(127);
  }
  void kill(int sig = SIGKILL) const { ::kill(pid_, sig); }
  Result wait() const {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(out_),
            slurp(err_)};
  }

 private:
  std::filesystem::path out_, err_;
  pid_t pid_ = 0;
};

inline Result run(const std::filesystem::path& folder, const std::vector<std::string>& args) {
  return Child(folder, args).wait();
}

}  // namespace program
