// Exact prompt bytes of cmmlu, mmlu_pro and mmlu_redux, against an independent implementation
// (golden/make_choice_sets.py, itself held against lm-eval's code by golden/lmeval_choice_sets.py).
#include <gtest/gtest.h>

#include <string>

#include "datasets/catalog.h"
#include "datasets/cmmlu_reader.h"
#include "datasets/sha256.h"
#include "tasks/task.h"
#include "tests/tasks/golden.h"

namespace tasks {
namespace {

using nlohmann::json;

datasets::Dataset choice_set(const std::string& name) {
  const json rows = read_golden("choice_sets_rows.json", name);
  const auto sample = [&](const json& row) {
    datasets::Sample s;
    s.id = "made-up";
    s.subset = rows["subset"];
    s.input = row["question"];
    s.choices = row["choices"].get<std::vector<std::string>>();
    s.answer = row["answer"];
    return s;
  };
  datasets::Dataset d;
  d.name = name;
  for (const auto& row : rows["test"]) d.samples.push_back(sample(row));
  for (const auto& row : rows.value("dev", json::array())) d.demonstrations.push_back(sample(row));
  if (name == "cmmlu") d.subject_names = datasets::cmmlu_subject_names();
  return d;
}

class ChoiceSets : public testing::TestWithParam<std::string> {};

TEST_P(ChoiceSets, PromptAndOptionsEqualThePublishedProtocol) {
  const auto task = make_task(GetParam());
  const datasets::Dataset data = choice_set(task->dataset());
  const json want = read_golden("choice_sets.json", "prompts").at(GetParam());
  ASSERT_EQ(want.size(), data.samples.size());
  for (size_t i = 0; i < data.samples.size(); ++i) {
    const Query q = task->query(data.samples[i], data);
    EXPECT_EQ(q.prompt(), want[i]["prompt"].get<std::string>());
    EXPECT_EQ(q.options, want[i]["options"].get<std::vector<std::string>>());
    EXPECT_EQ(q.truncation, Truncation::left_tokens);
    EXPECT_EQ(static_cast<int>(q.demonstrations.size()), task->num_fewshot());
  }
}

TEST_P(ChoiceSets, EveryOfficialPromptAndOptionEqualsTheIndependentImplementation) {
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const auto task = make_task(GetParam());
  datasets::LoadOptions options;
  options.require_official = true;
  const datasets::Dataset data = datasets::load(task->dataset(), roots, options);
  std::string all;
  double chance = 0;
  for (const datasets::Sample& sample : data.samples) {
    const Query q = task->query(sample, data);
    (all += q.prompt()) += '\0';
    for (const std::string& option : q.options) (all += option) += '\0';
    chance += 1.0 / static_cast<double>(sample.choices.size());
  }
  const json want = read_golden("choice_sets.json", "tasks").at(GetParam());
  EXPECT_EQ(data.samples.size(), want["n"].get<size_t>());
  EXPECT_EQ(datasets::sha256_hex(all), want["sha256"].get<std::string>());
  EXPECT_NEAR(*task->chance(), chance / static_cast<double>(data.samples.size()), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(All, ChoiceSets,
                         testing::Values("cmmlu", "mmlu_pro", "mmlu_pro_cloze", "mmlu_redux",
                                         "mmlu_redux_cloze"),
                         [](const auto& test) { return test.param; });

TEST(ChoiceSetsQuery, HeaderNamesTheSubjectAsTheDataSetCallsIt) {
  datasets::Dataset data = choice_set("cmmlu");
  const auto header = [&] { return make_task("cmmlu")->query(data.samples[0], data).header; };
  EXPECT_NE(header().find("关于天文学的"), std::string::npos);
  data.subject_names.clear();
  EXPECT_NE(header().find("关于astronomy的"), std::string::npos);
}

TEST(ChoiceSetsScore, TheTenthOptionCanBeChosen) {
  const datasets::Dataset data = choice_set("mmlu_pro");
  Answer answer;
  answer.options.resize(10, {-2.0, 1});
  answer.options[9].logprob = -1;
  const Score score = make_task("mmlu_pro")->score(data.samples[1], answer, nullptr);
  EXPECT_EQ(score.value, 1);
  EXPECT_EQ(score.extracted, "J");
}

}  // namespace
}  // namespace tasks
