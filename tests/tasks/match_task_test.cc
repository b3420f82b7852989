#include "tasks/match_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "datasets/catalog.h"
#include "datasets/input_bytes.h"
#include "datasets/sha256.h"
#include "datasets/text_sets.h"
#include "tasks/shift.h"

namespace tasks {
namespace {

using nlohmann::json;
using testing::HasSubstr;

datasets::Sample row(std::string subset, std::string question, std::string solution,
                     std::string target) {
  datasets::Sample s;
  s.id = "made/" + question;
  s.subset = std::move(subset);
  s.input = std::move(question);
  s.reference = std::move(solution);
  s.target = std::move(target);
  return s;
}

datasets::Dataset made_up() {
  datasets::Dataset d;
  d.name = "made_up";
  d.demonstrations = {row("other_kind", "o", "O", "o"), row("", "a", "A", "1"),
                      row("my_kind", "b", "B", "2"), row("", "c", "C", "3")};
  d.instructions["my_kind"] = "Do it.";
  return d;
}

json match_file() {
  return json::parse(R"({
    "task": "t", "kind": "match", "description": "d", "dataset": "made_up", "num_fewshot": 2,
    "prompt": {"header": "{{instruction}}\n", "item": "{{subject}}: {{question}}=",
               "answer": "{{solution}}"},
    "reference": "{{solution}}|{{target}}",
    "generation": {"stops": ["STOP"], "max_new_tokens": 7}, "extraction": "gsm_strict"})");
}

TaskSpec spec_of(const json& file) { return parse_task_file(file.dump(), "my.json"); }

std::string match_file_error(const char* patch) {
  json file = match_file();
  file.merge_patch(json::parse(patch));
  try {
    spec_of(file);
  } catch (const TaskError& e) {
    return e.what();
  }
  return "no error";
}

TEST(MatchTask, ShowsRowsOfTheSubsetAndRowsOfNone) {
  const Query q =
      MatchTask(spec_of(match_file())).query(row("my_kind", "x y", "S", "9"), made_up());
  EXPECT_EQ(q.kind, Query::Kind::generate);
  EXPECT_EQ(q.prompt(), "Do it.\n: a=A\n\nmy kind: b=B\n\nmy kind: x y=");
  EXPECT_EQ(q.item.substr(q.question.first, q.question.second - q.question.first), "x y");
  EXPECT_EQ(q.reference, "S|9");
  EXPECT_EQ(q.max_new_tokens, 7);
  EXPECT_EQ(q.temperature, 0);
  EXPECT_THAT(q.stops, testing::ElementsAre("STOP"));
  EXPECT_TRUE(q.options.empty());
}

TEST(MatchTask, TooFewDemonstrationsAndMissingInstructionsAreErrors) {
  const auto error = [](int shots, const char* subset) -> std::string {
    TaskSpec spec = spec_of(match_file());
    set_num_fewshot(spec, shots);
    try {
      MatchTask(spec).query(row(subset, "x", "", "1"), made_up());
    } catch (const TaskError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error(3, "my_kind"), "no error");
  EXPECT_EQ(error(4, "my_kind"),
            "task t: \"my_kind\" has 3 demonstrations in data set made_up, num_fewshot is 4");
  EXPECT_EQ(error(0, "other_kind"),
            "task t: data set made_up has no instruction for \"other_kind\"");
}

TEST(MatchTask, FileDefaultsAndWrongKeys) {
  json file = match_file();
  file.erase("reference");
  file.erase("num_fewshot");
  file["prompt"] = {{"item", "{{question}}"}};
  const TaskSpec spec = spec_of(file);
  EXPECT_EQ(spec.kind, TaskSpec::Kind::match);
  EXPECT_TRUE(spec.question_edits);
  EXPECT_FALSE(spec.chance.has_value());
  EXPECT_EQ(json::parse(spec.json)["question_edits"], true);
  EXPECT_EQ(parse_task_file(spec.json, "again").json, spec.json);
  const Query q = MatchTask(spec).query(row("none", "x", "S", "1"), {});
  EXPECT_EQ(q.prompt(), "x");
  EXPECT_EQ(q.reference, "");

  EXPECT_EQ(match_file_error(R"({"extraction": "gsm_strickt"})"),
            "my.json: /extraction: is \"gsm_strickt\", want one of gsm_strict, gsm_flexible, "
            "gsm_plus, answer_is (nearest: gsm_strict)");
  EXPECT_EQ(match_file_error(R"({"extraction": null})"), "my.json: /extraction: is missing");
  EXPECT_EQ(match_file_error(R"({"prompt": {"item": "{{prompt}}"}})"),
            "my.json: /prompt/item: unknown field \"prompt\", want one of subject, question");
  EXPECT_EQ(match_file_error(R"({"reference": "{{question}}"})"),
            "my.json: /reference: unknown field \"question\", want one of solution, target");
  EXPECT_EQ(match_file_error(R"({"prompt": {"answer": null}})"),
            "my.json: /prompt/answer: is missing: separator and num_fewshot say how it is shown");
  EXPECT_EQ(match_file_error(R"({"question_edits": 1})"),
            "my.json: /question_edits: is a number, want true or false");
  EXPECT_THAT(match_file_error(R"({"cpu_s": 1})"), HasSubstr("/cpu_s: unknown key"));
  EXPECT_THAT(match_file_error(R"({"option": "x"})"), HasSubstr("/option: unknown key"));
}

Answer answer_of(std::string text) {
  Answer a;
  a.text = std::move(text);
  return a;
}

TEST(MatchScore, TellsBothRulesOfGsm8kAndTheGold) {
  const auto task = make_task("gsm8k");
  const auto sample = row("", "q", "w\n#### 18", "18");
  Answer a = answer_of(" 9 + 9\n#### 18\n\nQuestion: 5?");
  a.reference_logprob = -3.5;
  Score s = task->score(sample, a, nullptr);
  EXPECT_EQ(s.state, Score::State::graded);
  EXPECT_EQ(s.verdict, Verdict::passed);
  EXPECT_EQ(s.value, 1);
  EXPECT_EQ(s.extracted, "18");
  EXPECT_EQ(s.detail, "strict=1 flexible=1 gold=18");
  EXPECT_DOUBLE_EQ(*s.gold_nll, 3.5);
  a = answer_of("It is 18.");
  a.hit_length_limit = true;
  s = task->score(sample, a, nullptr);
  EXPECT_EQ(s.verdict, Verdict::wrong);
  EXPECT_EQ(s.value, 0);
  EXPECT_EQ(s.extracted, "");
  EXPECT_EQ(s.detail, "strict=0 flexible=1 gold=18; answer reached the token limit");
  EXPECT_FALSE(s.gold_nll);
}

TEST(MatchScore, OfOtherRules) {
  const auto plus = make_task("gsm_plus");
  Answer a = answer_of("#### 10/16");
  Score s = plus->score(row("", "q", "", "5/8"), a, nullptr);
  EXPECT_EQ(s.value, 1);
  EXPECT_EQ(s.detail, "strict=0 flexible=0 gold=5/8");
  a = answer_of("That is not said");
  EXPECT_EQ(plus->score(row("", "q", "", "None"), a, nullptr).value, 1);
  a.hit_length_limit = true;
  EXPECT_EQ(plus->score(row("", "q", "", "None"), a, nullptr).value, 0);

  s = make_task("bbh")->score(row("t", "q", "", "(A)"),
                              answer_of("\nSo the answer is (A).\n\nQ: x"), nullptr);
  EXPECT_EQ(s.value, 1);
  EXPECT_EQ(s.extracted, "(A)");
  EXPECT_EQ(s.detail, "gold=(A)");
}

TEST(MatchScore, AnswersThatNeverCame) {
  const auto task = make_task("bbh");
  Answer a = answer_of("the answer is x.");
  a.reference_logprob = -std::numeric_limits<double>::infinity();
  const auto with = [&](Answer::Status status) {
    a.status = status;
    return task->score(row("t", "q", "", "x"), a, nullptr);
  };
  EXPECT_EQ(with(Answer::Status::too_long).verdict, Verdict::too_long);
  EXPECT_EQ(with(Answer::Status::not_finite).verdict, Verdict::wrong);
  for (const auto status : {Answer::Status::too_long, Answer::Status::not_finite}) {
    EXPECT_EQ(with(status).state, Score::State::graded);
    EXPECT_EQ(with(status).value, 0);
  }
  EXPECT_EQ(with(Answer::Status::cancelled).state, Score::State::unscored);
  EXPECT_EQ(with(Answer::Status::cancelled).verdict, Verdict::not_run);
  EXPECT_FALSE(with(Answer::Status::ok).gold_nll);
}

TEST(MatchTasks, AreGeneratedMarkedAndSayWhetherQuestionsMayBeEdited) {
  for (const char* name : {"gsm8k", "gsm_plus", "bbh"}) {
    const auto task = make_task(name);
    EXPECT_TRUE(task->generates() && task->is_marked() && !task->runs_code() && !task->is_chat());
    EXPECT_EQ(task->metric(), "exact_match");
    EXPECT_EQ(task->question_may_be_edited(), task->suite() != "bbh");
    EXPECT_EQ(make_task(name, {1})->num_fewshot(), 1);
    EXPECT_EQ(json::parse(make_task(name, {1})->config_json())["num_fewshot"], 1);
  }
  EXPECT_TRUE(make_task("mmlu")->question_may_be_edited());
}

TEST(MatchTasks, ShiftsMayNotChangeTheTarget) {
  const auto sample =
      row("", "How many apples have they when they have bought some more?", "", "18");
  const Shift typos = parse_shift("typos:2");
  const ShiftOutcome out = apply_shift(typos, sample, 1);
  ASSERT_TRUE(out.shifted);
  EXPECT_EQ(broken_guarantee(typos, sample, *out.shifted), "");
  Shifted bad = *out.shifted;
  bad.sample.target = "19";
  EXPECT_NE(broken_guarantee(typos, sample, bad), "");
  auto other = sample;
  other.target = "19";
  EXPECT_EQ(broken_guarantee(typos, other, *out.shifted),
            "the log does not lead back to the original");
}

class OfficialMatch : public testing::Test {
 protected:
  void SetUp() override {
    roots_ = datasets::default_search_roots();
    if (roots_.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  }
  std::vector<std::filesystem::path> roots_;
};

TEST_F(OfficialMatch, BbhPromptsBeginWithTheFilesByteForByte) {
  const auto d = datasets::load("bbh", roots_, {.require_official = true});
  const auto folder = datasets::find_text_set("bbh", roots_[0]);
  ASSERT_TRUE(folder);
  const auto task = make_task("bbh");
  std::string last;
  for (const auto& s : d.samples) {
    if (s.subset == last) continue;
    last = s.subset;
    const std::string file = datasets::read_file(*folder / "cot-prompts" / (s.subset + ".txt"));
    EXPECT_EQ(task->query(s, d).prompt(), file.substr(file.find("-----\n") + 6) + "\n\nQ: " +
                                              s.input + "\nA: Let's think step by step.");
  }
}

// Expected values: the two prompts put together in Python from the JSON lines.
TEST_F(OfficialMatch, GsmPromptsAgreeWithPython) {
  for (const auto& [name, sha] :
       {std::pair{"gsm8k", "f534a5101e80ed15c74101674fa6eb2718214a3c1958ba2188078a0cac220fba"},
        {"gsm_plus", "48a97c23ba21a255975c1d47e669b0cb894af923db5e39d980c9319d7b9a8f5b"}}) {
    const auto d = datasets::load(name, roots_, {.require_official = true});
    const auto task = make_task(name);
    std::string all;
    for (const auto& s : d.samples) all += task->query(s, d).prompt() + '\x1e';
    EXPECT_EQ(datasets::sha256_hex(all), sha) << name;
  }
}

// The worked answer is right by every rule, in GSM-Plus but for lm-eval's on fractions and None.
TEST_F(OfficialMatch, ReferencesAreRightAnswers) {
  for (const char* name : {"gsm8k", "gsm_plus"}) {
    const auto d = datasets::load(name, roots_, {.require_official = true});
    const auto task = make_task(name);
    size_t right = 0;
    for (const auto& s : d.samples) {
      const Query q = task->query(s, d);
      EXPECT_EQ(q.demonstrations.size(), 5u);
      const Score score = task->score(s, answer_of(q.reference), nullptr);
      right += score.value == 1;
      const bool is_number = s.target.find_first_of("/N") == std::string::npos;
      EXPECT_EQ(score.detail.starts_with("strict=1"), is_number) << s.id << " " << score.detail;
    }
    EXPECT_EQ(right, d.samples.size()) << name;
  }
}

// The stop is "Q:" and not lm-eval's "Q", with which the option (Q) could never be answered.
TEST_F(OfficialMatch, BbhTargetsAreRightInTheFormThatTheExamplesShow) {
  const auto d = datasets::load("bbh", roots_, {.require_official = true});
  const auto task = make_task("bbh");
  for (const auto& s : d.samples)
    EXPECT_EQ(task->score(s, answer_of("So the answer is " + s.target + "."), nullptr).value, 1)
        << s.id;
}

}  // namespace
}  // namespace tasks
