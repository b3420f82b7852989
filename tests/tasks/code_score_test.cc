#include <gtest/gtest.h>

#include "tasks/code_task.h"
#include "tasks/task.h"

namespace tasks {
namespace {

// Answers every problem with one planted report and remembers what it was asked.
class PlantedSandbox final : public Sandbox {
 public:
  explicit PlantedSandbox(Verdict verdict, double factor = 1) : factor_(factor) {
    report_.verdict = verdict;
    report_.detail = "planted";
  }
  SandboxReport judge(const CodeProblem& problem, const SandboxLimits& limits) override {
    problem_ = problem;
    limits_ = limits;
    ++n_calls;
    return report_;
  }
  const SandboxInfo& info() const override { return info_; }
  double machine_factor() const override { return factor_; }

  CodeProblem problem_;
  SandboxLimits limits_;
  int n_calls = 0;

 private:
  SandboxReport report_;
  SandboxInfo info_;
  double factor_;
};

datasets::Sample sample() {
  datasets::Sample s;
  s.id = "Made/0";
  s.input = "def twice(x):\n    \"\"\"Twice x.\"\"\"\n";
  s.reference = "    return 2 * x\n";
  s.test = "def check(candidate):\n    assert candidate(1) == 2\n";
  s.entry_point = "twice";
  return s;
}

Answer answer(std::string text) {
  Answer a;
  a.text = std::move(text);
  return a;
}

TEST(CodeScore, JudgesPromptPlusCompletionCutAtTheFirstStop) {
  PlantedSandbox sandbox(Verdict::passed);
  Answer a = answer("    return 2 * x\n\nprint(f(1))\n\ndef g(): pass\n");
  a.reference_logprob = -12.5;
  a.reference_tokens = 6;
  const Score s = make_task("humaneval")->score(sample(), a, &sandbox);
  EXPECT_EQ(s.state, Score::State::graded);
  EXPECT_EQ(s.verdict, Verdict::passed);
  EXPECT_EQ(s.value, 1);
  EXPECT_DOUBLE_EQ(*s.gold_nll, 12.5);
  EXPECT_EQ(s.extracted, sample().input + "    return 2 * x\n");
  EXPECT_EQ(sandbox.problem_.prompt, sample().input);
  EXPECT_EQ(sandbox.problem_.completion, "    return 2 * x\n");
  EXPECT_EQ(sandbox.problem_.test, sample().test);
  EXPECT_EQ(sandbox.problem_.entry_point, "twice");
}

TEST(CodeScore, InstructCutsAtTheFirstFence) {
  PlantedSandbox sandbox(Verdict::passed);
  const auto task = make_task("humaneval_instruct");
  task->score(sample(), answer("    return 2 * x\n```\nHope this helps!\n```python\n"), &sandbox);
  EXPECT_EQ(sandbox.problem_.completion, "    return 2 * x\n");
  // The plain task keeps fences: they are part of its protocol's program.
  make_task("humaneval")->score(sample(), answer("    return 1\n```\n"), &sandbox);
  EXPECT_EQ(sandbox.problem_.completion, "    return 1\n```\n");
}

TEST(CodeScore, MbppsAnswerIsTheWholeProgramAndItsSetupRunsBehindIt) {
  PlantedSandbox sandbox(Verdict::passed);
  datasets::Sample s = sample();
  const auto task = make_task("mbpp");
  const Score score =
      task->score(s, answer("def twice(x):\r\n  return 2 * x\n[DONE]\nmore"), &sandbox);
  EXPECT_EQ(sandbox.problem_.prompt, "");
  EXPECT_EQ(sandbox.problem_.completion, "def twice(x):\r\n  return 2 * x\n");
  EXPECT_EQ(score.extracted, sandbox.problem_.completion);
  EXPECT_DOUBLE_EQ(sandbox.limits_.cpu_s, 10);
  s.setup = "root = Node(1)";
  EXPECT_EQ(task->score(s, answer("a"), &sandbox).extracted, "a");
  EXPECT_EQ(sandbox.problem_.completion, "a\nroot = Node(1)");
}

TEST(CodeScore, CpuLimitIsThreeSecondsTimesTheMachineFactor) {
  PlantedSandbox slow(Verdict::passed, 2.5), fast(Verdict::passed, 0.5);
  make_task("humaneval")->score(sample(), answer(""), &slow);
  EXPECT_DOUBLE_EQ(slow.limits_.cpu_s, 7.5);
  EXPECT_GE(slow.limits_.wall_s, 60);
  make_task("humaneval")->score(sample(), answer(""), &fast);
  EXPECT_DOUBLE_EQ(fast.limits_.cpu_s, 3.0);
}

// With 3 seconds the reference solution of HumanEval/139 is stopped: 80 times as many tests.
TEST(CodeScore, HumanEvalPlusGrantsTwentySeconds) {
  PlantedSandbox sandbox(Verdict::passed);
  make_task("humaneval_plus")->score(sample(), answer(""), &sandbox);
  EXPECT_DOUBLE_EQ(sandbox.limits_.cpu_s, 20);
  EXPECT_DOUBLE_EQ(sandbox.limits_.wall_s, 200);
}

TEST(CodeScore, OnlyPassedIsRightAndInfrastructureIsNoVerdictOnTheAnswer) {
  for (const Verdict v :
       {Verdict::passed, Verdict::wrong, Verdict::error, Verdict::timeout_cpu,
        Verdict::timeout_wall, Verdict::memory, Verdict::output_limit, Verdict::crash_signal,
        Verdict::policy_kill, Verdict::protocol, Verdict::load_error, Verdict::infra}) {
    PlantedSandbox sandbox(v);
    const Score s = make_task("humaneval")->score(sample(), answer("    pass\n"), &sandbox);
    EXPECT_EQ(s.verdict, v);
    EXPECT_EQ(s.value, v == Verdict::passed ? 1 : 0) << verdict_name(v);
    EXPECT_EQ(s.state, v == Verdict::infra ? Score::State::unscored : Score::State::graded)
        << verdict_name(v);
  }
}

TEST(CodeScore, WithoutASandboxItIsUnscoredButTheProgramIsKept) {
  const Score s = make_task("humaneval")->score(sample(), answer("    return 3\n"), nullptr);
  EXPECT_EQ(s.state, Score::State::unscored);
  EXPECT_EQ(s.verdict, Verdict::not_run);
  EXPECT_EQ(s.extracted, sample().input + "    return 3\n");
}

TEST(CodeScore, AnswersThatDoNotExistNeverReachTheSandbox) {
  PlantedSandbox sandbox(Verdict::passed);
  const auto task = make_task("humaneval");
  Answer a;
  a.status = Answer::Status::too_long;
  EXPECT_EQ(task->score(sample(), a, &sandbox).verdict, Verdict::too_long);
  EXPECT_EQ(task->score(sample(), a, &sandbox).state, Score::State::graded);
  a.status = Answer::Status::not_finite;
  EXPECT_EQ(task->score(sample(), a, &sandbox).verdict, Verdict::wrong);
  a.status = Answer::Status::cancelled;
  EXPECT_EQ(task->score(sample(), a, &sandbox).state, Score::State::unscored);
  EXPECT_EQ(sandbox.n_calls, 0);
}

TEST(CodeScore, SaysThatTheAnswerReachedTheTokenLimit) {
  PlantedSandbox sandbox(Verdict::error);
  Answer a = answer("    return (1 +");
  a.hit_length_limit = true;
  EXPECT_EQ(make_task("humaneval")->score(sample(), a, &sandbox).detail,
            "planted; answer reached the token limit");
}

}  // namespace
}  // namespace tasks
