// Owns the sandbox interface: runs untrusted programs. "The program failed" is never confused with
// "we could not run it".
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "tasks/score.h"

namespace tasks {

// The machine cannot confine programs (or its self-test failed). Exit code 5.
class SandboxUnavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// judge() takes them as they are; its caller multiplies cpu_s by machine_factor().
struct SandboxLimits {
  double cpu_s = 3.0;  // the 3-second convention: CPU time plus time asleep, not time kept waiting
  double wall_s = 60.0;  // backstop only
  int64_t memory_bytes = int64_t{512} << 20;
  int64_t output_bytes = int64_t{64} << 10;  // 16 times as much is drained before it is stopped
};

// One function-writing problem under judgement. The candidate runs in its own process; the tests
// run in another, where `candidate` is a proxy.
struct CodeProblem {
  std::string prompt;      // imports, helpers, signature, docstring
  std::string completion;  // the untrusted part; program = prompt + completion
  std::string test;        // defines check(candidate)
  std::string entry_point;
};

struct SandboxReport {
  Verdict verdict = Verdict::infra;
  double cpu_s = 0, wall_s = 0;
  int64_t peak_rss_bytes = 0;
  int64_t n_calls = 0;  // calls that the checker made
  std::string detail;   // one line; control characters removed
};

struct SandboxInfo {
  int tier = 0;             // 1 root, 2 user namespaces
  std::string interpreter;  // absolute path
  std::string interpreter_version;
  std::string interpreter_sha256;
  std::string policy_sha256;  // seccomp rules + limits + shims
  int landlock_abi = 0;
  std::string kernel;
};

// Thread-safe: judge() may be called from several threads; each call uses one slot.
class Sandbox {
 public:
  // Must be called before the process has threads or large memory: it forks the launcher
  // (reliability.md section 3). Runs the self-test; throws SandboxUnavailable. tier 0 = best
  // available of 1 and 2; 3 only when asked for.
  static std::unique_ptr<Sandbox> start(int tier = 0, int slots = 2);
  virtual ~Sandbox() = default;
  virtual SandboxReport judge(const CodeProblem&, const SandboxLimits&) = 0;
  virtual const SandboxInfo& info() const = 0;
  // Seconds of CPU that a fixed Python workload takes here over its reference time: multiplies the
  // 3-second limit so that a slow machine does not turn right answers into time-outs. >= 1.
  virtual double machine_factor() const = 0;
};

}  // namespace tasks
