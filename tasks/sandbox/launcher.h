// Owns the launcher processes: forked before the harness has threads or a model in memory, one for
// each slot, each serving one run at a time over its own socket.
#pragma once

#include <sys/types.h>

#include <string>

#include "tasks/sandbox/run_facts.h"
#include "tasks/sandbox/supervise.h"
#include "tasks/sandbox/unique_fd.h"

namespace tasks::sandbox {

struct LauncherOptions {
  int tier = 1;
  int slot = 0;
  uid_t first_uid = 0;
  std::string interpreter;
};

// The harness's end. Closing the socket ends the launcher and everything beneath it.
class Launcher {
 public:
  // Forks; the child never returns. Waits for its set-up and throws std::runtime_error with its
  // reason when that failed.
  explicit Launcher(const LauncherOptions&);
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  // One run; blocks. A launcher that died answers with a setup_error, now and ever after.
  RunFacts run(RunRequest, const Program&);
  bool alive() const { return static_cast<bool>(socket_); }
  int landlock_abi() const { return landlock_abi_; }
  pid_t pid() const { return pid_; }

 private:
  UniqueFd socket_;
  pid_t pid_ = -1;
  int landlock_abi_ = 0;
};

}  // namespace tasks::sandbox
