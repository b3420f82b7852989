// The ladder through the real engine: every planted answer at every k, and a prefix that was
// computed at another k does not go unnoticed.
#include "harness/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "datasets/catalog.h"
#include "engine/checkpoint.h"
#include "engine/prefix.h"
#include "engine/tokenizer.h"
#include "harness/budget_groups.h"
#include "harness/prompt_tokens.h"
#include "tasks/task.h"
#include "tests/harness/program.h"
#include "tests/support/engine_runs.h"
#include "tests/support/sanitized.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace harness;
using datasets::LadderTruth;
using datasets::Sample;

engine::ExpertBudget budget_of(int k) {
  engine::ExpertBudget budget;
  budget.k = k;
  return budget;
}

// The letter that the construction gives: the right one, or the one after it.
size_t planted_letter(const Sample& s, bool right) {
  return static_cast<size_t>(s.answer + (right ? 0 : 1)) % s.choices.size();
}

// Tokens that the prompts of a group begin with, as the harness computes them.
size_t shared_tokens(std::span<const PromptTokens> group) {
  std::vector<const PromptTokens*> members;
  for (const PromptTokens& p : group) members.push_back(&p);
  return shared_prefix(members);
}

struct Chosen {
  size_t letter = 0;
  double margin = 0;  // to the next letter, nats
};

Chosen chosen_by(const engine::Completion& c) {
  std::vector<std::pair<double, size_t>> scores;
  for (size_t i = 0; i < c.scores.size(); ++i) scores.emplace_back(c.scores[i].logprob, i);
  std::sort(scores.rbegin(), scores.rend());
  return {scores.at(0).second, scores.at(0).first - scores.at(1).first};
}

// The model loaded once, and the suite as tokens.
class Ladder : public testing::Test {
 protected:
  struct Suite {
    datasets::Dataset data;
    std::vector<PromptTokens> prompts;
    size_t shared = 0;  // tokens that all prompts of one subject begin with, the least of any
  };

  static void SetUpTestSuite() {
    folder_ = new support::TempFolder;
    const auto model = ladder_model_folder(folder_->path());
    engine_ = test_support::load(*engine::Checkpoint::open(model), 512, 16, 0).release();
    tokenizer_ = engine::Tokenizer::load(model).release();
  }
  static void TearDownTestSuite() {
    delete engine_;
    delete tokenizer_;
    delete folder_;
  }

  static Suite suite_of(const std::string& name, int shots) {
    tasks::TaskOptions options;
    options.num_fewshot = shots;
    const auto task = tasks::make_task(name, options);
    Suite suite{datasets::make_ladder(name), {}, 0};
    for (const Sample& s : suite.data.samples)
      suite.prompts.push_back(
          tokenise(*tokenizer_, task->query(s, suite.data), engine_->max_tokens()));
    return suite;
  }

  // First sample of each run of samples whose prompts share demonstrations, and the end.
  static std::vector<size_t> group_starts(const Suite& suite) {
    std::vector<size_t> starts{0};
    for (size_t i = 1; i < suite.data.samples.size(); ++i)
      if (suite.data.samples[i].subset != suite.data.samples[i - 1].subset) starts.push_back(i);
    starts.push_back(suite.data.samples.size());
    return starts;
  }

  static engine::Request request(const Suite& suite, size_t i, int k) {
    engine::Request r;
    r.id = i;
    r.tokens = suite.prompts[i].prompt;
    r.continuations = suite.prompts[i].options;
    r.budget = budget_of(k);
    return r;
  }

  // A prefix that says it was computed with `claimed` experts but was with `real`.
  static std::shared_ptr<const engine::Prefix> false_prefix(std::span<const engine::TokenId> tokens,
                                                            int real, int claimed) {
    engine::ComputeLedger ledger;
    const auto made = engine_->make_prefix(tokens, budget_of(real), &ledger);
    return std::make_shared<const engine::Prefix>(
        made->tokens(), budget_of(claimed), made->kv().fork(static_cast<int64_t>(tokens.size())),
        made->routing());
  }

  static support::TempFolder* folder_;
  static engine::Engine* engine_;
  static engine::Tokenizer* tokenizer_;
};

support::TempFolder* Ladder::folder_ = nullptr;
engine::Engine* Ladder::engine_ = nullptr;
engine::Tokenizer* Ladder::tokenizer_ = nullptr;

TEST_F(Ladder, EveryWordOfThePromptsIsOneToken) {
  for (const int shots : {0, 5})
    for (const PromptTokens& p : suite_of("ladder", shots).prompts) {
      ASSERT_FALSE(p.too_long);
      for (const engine::TokenId id : p.prompt) {
        const std::string text = tokenizer_->token_bytes(id);
        const bool letter = text >= "A" && text <= "D";
        EXPECT_TRUE(id >= 256 || letter || !std::isalpha(static_cast<unsigned char>(text[0])))
            << text;
      }
      for (const auto& option : p.options) EXPECT_EQ(option.size(), 1u);
    }
}

TEST_F(Ladder, EveryAnswerIsThePlantedOneAtEveryK) {
  double least = 1e9;
  for (const int shots : {0, 5}) {
    const Suite suite = suite_of("ladder", shots);
    const auto starts = group_starts(suite);
    for (int k = 1; k <= 16; k += test_support::kSanitized ? 5 : 1) {
      std::vector<engine::Request> requests;
      for (size_t g = 0; g + 1 < starts.size(); ++g) {
        const std::span<const PromptTokens> group(suite.prompts.data() + starts[g],
                                                  starts[g + 1] - starts[g]);
        const size_t n = shared_tokens(group);
        EXPECT_GE(n, 32u);
        engine::ComputeLedger ledger;
        const auto prefix =
            engine_->make_prefix(std::span(group[0].prompt.data(), n), budget_of(k), &ledger);
        for (size_t i = starts[g]; i < starts[g + 1]; ++i) {
          requests.push_back(request(suite, i, k));
          requests.back().prefix = prefix;
        }
      }
      for (const auto& [id, c] : test_support::run_all(*engine_, std::move(requests))) {
        const Sample& s = suite.data.samples[id];
        const Chosen chosen = chosen_by(c);
        const bool right = datasets::ladder_truth(s.id)->right_at(k);
        EXPECT_GT(c.prefix_tokens, 0);
        EXPECT_EQ(chosen.letter, planted_letter(s, right)) << s.id << " k=" << k << " " << shots;
        least = std::min(least, chosen.margin);
      }
    }
  }
  // Nothing is near a tie, so that no rounding of another device decides an answer.
  EXPECT_GT(least, 8.0);
}

// Answers of the whole suite with prefixes computed at `real` experts and the rest at `k`, beside
// what the construction gives: site 0 rests on the header.
TEST_F(Ladder, APrefixOfAnotherKChangesTheAnswersThatRestOnIt) {
  for (const int shots : {0, 5}) {
    const Suite suite = suite_of("ladder", shots);
    const auto starts = group_starts(suite);
    std::vector<std::pair<int, int>> pairs{{1, 16}, {16, 1}, {4, 5},   {5, 4},
                                           {8, 9},  {9, 8},  {15, 16}, {2, 1}};
    if (test_support::kSanitized) pairs.resize(2);
    for (const auto& [k, real] : pairs) {
      std::vector<engine::Request> requests;
      for (size_t g = 0; g + 1 < starts.size(); ++g) {
        const std::span<const PromptTokens> group(suite.prompts.data() + starts[g],
                                                  starts[g + 1] - starts[g]);
        const auto prefix =
            false_prefix(std::span(group[0].prompt.data(), shared_tokens(group)), real, k);
        for (size_t i = starts[g]; i < starts[g + 1]; ++i) {
          requests.push_back(request(suite, i, k));
          requests.back().prefix = prefix;
        }
      }
      std::map<std::string, int> noticed;  // by subject: answers that are not those of k
      for (const auto& [id, c] : test_support::run_all(*engine_, std::move(requests))) {
        const Sample& s = suite.data.samples[id];
        const auto truth = *datasets::ladder_truth(s.id);
        EXPECT_GT(c.prefix_tokens, 0);
        const bool right = truth.right_at(truth.site == engine::ladder::kPrefix ? real : k);
        EXPECT_EQ(chosen_by(c).letter, planted_letter(s, right)) << s.id << " " << k << " " << real;
        noticed[s.subset] += chosen_by(c).letter != planted_letter(s, truth.right_at(k));
      }
      for (const auto& [subject, n] : noticed)
        EXPECT_GT(n, 0) << subject << ": a prefix of k=" << real << " passes for k=" << k;
    }
  }
}

TEST_F(Ladder, APrefixThatHoldsTheKeyWordCarriesItsEvidence) {
  const Suite suite = suite_of("ladder", 0);
  const int k = 12, real = 3;
  size_t noticed_at_key = 0;
  for (size_t i = 0; i < suite.prompts.size(); ++i) {
    engine::Request r = request(suite, i, k);
    r.prefix = false_prefix(std::span(r.tokens.data(), r.tokens.size() - 1), real, k);
    const Sample& s = suite.data.samples[i];
    const auto truth = *datasets::ladder_truth(s.id);
    const size_t letter = chosen_by(test_support::run_one(*engine_, std::move(r))).letter;
    const bool early = truth.site == engine::ladder::kPrefix || truth.site == engine::ladder::kKey;
    EXPECT_EQ(letter, planted_letter(s, truth.right_at(early ? real : k))) << s.id;
    noticed_at_key +=
        truth.site == engine::ladder::kKey && letter != planted_letter(s, truth.right_at(k));
  }
  EXPECT_GT(noticed_at_key, 0u);
}

TEST_F(Ladder, APrefixThatSaysItsBudgetIsNotUsedForAnother) {
  const Suite suite = suite_of("ladder", 0);
  engine::ComputeLedger ledger;
  const std::span<const engine::TokenId> tokens(suite.prompts[0].prompt.data(), 40);
  engine::Request r = request(suite, 0, 5);
  r.prefix = engine_->make_prefix(tokens, budget_of(4), &ledger);
  EXPECT_EQ(test_support::run_one(*engine_, std::move(r)).prefix_tokens, 0);
}

TEST(LadderModel, IsMadeOnceAndMended) {
  const support::TempFolder cache;
  const auto folder = ladder_model_folder(cache.path());
  EXPECT_EQ(folder, cache.path() / "models" / "ladder");
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) bytes += entry.file_size();
  EXPECT_LT(bytes, 2u << 20);
  const auto weights = folder / "model.safetensors", config = folder / "config.json";
  const std::string whole = program::slurp(weights), words = program::slurp(config);
  const auto written = std::filesystem::last_write_time(weights);
  std::ofstream(config) << "{}";
  EXPECT_EQ(ladder_model_folder(cache.path()), folder);
  EXPECT_EQ(std::filesystem::last_write_time(weights), written);
  EXPECT_EQ(program::slurp(config), words);
  std::filesystem::resize_file(weights, whole.size() / 2);
  ladder_model_folder(cache.path());
  EXPECT_EQ(program::slurp(weights), whole);
}

TEST(LadderPlan, SaysWhatThePoliciesComeTo) {
  const auto plain = datasets::make_ladder("ladder"),
             shifted = datasets::make_ladder("ladder_shifted");
  const auto oracle = planted_outcome(plain, oracle_k);
  EXPECT_EQ(oracle.n, 432);
  EXPECT_EQ(oracle.right, 432 - 24);  // all but never
  EXPECT_EQ(oracle.too_few + oracle.too_many, 0);
  EXPECT_EQ(oracle.sum_k, 24 * (16 * 17 / 2 + 2));
  const auto all = planted_outcome(plain, [](const LadderTruth&) { return 16; });
  EXPECT_EQ(all.right, 24 * 16);
  EXPECT_EQ(all.too_few, 0);
  // The filler is worth most of the oracle where it goes along with the class, and little where it
  // does not.
  const auto learnt = planted_outcome(plain, shortcut_k),
             moved = planted_outcome(shifted, shortcut_k);
  // The six fillers grant 1, 4, 7, 10, 13, 16. Of a class's 24 questions 20 carry its own filler,
  // which is always enough; with the other 4 the predictor may be lucky.
  EXPECT_GE(learnt.right, 20 * 17);
  EXPECT_LE(learnt.right, 24 * 17);
  EXPECT_GT(learnt.right, moved.right);
  // Shifted, each class meets each filler 4 times. Enough: 6 fillers for difficulty 1, 5 for 2 to
  // 4,
  // ..., 1 for 14 to 16; the inverse class is right with the 3 that grant less than 9.
  EXPECT_EQ(moved.right, 4 * (6 + 3 * (5 + 4 + 3 + 2 + 1) + 3));
  EXPECT_EQ(moved.sum_k, 18 * 4 * (1 + 4 + 7 + 10 + 13 + 16));
  EXPECT_EQ(moved.sum_needed, oracle.sum_k);
  EXPECT_EQ(planted_k("ladder/test/d07/3"), 7);
  EXPECT_EQ(planted_k("ladder/test/never/3"), std::nullopt);
}

}  // namespace
