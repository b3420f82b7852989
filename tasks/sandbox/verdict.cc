#include "tasks/sandbox/verdict.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

namespace tasks::sandbox {
namespace {

constexpr std::string_view kLetters = "PWEMLRDI";

bool exited_zero(const ProcessFacts& p) {
  return p.ended && WIFEXITED(p.wait_status) && WEXITSTATUS(p.wait_status) == 0;
}

// How the candidate's process ended when nobody told it to.
Verdict classify_end(const RunFacts& f, const RunRequest& r) {
  const ProcessFacts& c = f.candidate;
  if (!c.ended) return Verdict::infra;
  if (!WIFSIGNALED(c.wait_status)) return f.n_calls == 0 ? Verdict::load_error : Verdict::error;
  switch (WTERMSIG(c.wait_status)) {
    case SIGSYS:
      return Verdict::policy_kill;
    case SIGXCPU:
      return Verdict::timeout_cpu;
    case SIGKILL:  // nothing inside can send it: the hard CPU limit, or the machine ran out of
                   // memory
      return c.cpu_s >= r.cpu_s ? Verdict::timeout_cpu : Verdict::infra;
    default:
      // An interpreter that cannot get memory may die by a signal instead of raising MemoryError.
      return c.peak_rss_bytes > r.memory_bytes / 4 * 3 ? Verdict::memory : Verdict::crash_signal;
  }
}

}  // namespace

void read_report(std::string_view bytes, const Token& token, RunFacts& facts) {
  constexpr size_t kHead = 16 + 1 + 8 + 2;
  if (bytes.size() < kHead) return;
  if (std::memcmp(bytes.data(), token.data(), token.size()) != 0) return;
  const char letter = bytes[16];
  if (kLetters.find(letter) == std::string_view::npos) return;
  const auto byte = [&](size_t i) { return uint64_t{static_cast<uint8_t>(bytes[i])}; };
  uint64_t n_calls = 0;
  for (int i = 7; i >= 0; --i) n_calls = n_calls << 8 | byte(17 + i);
  const size_t length = byte(25) | byte(26) << 8;
  if (length >= sizeof facts.detail || bytes.size() != kHead + length) return;
  facts.reported = true;
  facts.letter = letter;
  facts.n_calls = n_calls;
  std::memset(facts.detail, 0, sizeof facts.detail);
  std::memcpy(facts.detail, bytes.data() + kHead, length);
}

Verdict classify(const RunFacts& f, const RunRequest& r) {
  if (f.setup_error[0] != 0) return Verdict::infra;
  // What stopped the candidate comes first, whatever the checker made of it. Sleepers were stopped
  // before the checker, which must still answer: otherwise it was the checker that slept.
  if (f.candidate.hit == Hit::output) return Verdict::output_limit;
  if (f.candidate.hit == Hit::cpu) return Verdict::timeout_cpu;
  if (f.checker.hit != Hit::none || !exited_zero(f.checker) || !f.reported) return Verdict::infra;
  if (f.candidate.hit == Hit::deaf) return Verdict::protocol;
  if (f.candidate.hit != Hit::none) return Verdict::timeout_wall;
  switch (f.letter) {
    case 'P':
      if (f.n_calls == 0) return Verdict::infra;
      return f.candidate.cpu_s > r.cpu_s ? Verdict::timeout_cpu : Verdict::passed;
    case 'W':
      return Verdict::wrong;
    case 'E':
      return Verdict::error;
    case 'M':
      return Verdict::memory;
    case 'L':
      return Verdict::load_error;
    case 'R':
      return Verdict::protocol;
    case 'D':
      return classify_end(f, r);
    default:
      return Verdict::infra;
  }
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string line(text.substr(0, max_bytes));
  for (char& c : line) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
    if (static_cast<uint8_t>(c) >= 0x80) c = '?';
  }
  return line;
}

std::string describe(const RunFacts& f, Verdict verdict) {
  const ProcessFacts& c = f.candidate;
  if (f.setup_error[0] != 0) return printable(f.setup_error);
  switch (verdict) {
    case Verdict::passed:
      return "";
    case Verdict::timeout_cpu:
      return fmt::format("stopped after {:.2f} s of CPU time", c.cpu_s);
    case Verdict::timeout_wall:
      return fmt::format("stopped after {:.1f} s of wall time, {:.1f} s of it asleep", f.wall_s,
                         f.idle_s);
    case Verdict::output_limit:
      return "wrote too much to its output";
    case Verdict::policy_kill:
      return "killed for a forbidden system call";
    case Verdict::crash_signal:
      return fmt::format("ended by signal {}", WTERMSIG(c.wait_status));
    case Verdict::infra:
      if (f.reported && f.letter == 'I') return printable(f.detail);
      if (f.checker.hit != Hit::none) return "the checker exceeded its own limits";
      if (!f.checker.ended) return "the checker did not answer";
      return fmt::format("the checker ended with wait status {}, {} report, the candidate with {}",
                         f.checker.wait_status, f.reported ? "one" : "no valid", c.wait_status);
    default:
      if (f.letter == 'D' && c.ended && WIFEXITED(c.wait_status))
        return fmt::format("ended by itself with exit status {}", WEXITSTATUS(c.wait_status));
      return printable(f.detail);
  }
}

}  // namespace tasks::sandbox
