// Exact prompt bytes, against an independent implementation of each protocol
// (golden/make_prompts.py, itself held against lm-eval's code by golden/lmeval_prompts.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "datasets/catalog.h"
#include "datasets/mbpp_reader.h"
#include "datasets/sha256.h"
#include "tasks/task.h"
#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;

// "mmlu_lmeval/5" is mmlu_lmeval with 5 shots.
std::unique_ptr<Task> make_variant(const std::string& variant) {
  const size_t slash = variant.find('/');
  TaskOptions options;
  if (slash != std::string::npos) options.num_fewshot = std::stoi(variant.substr(slash + 1));
  return make_task(variant.substr(0, slash), options);
}

datasets::Sample mmlu_sample(const json& row, const std::string& subset) {
  datasets::Sample s;
  s.id = "made-up";
  s.subset = subset;
  s.input = row["question"];
  s.choices = row["choices"].get<std::vector<std::string>>();
  s.answer = row["answer"];
  return s;
}

datasets::Sample code_sample(const json& row) {
  datasets::Sample s;
  s.id = row["task_id"];
  s.input = row["prompt"];
  s.reference = row["canonical_solution"];
  s.test = row["test"];
  s.entry_point = row["entry_point"];
  return s;
}

datasets::Dataset made_up_mmlu() {
  const json rows = read_golden("rows.json", "mmlu");
  datasets::Dataset d;
  d.name = "made_up";
  for (const auto& row : rows["test"]) d.samples.push_back(mmlu_sample(row, rows["subset"]));
  // A row of another subject first: it must never be shown.
  d.demonstrations.push_back(mmlu_sample(rows["dev"][0], "astrology"));
  for (const auto& row : rows["dev"]) d.demonstrations.push_back(mmlu_sample(row, rows["subset"]));
  return d;
}

class MadeUpMmlu : public testing::TestWithParam<std::string> {};

TEST_P(MadeUpMmlu, PromptAndOptionsEqualThePublishedProtocol) {
  const auto task = make_variant(GetParam());
  const datasets::Dataset data = made_up_mmlu();
  const json want = read_golden("prompts.json", GetParam());
  ASSERT_EQ(want.size(), data.samples.size());
  for (size_t i = 0; i < data.samples.size(); ++i) {
    const Query q = task->query(data.samples[i], data);
    EXPECT_EQ(q.prompt(), want[i]["prompt"].get<std::string>());
    EXPECT_EQ(q.options, want[i]["options"].get<std::vector<std::string>>());
    EXPECT_EQ(q.kind, Query::Kind::choose);
    EXPECT_EQ(static_cast<int>(q.demonstrations.size()), task->num_fewshot());
  }
}

INSTANTIATE_TEST_SUITE_P(AllVariants, MadeUpMmlu,
                         testing::Values("mmlu", "mmlu/0", "mmlu_lmeval", "mmlu_lmeval/5",
                                         "mmlu_cloze", "mmlu_cloze/5"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

TEST(MmluQuery, HeaderHasTwoSpacesBeforeTheSubjectOnlyInTheOriginal) {
  const datasets::Dataset data = made_up_mmlu();
  EXPECT_NE(make_task("mmlu")->query(data.samples[0], data).header.find("about  made up general"),
            std::string::npos);
  EXPECT_NE(
      make_task("mmlu_lmeval")->query(data.samples[0], data).header.find("about made up general"),
      std::string::npos);
}

TEST(MmluQuery, TruncationRulesAreThoseOfTheProtocols) {
  const datasets::Dataset data = made_up_mmlu();
  const Query original = make_task("mmlu")->query(data.samples[0], data);
  EXPECT_EQ(original.truncation, Truncation::drop_demonstrations_from_end);
  EXPECT_EQ(original.max_prompt_tokens, 2048);
  const Query lmeval = make_task("mmlu_lmeval")->query(data.samples[0], data);
  EXPECT_EQ(lmeval.truncation, Truncation::left_tokens);
  EXPECT_EQ(lmeval.max_prompt_tokens, 0);
}

TEST(MmluQuery, PromptWithFewerDemonstrationsKeepsHeaderAndItem) {
  const datasets::Dataset data = made_up_mmlu();
  const Query q = make_task("mmlu")->query(data.samples[0], data);
  EXPECT_EQ(q.prompt(0), make_task("mmlu", {0})->query(data.samples[0], data).prompt());
  EXPECT_EQ(q.prompt(3), make_task("mmlu", {3})->query(data.samples[0], data).prompt());
}

TEST(MmluQuery, SpanCoversTheQuestionAndNothingElse) {
  const datasets::Dataset data = made_up_mmlu();
  for (const char* name : {"mmlu", "mmlu_lmeval", "mmlu_cloze"}) {
    const Query q = make_task(name)->query(data.samples[0], data);
    EXPECT_EQ(q.item.substr(q.question.first, q.question.second - q.question.first),
              data.samples[0].input)
        << name;
  }
  // Stripped where the protocol strips.
  const Query stripped = make_task("mmlu_cloze")->query(data.samples[1], data);
  EXPECT_EQ(stripped.item.substr(stripped.question.first,
                                 stripped.question.second - stripped.question.first),
            "Which word ends here?");
}

TEST(MmluQuery, TooFewDemonstrationsAreAnErrorThatNamesBothNumbers) {
  const datasets::Dataset data = made_up_mmlu();
  const auto task = make_task("mmlu", {7});
  try {
    task->query(data.samples[0], data);
    FAIL() << "no error";
  } catch (const TaskError& e) {
    EXPECT_STREQ(e.what(),
                 "task mmlu: \"made_up_general_facts\" has 6 demonstrations in data set made_up, "
                 "num_fewshot is 7");
  }
}

TEST(HumanEvalQuery, IsThePromptItselfWithTheReferenceStops) {
  const json rows = read_golden("rows.json", "humaneval");
  const json want = read_golden("prompts.json", "humaneval");
  for (const char* name : {"humaneval", "humaneval_plus"}) {
    const auto task = make_task(name);
    for (size_t i = 0; i < rows.size(); ++i) {
      const datasets::Sample sample = code_sample(rows[i]);
      const Query q = task->query(sample, {});
      EXPECT_FALSE(q.is_chat);
      EXPECT_EQ(q.prompt(), want[i]["prompt"].get<std::string>());
      EXPECT_EQ(q.question, std::make_pair(size_t{0}, sample.input.size()));
      EXPECT_EQ(q.reference, sample.reference);
      EXPECT_EQ(q.stops, (std::vector<std::string>{"\nclass", "\ndef", "\n#", "\nif", "\nprint"}));
      EXPECT_EQ(q.max_new_tokens, 1024);
      EXPECT_EQ(q.temperature, 0);
    }
  }
}

TEST(HumanEvalInstructQuery, AsksAsUserAndOpensTheAssistantsTurn) {
  const json rows = read_golden("rows.json", "humaneval");
  const json want = read_golden("prompts.json", "humaneval_instruct");
  const auto task = make_task("humaneval_instruct");
  EXPECT_TRUE(task->is_chat());
  for (size_t i = 0; i < rows.size(); ++i) {
    const datasets::Sample sample = code_sample(rows[i]);
    const Query q = task->query(sample, {});
    ASSERT_TRUE(q.is_chat);
    ASSERT_EQ(q.turns.size(), 1u);
    EXPECT_EQ(q.turns[0].role, "user");
    EXPECT_EQ(q.turns[0].content, want[i]["user"].get<std::string>());
    EXPECT_EQ(q.prefill, want[i]["prefill"].get<std::string>());
    EXPECT_EQ(q.turns[0].content.substr(q.question.first, q.question.second - q.question.first),
              sample.input);
  }
}

TEST(MbppQuery, ShowsThreeSolvedProblemsAndAsksInThePapersWords) {
  std::string lines;
  for (const auto& row : read_golden("rows.json", "mbpp")) lines += row.dump() + "\n";
  datasets::Dataset data;
  data.name = "made_up";
  for (auto& s : datasets::parse_mbpp(lines, "rows.json"))
    (s.split == "dev" ? data.demonstrations : data.samples).push_back(s);
  const json want = read_golden("prompts.json", "mbpp");
  ASSERT_EQ(want.size(), data.samples.size());
  const auto task = make_task("mbpp");
  EXPECT_EQ(task->num_fewshot(), 3);
  for (size_t i = 0; i < data.samples.size(); ++i) {
    const Query q = task->query(data.samples[i], data);
    EXPECT_EQ(q.prompt(), want[i]["prompt"].get<std::string>());
    EXPECT_EQ(q.item.substr(q.question.first, q.question.second - q.question.first),
              data.samples[i].input);
    EXPECT_EQ(q.reference, data.samples[i].reference);
    EXPECT_EQ(q.stops, std::vector<std::string>{"[DONE]"});
    EXPECT_EQ(q.max_new_tokens, 256);
    EXPECT_EQ(q.truncation, Truncation::left_tokens);
  }
  EXPECT_EQ(make_task("mbpp", {1})->query(data.samples[0], data).demonstrations.size(), 1u);
  try {
    make_task("mbpp", {4})->query(data.samples[0], data);
    FAIL() << "no error";
  } catch (const TaskError& e) {
    EXPECT_STREQ(e.what(), "task mbpp: data set made_up has 3 demonstrations, num_fewshot is 4");
  }
}

TEST(OfficialData, EveryPromptAndOptionEqualsTheIndependentImplementations) {
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const json sums = read_golden("real_prompts.json", "tasks");
  std::map<std::string, datasets::Dataset> loaded;
  for (const auto& [variant, want] : sums.items()) {
    const auto task = make_variant(variant);
    auto [it, is_new] = loaded.try_emplace(task->dataset());
    if (is_new) {
      datasets::LoadOptions options;
      options.require_official = true;
      it->second = datasets::load(task->dataset(), roots, options);
    }
    std::string all;
    for (const datasets::Sample& sample : it->second.samples) {
      const Query q = task->query(sample, it->second);
      std::vector<std::string> texts = q.options;
      if (q.is_chat)
        texts = {q.turns[0].content, q.prefill};
      else
        texts.insert(texts.begin(), q.prompt());
      for (const std::string& text : texts) (all += text) += '\0';
    }
    EXPECT_EQ(it->second.samples.size(), want["n"].get<size_t>()) << variant;
    EXPECT_EQ(datasets::sha256_hex(all), want["sha256"].get<std::string>()) << variant;
  }
}

}  // namespace
}  // namespace tasks
