// What storing costs; by hand, because no test here fails on a clock:
//   results_tests --gtest_also_run_disabled_tests --gtest_filter='*AppendSpeed*'
#include <algorithm>
#include <chrono>

#include "tests/results/store_fixture.h"

namespace results {
namespace {

using Clock = std::chrono::steady_clock;
using AppendSpeedTest = StoreTest;

double microseconds(Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

void report(const char* what, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  fmt::print("{}: n {} p50 {:.0f} us p99 {:.0f} us max {:.0f} us\n", what, us.size(),
             us[us.size() / 2], us[us.size() * 99 / 100], us.back());
}

// A row of the size of a real one: 3 KB of demonstrations shared by 100, a 500-byte question.
AttemptBundle realistic(const RunPlan& plan, int i) {
  AttemptBundle b = bundle_for(plan, i);
  b.query.prefix_text = fmt::format("subject {:3000}", i / 100);
  b.query.prompt_text = fmt::format("question {:500}", i);
  b.output_text = std::string(20, 'A');
  return b;
}

TEST_F(AppendSpeedTest, DISABLED_CommitAndCallTimes) {
  constexpr int kRows = 5000;
  const RunPlan plan = small_plan(kRows);
  auto store = writer();
  auto t = Clock::now();
  store->begin_or_resume(plan);
  fmt::print("begin, {} planned rows: {:.1f} ms\n", kRows, microseconds(Clock::now() - t) / 1e3);
  std::vector<double> call, commit;
  for (int i = 0; i < kRows / 2; ++i) {
    AttemptBundle b = realistic(plan, i);
    const auto begin = Clock::now();
    store->append(std::move(b));
    call.push_back(microseconds(Clock::now() - begin));
    store->flush();
    commit.push_back(microseconds(Clock::now() - begin));
  }
  report("append call, queue empty", call);
  report("append to committed", commit);
  t = Clock::now();
  for (int i = kRows / 2; i < kRows; ++i) store->append(realistic(plan, i));
  store->flush();
  fmt::print("back to back: {:.0f} us a row\n", microseconds(Clock::now() - t) / (kRows / 2));
  t = Clock::now();
  EXPECT_EQ(store->finish("complete"), "complete");
  fmt::print("finish with verification: {:.1f} ms, file {} bytes\n",
             microseconds(Clock::now() - t) / 1e3, std::filesystem::file_size(file_));
}

}  // namespace
}  // namespace results
