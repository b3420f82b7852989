// Shifted forms through the whole program: planned beside their clean twins, stored, marked again,
// and refused where they cannot be.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "datasets/ladder_suite.h"
#include "harness/question.h"
#include "harness/run_plan.h"
#include "harness/run_spec.h"
#include "tasks/text.h"
#include "tests/harness/byte_tokenizer.h"
#include "tests/harness/policy_run_fixture.h"
#include "tests/support/sanitized.h"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using ShiftRun = PolicyRunTest;

TEST_F(ShiftRun, EverySampleHasItsCleanTwinAndItsShiftedForms) {
  const auto run =
      args("run", "mmlu", db(),
           {"--limit", "1", "--num-fewshot", "1", "--shift",
            "typos:2,option_symbols:1,neutral.padding:1,option_order:1", "--shift-seed", "5"});
  const auto out = moeval(run);
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_THAT(out.err, HasSubstr("shift typos:2 on mmlu: asked of "));
  EXPECT_EQ(stored::rows(db(),
                         "SELECT DISTINCT h.name, h.family, h.severity, q.shift_seed, "
                         "q.label_preserved FROM query q JOIN shift h USING(shift_id) ORDER BY 1"),
            "clean\tclean\t0\t0\tNULL\nneutral.padding\tneutral\t1\t5\t1\n"
            "option_order\toption_order\t1\t0\t1\noption_symbols\toption_symbols\t1\t0\t1\n"
            "typos\ttypos\t2\t5\t1\n");
  // No form without its twin.
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(*) FROM v_attempt s WHERE NOT EXISTS (SELECT 1 FROM "
                         "v_attempt c WHERE c.shift = 'clean' AND c.source_key = s.source_key)"),
            "0\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(*) FROM v_attempt WHERE shift = 'typos' AND prompt_tokens = "
                         "0 OR status <> 'ok'"),
            "0\n");
  EXPECT_THAT(stored::rows(db(), "SELECT fingerprint_json FROM run"),
              HasSubstr("\"shift\":\"typos:2/v1 option_symbols:1/v1 neutral.padding:1/v101 "
                        "option_order:1/v1 seed 5 items 0\""));
  // Labels are shown in the demonstration too, and are the options.
  EXPECT_EQ(stored::rows(db(),
                         "SELECT DISTINCT o.text FROM attempt_option o JOIN v_attempt v "
                         "USING(attempt_id) WHERE shift = 'option_symbols' ORDER BY 1"),
            " 1\n 2\n 3\n 4\n");
  // The same command has nothing left to do; another seed is another run.
  EXPECT_THAT(moeval(run).err, HasSubstr("already complete"));
  auto other = run;
  other.back() = "6";
  ASSERT_EQ(moeval(other).code, 0);
  EXPECT_EQ(stored::rows(db(), "SELECT COUNT(*) FROM run"), "2\n");
  EXPECT_EQ(moeval({"verify", "--db", db()}).code, 0);
  // Marked again from the stored answers, each form by its own key.
  const auto again = moeval({"rescore", "--db", db(), "--data", "embedded", "--format", "json"});
  ASSERT_EQ(again.code, 0) << again.err;
  const auto j = nlohmann::json::parse(again.out);
  EXPECT_EQ(j[0]["same"], j[0]["marked"]);
  EXPECT_GT(j[0]["marked"], 30);
}

TEST_F(ShiftRun, TheSuiteOodIsEveryFittingShiftOfItsSeedItems) {
  const auto run =
      args("run", "mmlu_cloze,ood", db(), {"--sample", "12", "--shift-items", "5", "--seed", "3"});
  const auto out = moeval(run);
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(stored::rows(db(), "SELECT COUNT(*) FROM v_attempt WHERE shift = 'clean'"), "12\n");
  // Ten families fit questions without letters; template:3 fits none of these five.
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(DISTINCT shift), COUNT(DISTINCT shift || severity), "
                         "COUNT(DISTINCT source_key) FROM v_attempt WHERE shift <> 'clean'"),
            "10\t29\t5\n");
  EXPECT_THAT(out.err,
              HasSubstr("shift template:3 on mmlu_cloze: asked of 0 of 5 samples; not of 5, "
                        "its stem has no phrase of the list"));
  EXPECT_THAT(stored::rows(db(), "SELECT note FROM run"),
              HasSubstr("mmlu_cloze trained sample 12 seed 3 shift all seed 0 of 5 items"));
  // What is exported for lm-eval are the questions as they are.
  const auto folder = folder_.path() / "exported";
  ASSERT_EQ(moeval({"export", "--db", db(), "--output", folder}).code, 0);
  size_t lines = 0;
  for (const auto& f : std::filesystem::recursive_directory_iterator(folder))
    if (f.path().extension() == ".jsonl") {
      const auto text = program::slurp(f.path());
      lines += static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    }
  EXPECT_EQ(lines, 12u);
  // Alone it brings a task of its own.
  const auto alone =
      moeval(args("run", "ood", db("alone.db"), {"--shift", "spoof_up:1", "--dry-run"}));
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(alone.err, HasSubstr("shift spoof_up:1 on mmlu_cloze: asked of 60 of 60 samples"));
}

TEST_F(ShiftRun, CodeIsAskedUnderItsNewName) {
  const auto out = moeval(args("sweep", "humaneval", db(),
                               {"--limit", "4", "--grid", "2", "--no-generate", "--shift",
                                "code_surface:2", "--format", "json"}));
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(stored::rows(db(), "SELECT shift, COUNT(*) FROM v_attempt GROUP BY 1"),
            "clean\t4\ncode_surface\t4\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(*) FROM v_attempt a JOIN query q USING(query_id) JOIN text "
                         "x ON x.text_id = q.prompt_text_id WHERE shift = 'code_surface' AND "
                         "instr(x.body, 'def ' || a.gold || '(')"),
            "0\n");
  // A shift is no way to ask the same question: it has a row of its own.
  const auto cells = nlohmann::json::parse(out.out)["cells"];
  ASSERT_EQ(cells.size(), 2u);
  for (const auto& c : cells) EXPECT_EQ(c["attempts"], 4) << c["shift"];
}

TEST_F(ShiftRun, WhatCannotBeIsAUsageErrorThatSaysWhy) {
  const auto refused = [&](const std::string& task, const std::string& shift) {
    const auto out = moeval(args("run", task, db(), {"--limit", "1", "--shift", shift}));
    EXPECT_EQ(out.code, 2) << out.err;
    return out.err;
  };
  EXPECT_THAT(refused("mmlu_cloze", "option_order:1"),
              HasSubstr("--shift option_order:1: cannot be applied to mmlu_cloze: it changes "
                        "lettered options, and this task shows none"));
  EXPECT_THAT(refused("mmlu", "code_surface:1"),
              HasSubstr("cannot be applied to mmlu: it changes code, and this task has none"));
  EXPECT_THAT(refused("humaneval", "typos:1"), HasSubstr("it changes questions in words"));
  EXPECT_THAT(refused("mmlu", "typo:1"), HasSubstr("--shift \"typo:1\": unknown family"));
  EXPECT_THAT(refused("mmlu", "typos:1,typos:1"), HasSubstr("typos:1 is named twice"));
  EXPECT_THAT(refused("mmlu", "typos:9"), HasSubstr("severity 1 to 3"));
  EXPECT_THAT(refused("mmlu", "typos:1,all"), HasSubstr("all stands alone"));
  EXPECT_FALSE(std::filesystem::exists(db()));
}

TEST_F(ShiftRun, FormsThatDoNotExistAreCountedAndListed) {
  const auto run =
      args("run", "mmlu", db(), {"--num-fewshot", "0", "--shift", "template:3", "--dry-run"});
  const auto out = moeval(run);
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_THAT(out.err, AllOf(HasSubstr("shift template:3 on mmlu: asked of "),
                             HasSubstr("its stem has no phrase of the list (mmlu_embedded/"),
                             HasSubstr(" more)")));
  EXPECT_THAT(out.out, Not(HasSubstr(" more)")));  // every one of them
  auto as_json = run;
  as_json.insert(as_json.end(), {"--format", "json"});
  const auto j = nlohmann::json::parse(moeval(as_json).out);
  ASSERT_FALSE(j["missing_forms"].empty());
  EXPECT_EQ(j["missing_forms"][0]["shift"], "template:3");
  for (const auto& m : j["missing_forms"])
    EXPECT_THAT(out.out, HasSubstr(m["sample"].get<std::string>()));
}

TEST_F(ShiftRun, TaskShowPrintsTheShiftedBytesAndTheLog) {
  const std::vector<std::string> show = {
      "task",   "show",     "mmlu",          "--doc", "3",       "--model", model(),
      "--data", "embedded", "--num-fewshot", "0",     "--shift", "typos:2"};
  const auto out = moeval(show);
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_THAT(out.out,
              AllOf(HasSubstr("--- shift typos:2, seed 0: words_close"), HasSubstr("input byte ")));
  auto as_json = show;
  as_json.insert(as_json.end(), {"--format", "json"});
  const auto j = nlohmann::json::parse(moeval(as_json).out);
  ASSERT_EQ(j["edits"].size(), 2u);
  EXPECT_EQ(j["edits"][0]["field"], "input");
  const auto prompt = j["prompt"].get<std::string>();
  EXPECT_THAT(prompt, HasSubstr(j["edits"][0]["after"].get<std::string>()));
  EXPECT_THAT(out.out, HasSubstr(j["edits"][1]["after"].get<std::string>()));
}

TEST_F(ShiftRun, ThePredictorReadsTheShiftedQuestion) {
  harness::RunSpec spec;
  spec.tasks = {"mmlu_cloze"};
  spec.data = "embedded";
  spec.limit = 1;
  spec.shifts = {"padding:1", "spoof_up:3"};
  const auto plan = harness::make_plan(spec);
  const test_support::ByteTokenizer tokenizer;
  size_t shifted = 0;
  for (const auto& a : plan.attempts) {
    const harness::Question q("key", harness::query_of(plan, spec, a), tokenizer);
    const auto asked = harness::asked_sample(plan, a);
    EXPECT_EQ(q.text, tasks::strip(asked.input));
    shifted += q.text.size() > plan.sample(a).input.size();
  }
  EXPECT_EQ(shifted * 3, plan.attempts.size() * 2);
}

// Text around the question, and the order of its options, mean nothing to the ladder model: what
// was planted stands at every k.
TEST_F(ShiftRun, TheLaddersPlantedTruthStandsUnderShiftsOfItsSurroundings) {
  const int samples = test_support::kSanitized ? 6 : 18;
  const std::string grid = test_support::kSanitized ? "2,12" : "1,2,4,8,12,16";
  const auto out =
      moeval({"sweep", "--model", "ladder", "--tasks", "ladder", "--sample",
              std::to_string(samples), "--grid", grid, "--ways", "1", "--db", db(), "--shift",
              "layout:1,option_order:2,distractors:3,padding:1,template:2,spoof_up:3,spoof_down:3,"
              "neutral:3"});
  ASSERT_EQ(out.code, 0) << out.err;
  std::stringstream rows(stored::rows(
      db(), "SELECT source_key, k_requested, correct, shift FROM v_attempt WHERE status = 'ok'"));
  size_t n = 0;
  std::string id, k, correct, shift;
  while (std::getline(rows, id, '\t') && std::getline(rows, k, '\t') &&
         std::getline(rows, correct, '\t') && std::getline(rows, shift)) {
    const auto truth = datasets::ladder_truth(id);
    ASSERT_TRUE(truth) << id;
    EXPECT_EQ(correct, truth->right_at(std::stoi(k)) ? "1" : "0") << id << " " << k << " " << shift;
    ++n;
  }
  EXPECT_EQ(n, static_cast<size_t>(samples) * (test_support::kSanitized ? 2 : 6) * 9);
}

}  // namespace
