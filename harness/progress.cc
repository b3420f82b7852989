#include "harness/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "harness/clock.h"
#include "harness/text_table.h"

namespace harness {
namespace {
constexpr int64_t kTerminalEvery_ns = 200'000'000;
constexpr int64_t kPlainEvery_ns = 15'000'000'000;
}  // namespace

Progress::Progress(std::string label, int64_t total, int64_t done)
    : label_(std::move(label)),
      total_(total),
      first_(done),
      done_(done),
      start_ns_(steady_ns()),
      last_print_ns_(steady_ns()),
      terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { finish(); }

void Progress::step(int64_t n, std::string_view note) {
  done_ += n;
  note_ = note;
  const int64_t now = steady_ns();
  if (now - last_print_ns_ < (terminal_ ? kTerminalEvery_ns : kPlainEvery_ns)) return;
  last_print_ns_ = now;
  print(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  print(true);
}

void Progress::print(bool last) {
  const double elapsed = static_cast<double>(steady_ns() - start_ns_) * 1e-9;
  const int64_t fresh = done_ - first_;
  std::string text = fmt::format("{}  {}/{}", label_, done_, total_);
  if (!note_.empty()) text += "  " + note_;
  if (last)
    text += "  in " + duration(elapsed);
  else if (fresh > 0)
    text += "  ETA " +
            duration(elapsed / static_cast<double>(fresh) * static_cast<double>(total_ - done_));
  if (terminal_)
    fmt::print(stderr, "\r{}\x1b[K{}", text, last ? "\n" : "");
  else
    fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

bool use_color() {
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

}  // namespace harness
