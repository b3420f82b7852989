// Measured facts to verdicts, without any process.
#include "tasks/sandbox/verdict.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace tasks::sandbox {
namespace {

constexpr Token kToken{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr int32_t exited(int code) { return code << 8; }

std::string message(char letter, uint64_t n_calls, const std::string& detail,
                    Token token = kToken) {
  std::string bytes(token.begin(), token.end());
  bytes += letter;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(n_calls >> 8 * i & 0xff);
  bytes += static_cast<char>(detail.size() & 0xff);
  bytes += static_cast<char>(detail.size() >> 8);
  return bytes + detail;
}

RunRequest request() {
  RunRequest r;
  r.cpu_s = 3;
  r.wall_s = 60;
  r.memory_bytes = int64_t{512} << 20;
  return r;
}

RunFacts facts_of(const std::string& report) {
  RunFacts f;
  f.checker.ended = true;
  f.checker.wait_status = exited(0);
  read_report(report, kToken, f);
  return f;
}

TEST(ReadReport, AcceptsExactlyOneWholeMessage) {
  const RunFacts f = facts_of(message('P', 300, "3.11"));
  EXPECT_TRUE(f.reported);
  EXPECT_EQ(f.n_calls, 300u);
  EXPECT_STREQ(f.detail, "3.11");
  EXPECT_EQ(classify(f, request()), Verdict::passed);
}

TEST(ReadReport, RefusesEverythingElse) {
  const std::string good = message('P', 2, "x");
  Token wrong = kToken;
  wrong[15] ^= 1;
  const std::string bad[] = {"",
                             "P",
                             "passed",
                             good + good,
                             good + "x",
                             good.substr(0, good.size() - 1),
                             "\n" + good,
                             message('P', 2, "x", wrong),
                             message('p', 2, "x"),
                             message('P', 2, std::string(500, 'x'))};
  for (const std::string& report : bad) {
    const RunFacts f = facts_of(report);
    EXPECT_FALSE(f.reported) << report;
    EXPECT_EQ(classify(f, request()), Verdict::infra) << report;
  }
}

TEST(Classify, ZeroCallsAreNoPass) {
  EXPECT_EQ(classify(facts_of(message('P', 0, "")), request()), Verdict::infra);
}

TEST(Classify, APassNeedsTheCheckersExitStatusZero) {
  RunFacts f = facts_of(message('P', 1, ""));
  for (int32_t status : {exited(1), int32_t{SIGSEGV}, int32_t{SIGKILL}}) {
    f.checker.wait_status = status;
    EXPECT_EQ(classify(f, request()), Verdict::infra) << status;
  }
  f.checker.wait_status = exited(0);
  f.checker.ended = false;
  EXPECT_EQ(classify(f, request()), Verdict::infra);
}

TEST(Classify, APassNeedsCpuTimeWithinTheLimit) {
  RunFacts f = facts_of(message('P', 1, ""));
  f.candidate.cpu_s = 3.0;
  EXPECT_EQ(classify(f, request()), Verdict::passed);
  f.candidate.cpu_s = 3.01;
  EXPECT_EQ(classify(f, request()), Verdict::timeout_cpu);
}

TEST(Classify, ASetUpErrorIsInfraWhateverElseHappened) {
  RunFacts f = facts_of(message('P', 1, ""));
  std::string_view("broken").copy(f.setup_error, 200);
  EXPECT_EQ(classify(f, request()), Verdict::infra);
  EXPECT_EQ(describe(f, Verdict::infra), "broken");
}

TEST(Classify, ReadsHowTheCandidateEnded) {
  const auto ended_with = [](int32_t status, double cpu_s, int64_t rss_bytes, uint64_t n_calls) {
    RunFacts f = facts_of(message('D', n_calls, ""));
    f.candidate.ended = true;
    f.candidate.wait_status = status;
    f.candidate.cpu_s = cpu_s;
    f.candidate.peak_rss_bytes = rss_bytes;
    return classify(f, request());
  };
  EXPECT_EQ(ended_with(SIGSYS, 0, 0, 1), Verdict::policy_kill);
  EXPECT_EQ(ended_with(SIGSEGV, 0, 0, 1), Verdict::crash_signal);
  EXPECT_EQ(ended_with(SIGABRT, 0, int64_t{500} << 20, 1), Verdict::memory);
  EXPECT_EQ(ended_with(SIGXCPU, 3, 0, 1), Verdict::timeout_cpu);
  EXPECT_EQ(ended_with(SIGKILL, 4, 0, 1), Verdict::timeout_cpu);
  EXPECT_EQ(ended_with(SIGKILL, 0.1, 0, 1), Verdict::infra);
  EXPECT_EQ(ended_with(exited(0), 0, 0, 1), Verdict::error);
  EXPECT_EQ(ended_with(exited(0), 0, 0, 0), Verdict::load_error);
}

TEST(Classify, ASleeperIsToldFromASleepingChecker) {
  RunFacts f = facts_of(message('D', 1, ""));
  f.candidate.hit = Hit::idle;
  EXPECT_EQ(classify(f, request()), Verdict::timeout_wall);
  f.reported = false;
  f.checker.hit = Hit::wall;
  EXPECT_EQ(classify(f, request()), Verdict::infra);
}

TEST(Printable, KeepsOneLineOfAscii) {
  EXPECT_EQ(printable("a\x1b[31m\nb\xc3\xa9\x7f"), "a [31m b?? ");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 300u);
}

}  // namespace
}  // namespace tasks::sandbox
