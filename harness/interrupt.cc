#include "harness/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "harness/exit_code.h"

namespace harness {
namespace {

std::atomic<bool> g_stop{false};
std::atomic<int> g_signal{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int sig) {
  if (g_stop.exchange(true)) _exit(sig == SIGTERM ? kTerminated : kInterrupted);
  g_signal.store(sig);
  static constexpr char kText[] = "\nstopping: finished queries are stored; again to end at once\n";
  [[maybe_unused]] const auto n = write(STDERR_FILENO, kText, sizeof kText - 1);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  g_stop = false;
  g_signal = 0;
  struct sigaction a {};
  a.sa_handler = on_signal;
  sigemptyset(&a.sa_mask);
  sigaction(SIGINT, &a, nullptr);
  sigaction(SIGTERM, &a, nullptr);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

const std::atomic<bool>& InterruptGuard::flag() const { return g_stop; }

int InterruptGuard::exit_code() const {
  const int sig = g_signal.load();
  return sig == 0 ? 0 : sig == SIGTERM ? kTerminated : kInterrupted;
}

}  // namespace harness
