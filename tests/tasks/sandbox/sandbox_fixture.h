// Owns what the sandbox tests share: one sandbox per binary, or the reason why there is none.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "tasks/sandbox.h"
#include "tasks/sandbox/start_options.h"

namespace tasks::sandbox {

// Threads of the sanitizer's own make forking a launcher meaningless.
constexpr bool kThreadSanitizer =
#if defined(__SANITIZE_THREAD__)
    true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    true;
#else
    false;
#endif
#else
    false;
#endif

// Where a sandbox must exist (CI), its absence is a failure and not a skip.
inline bool must_have_sandbox() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string(ci) == "true" && !kThreadSanitizer;
}

class SandboxTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (kThreadSanitizer) {
      reason_ = "the launcher is not forked under ThreadSanitizer";
      return;
    }
    try {
      sandbox_ = Sandbox::start(0, 2);
    } catch (const SandboxUnavailable& e) {
      reason_ = e.what();
    }
  }
  static void TearDownTestSuite() { sandbox_.reset(); }

  void SetUp() override {
    if (sandbox_ != nullptr) return;
    if (must_have_sandbox()) FAIL() << reason_;
    GTEST_SKIP() << reason_;
  }

  static SandboxReport judge(const CodeProblem& problem, double cpu_s = 10) {
    SandboxLimits limits;
    limits.cpu_s = cpu_s;
    return sandbox_->judge(problem, limits);
  }

  // A program that defines f(); the test wants f(...) to be True.
  static SandboxReport judge_function(const std::string& program, double cpu_s = 10,
                                      const std::string& arguments = "") {
    return judge({"", program,
                  "def check(candidate):\n    assert candidate(" + arguments + ") is True\n", "f"},
                 cpu_s);
  }

  static std::unique_ptr<Sandbox> sandbox_;
  static std::string reason_;
};

inline std::unique_ptr<Sandbox> SandboxTest::sandbox_;
inline std::string SandboxTest::reason_;

}  // namespace tasks::sandbox

namespace tasks {
inline void PrintTo(Verdict v, std::ostream* out) { *out << verdict_name(v); }
}  // namespace tasks
