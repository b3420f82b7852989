// A shifted program still asks for what its tests check: the reference solution, renamed where the
// function is, passes.
#include <gtest/gtest.h>

#include <thread>

#include "datasets/catalog.h"
#include "tasks/shift.h"
#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

class ShiftedSolutions : public SandboxTest {
 protected:
  // Judges the reference of every `step`-th sample under each shift; says how many passed.
  static void expect_passes(const std::vector<datasets::Sample>& samples, size_t step,
                            const std::vector<Shift>& shifts) {
    struct Job {
      std::string label;
      CodeProblem problem;
      std::string failure;
    };
    std::vector<Job> jobs;
    size_t not_applied = 0;
    for (size_t i = 0; i < samples.size(); i += step)
      for (const Shift& shift : shifts) {
        const auto made = apply_shift(shift, samples[i], 3);
        if (!made.shifted) {
          ++not_applied;
          continue;
        }
        const auto& s = made.shifted->sample;
        jobs.push_back({samples[i].id + " " + shift_label(shift),
                        {s.input, s.reference, s.test, s.entry_point},
                        {}});
      }
    const auto judge_from = [&](size_t first) {
      for (size_t i = first; i < jobs.size(); i += 2) {
        const auto r = judge(jobs[i].problem, 5 * sandbox_->machine_factor());
        if (r.verdict != Verdict::passed)
          jobs[i].failure = std::string(verdict_name(r.verdict)) + ": " + r.detail;
      }
    };
    std::thread other(judge_from, 1);
    judge_from(0);
    other.join();
    size_t passed = 0;
    for (const Job& job : jobs) {
      passed += job.failure.empty();
      EXPECT_TRUE(job.failure.empty()) << job.label << " " << job.failure << "\n"
                                       << job.problem.prompt;
    }
    ASSERT_GT(jobs.size(), 0u);
    std::printf("%zu of %zu shifted programs passed; %zu forms do not exist\n", passed, jobs.size(),
                not_applied);
  }

  static std::vector<Shift> code_shifts(int from) {
    std::vector<Shift> out;
    for (int severity = from; severity <= kMostSeverity; ++severity)
      for (const auto& name : shift_families()) {
        Shift s{parse_shift(name + ":1").family, severity};
        if (name.starts_with("gadget")) s.text = "olive JC velvet";
        if (why_never(s, false, true).empty()) out.push_back(s);
      }
    return out;
  }
};

TEST_F(ShiftedSolutions, OfTheBuiltInProgramsPass) {
  expect_passes(datasets::load("humaneval_embedded", {}, {}).samples, 1,
                {{ShiftFamily::code_surface, 1}, {ShiftFamily::code_surface, 3}});
  expect_passes(datasets::load("humaneval_embedded", {}, {}).samples, 12, code_shifts(1));
}

TEST_F(ShiftedSolutions, OfTwentyRealProgramsPass) {
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  expect_passes(datasets::load("humaneval", roots, {}).samples, 8,
                {{ShiftFamily::code_surface, 2}, {ShiftFamily::code_surface, 3}});
}

// Minutes: by hand, with --gtest_also_run_disabled_tests.
TEST_F(ShiftedSolutions, DISABLED_OfEveryProgramUnderEveryShiftPass) {
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  expect_passes(datasets::load("humaneval", roots, {}).samples, 1, code_shifts(1));
}

TEST_F(ShiftedSolutions, AWrongNameWouldBeNoticed) {
  const auto sample = datasets::load("humaneval_embedded", {}, {}).samples[0];
  const auto made = apply_shift({ShiftFamily::code_surface, 2}, sample, 3);
  ASSERT_TRUE(made.shifted);
  const auto& s = made.shifted->sample;
  EXPECT_NE(judge({s.input, s.reference, s.test, sample.entry_point}).verdict, Verdict::passed);
}

}  // namespace
}  // namespace tasks::sandbox
