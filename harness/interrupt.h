// Owns Ctrl-C and SIGTERM: the first asks the run to stop after committing what is done, the second
// ends the process at once.
#pragma once

#include <atomic>

namespace harness {

// Installs the handlers; `flag` becomes true at the first signal.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const std::atomic<bool>& flag() const;
  int exit_code() const;  // 130 or 143; 0 when nothing came
};

}  // namespace harness
