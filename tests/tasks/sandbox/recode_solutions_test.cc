// Every problem that ReCode's files are asked with can be solved: its reference solution passes.
// Those that tasks/shift/recode_broken.h leaves out cannot.
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "datasets/catalog.h"
#include "datasets/recode_files.h"
#include "tasks/shift.h"
#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

using datasets::RecodeMethod;
using datasets::Sample;

class RecodeSolutions : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    roots_ = datasets::default_search_roots();
    if (roots_.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
    whole_ = datasets::load("humaneval", roots_, {});
    partial_ = datasets::load("recode", roots_, {});
  }

  struct Job {
    std::string label;
    CodeProblem problem;
    bool asked = true;  // the others are held against what they are left out for
    SandboxReport report;
  };

  // Of every `step`-th problem of a file.
  void add(const RecodeMethod& m, int draw, size_t step, bool with_broken, std::vector<Job>* jobs) {
    Shift s = parse_shift("recode." + std::string(m.name) + ":" + std::to_string(draw));
    s.forms = std::make_shared<datasets::Dataset>(datasets::load_recode(m, draw, roots_));
    const auto& clean = m.is_partial() ? partial_.samples : whole_.samples;
    for (size_t i = static_cast<size_t>(draw) % step; i < clean.size(); i += step) {
      const auto made = apply_shift(s, clean[i], 0);
      const bool broken = made.why_not.find("fails") != std::string::npos ||
                          made.why_not.find("breaks") != std::string::npos;
      ++n_[made.shifted ? "asked" : made.why_not];
      if (!made.shifted && !(broken && with_broken)) continue;
      const Sample& f = made.shifted ? made.shifted->sample : s.forms->samples.at(i);
      jobs->push_back({shift_label(s) + " " + clean[i].id,
                       {f.input, f.reference, f.test, f.entry_point},
                       made.shifted.has_value(),
                       {}});
    }
  }

  static void judge_all(std::vector<Job>* jobs) {
    const auto judge_from = [&](size_t first) {
      for (size_t i = first; i < jobs->size(); i += 2)
        (*jobs)[i].report = judge((*jobs)[i].problem, 3 * sandbox_->machine_factor());
    };
    std::thread other(judge_from, 1);
    judge_from(0);
    other.join();
    size_t passed = 0, asked = 0;
    for (const Job& job : *jobs) {
      const bool pass = job.report.verdict == Verdict::passed;
      passed += pass && job.asked;
      asked += job.asked;
      EXPECT_EQ(pass, job.asked) << job.label << " " << verdict_name(job.report.verdict) << ": "
                                 << job.report.detail;
    }
    ASSERT_GT(asked, 0u);
    std::printf("%zu of %zu reference solutions pass\n", passed, asked);
  }

  std::vector<std::filesystem::path> roots_;
  datasets::Dataset whole_, partial_;
  std::map<std::string, int> n_;
};

TEST_F(RecodeSolutions, ASampleOfEachMethodPasses) {
  std::vector<Job> jobs;
  for (const RecodeMethod& m : datasets::recode_methods()) add(m, m.draws / 2, 55, false, &jobs);
  EXPECT_GT(jobs.size(), 60u);
  judge_all(&jobs);
}

// A quarter of an hour: by hand, with --gtest_also_run_disabled_tests.
TEST_F(RecodeSolutions, DISABLED_EveryFormPassesAndNoneThatIsLeftOut) {
  for (const RecodeMethod& m : datasets::recode_methods()) {
    std::vector<Job> jobs;
    n_.clear();
    for (int draw = 0; draw < m.draws; ++draw) add(m, draw, 1, true, &jobs);
    std::printf("%s:", std::string(m.name).c_str());
    for (const auto& [why, n] : n_) std::printf(" %d %s;", n, why.c_str());
    std::printf("\n");
    judge_all(&jobs);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace tasks::sandbox
