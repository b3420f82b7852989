#include "harness/run_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "harness/exit_code.h"

namespace {

using harness::attempt_seed;
using harness::RunKind;
using harness::RunSpec;
using harness::select_samples;
using testing::ElementsAre;
using testing::HasSubstr;

struct Data {
  std::vector<std::string> ids, subsets;
};

Data three_subsets(size_t each) {
  Data d;
  for (const char* subset : {"law", "art", "sea"})
    for (size_t i = 0; i < each; ++i) {
      d.ids.push_back(std::string(subset) + "/" + std::to_string(i));
      d.subsets.emplace_back(subset);
    }
  return d;
}

std::set<std::string> chosen_ids(const Data& d, int64_t limit, int64_t sample, uint64_t seed) {
  std::set<std::string> out;
  for (const size_t i : select_samples(d.ids, d.subsets, limit, sample, seed)) out.insert(d.ids[i]);
  return out;
}

TEST(SelectSamples, TakesAllWithoutLimits) {
  const auto d = three_subsets(3);
  EXPECT_THAT(select_samples(d.ids, d.subsets, 0, 0, 1), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(select_samples(d.ids, d.subsets, 100, 100, 1).size(), 9u);
}

TEST(SelectSamples, LimitsEachSubsetToItsFirstSamples) {
  const auto d = three_subsets(3);
  EXPECT_THAT(select_samples(d.ids, d.subsets, 2, 0, 1), ElementsAre(0, 1, 3, 4, 6, 7));
}

TEST(SelectSamples, DrawsFromWhatTheLimitLeft) {
  const auto d = three_subsets(10);
  const auto chosen = select_samples(d.ids, d.subsets, 2, 4, 1);
  EXPECT_EQ(chosen.size(), 4u);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  for (const size_t i : chosen) EXPECT_LT(i % 10, 2u);
}

TEST(SelectSamples, DrawsTheSameSamplesWhateverTheOrderOfTheData) {
  const auto d = three_subsets(100);
  const auto drawn = chosen_ids(d, 0, 40, 7);
  EXPECT_EQ(drawn.size(), 40u);
  std::vector<size_t> order(d.ids.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  Data shuffled;
  for (const size_t i : order) {
    shuffled.ids.push_back(d.ids[i]);
    shuffled.subsets.push_back(d.subsets[i]);
  }
  EXPECT_EQ(chosen_ids(shuffled, 0, 40, 7), drawn);
}

TEST(SelectSamples, ALargerSampleHoldsTheSmallerOne) {
  const auto d = three_subsets(100);
  const auto small = chosen_ids(d, 0, 20, 7), large = chosen_ids(d, 0, 60, 7);
  EXPECT_TRUE(std::includes(large.begin(), large.end(), small.begin(), small.end()));
}

TEST(SelectSamples, DrawsOthersWithAnotherSeed) {
  const auto d = three_subsets(100);
  EXPECT_NE(chosen_ids(d, 0, 40, 7), chosen_ids(d, 0, 40, 8));
}

TEST(SelectSamples, DrawsEverySampleEquallyOften) {
  const auto d = three_subsets(10);
  std::map<std::string, int> times;
  for (uint64_t seed = 0; seed < 3000; ++seed)
    for (const auto& id : chosen_ids(d, 0, 10, seed)) ++times[id];
  // 3000 draws at p = 1/3: 1000 expected, standard deviation 25.8; 5 of them either way.
  for (const auto& id : d.ids) EXPECT_NEAR(times[id], 1000, 130) << id;
}

TEST(AttemptSeed, DependsOnRunSampleAndRepeatOnly) {
  EXPECT_EQ(attempt_seed(1, "HumanEval/3", 2), attempt_seed(1, "HumanEval/3", 2));
  std::set<uint64_t> seen;
  for (uint64_t run = 0; run < 10; ++run)
    for (int sample = 0; sample < 100; ++sample)
      for (int repeat = 0; repeat < 10; ++repeat)
        seen.insert(attempt_seed(run, "HumanEval/" + std::to_string(sample), repeat));
  EXPECT_EQ(seen.size(), 10'000u);
}

TEST(AttemptSeed, FitsIntoASignedInteger) {
  uint64_t all = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t seed = attempt_seed(~0ull, std::to_string(i), i);
    EXPECT_LT(seed, 1ull << 63);
    all |= seed;
  }
  EXPECT_EQ(all, (1ull << 63) - 1);  // and uses all of it
}

// The message of validate(), or "" when it accepts.
std::string refusal(const std::function<void(RunSpec&)>& change) {
  RunSpec s;
  s.tasks = {"mmlu"};
  change(s);
  try {
    s.validate();
  } catch (const harness::UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(Validate, AcceptsTheDefaultsAndTheEdges) {
  EXPECT_EQ(refusal([](RunSpec&) {}), "");
  EXPECT_EQ(refusal([](RunSpec& s) { s.num_fewshot = 0; }), "");
  EXPECT_EQ(refusal([](RunSpec& s) { s.num_fewshot = 5; }), "");
  EXPECT_EQ(refusal([](RunSpec& s) { s.policy = "fixed:1"; }), "");
  EXPECT_EQ(refusal([](RunSpec& s) { s.device.name = "cuda:12"; }), "");
  EXPECT_EQ(refusal([](RunSpec& s) { s.batch_rows = 16; }), "");
  EXPECT_EQ(refusal([](RunSpec& s) {
              s.num_samples = 1000;
              s.temperature = 0.8;
              s.top_p = 1;
            }),
            "");
}

TEST(Validate, NamesTheOptionAndItsValue) {
  const std::vector<std::pair<std::function<void(RunSpec&)>, std::vector<std::string>>> cases = {
      {[](RunSpec& s) { s.tasks.clear(); }, {"--tasks"}},
      {[](RunSpec& s) { s.num_fewshot = 6; }, {"--num-fewshot 6", "0 to 5"}},
      {[](RunSpec& s) { s.num_fewshot = -1; }, {"--num-fewshot -1"}},
      {[](RunSpec& s) { s.limit = -2; }, {"--limit -2"}},
      {[](RunSpec& s) { s.sample = -3; }, {"--sample -3"}},
      {[](RunSpec& s) { s.num_samples = 0; }, {"--num-samples 0"}},
      {[](RunSpec& s) { s.num_samples = 1001; }, {"--num-samples 1001"}},
      {[](RunSpec& s) { s.num_samples = 10; }, {"--num-samples 10", "--temperature"}},
      {[](RunSpec& s) { s.temperature = -0.5; }, {"--temperature -0.5"}},
      {[](RunSpec& s) { s.top_p = 0; }, {"--top-p 0"}},
      {[](RunSpec& s) { s.top_p = 1.5; }, {"--top-p 1.5"}},
      {[](RunSpec& s) { s.max_new_tokens = -1; }, {"--max-new-tokens -1"}},
      {[](RunSpec& s) { s.threads = -1; }, {"--threads -1"}},
      {[](RunSpec& s) { s.streams = 0; }, {"--streams 0"}},
      {[](RunSpec& s) { s.batch_rows = 8; }, {"--batch-rows 8"}},
      {[](RunSpec& s) { s.policy = "fixed:17"; }, {"--policy 'fixed:17'", "at most 16"}},
      {[](RunSpec& s) { s.policy = "fixd:2"; }, {"--policy 'fixd:2'", "nearest: fixed:K"}},
      {[](RunSpec& s) { s.ranks = 0; }, {"--ranks 0"}},
      {[](RunSpec& s) { s.device.name = "gpu"; }, {"--device gpu", "cpu, auto, or cuda:N"}},
      {[](RunSpec& s) {
         s.ranks = 2;
         s.device.name = "cuda:0";
       },
       {"--ranks 2", "--device cuda:0"}},
      {[](RunSpec& s) { s.latency_cap_ms = 5; }, {"--latency-cap", "--latency-coefficients"}},
      {[](RunSpec& s) { s.latency_file = "c.json"; }, {"--latency-cap", "--latency-coefficients"}},
      {[](RunSpec& s) {
         s.latency_cap_ms = 0;
         s.latency_file = "c.json";
       },
       {"--latency-cap 0"}},
      {[](RunSpec& s) { s.kind = RunKind::sweep; }, {"--grid"}},
      {[](RunSpec& s) {
         s.kind = RunKind::sweep;
         s.grid = {4, 2};
       },
       {"--grid 4,2", "ascending"}},
      {[](RunSpec& s) {
         s.kind = RunKind::sweep;
         s.grid = {1, 17};
       },
       {"--grid 1,17", "1 to 16"}},
      {[](RunSpec& s) {
         s.new_run = true;
         s.resume = "abc";
       },
       {"--new-run", "--resume"}},
  };
  for (const auto& [change, words] : cases) {
    const std::string message = refusal(change);
    for (const auto& word : words) EXPECT_THAT(message, HasSubstr(word));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Validate, RefusesWhatIsNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(refusal([&](RunSpec& s) { s.temperature = nan; }), HasSubstr("--temperature"));
  EXPECT_THAT(refusal([&](RunSpec& s) { s.top_p = nan; }), HasSubstr("--top-p"));
}

TEST(RunName, TellsRunsApartThatAskDifferentThings) {
  RunSpec s;
  s.tasks = {"mmlu", "humaneval"};
  EXPECT_EQ(s.name(), "smollm2-135m mmlu,humaneval trained");
  std::set<std::string> names = {s.name()};
  const auto with = [&](const std::function<void(RunSpec&)>& change) {
    RunSpec other = s;
    change(other);
    EXPECT_TRUE(names.insert(other.name()).second) << other.name();
  };
  with([](RunSpec& o) { o.model = "some/model.gguf"; });
  with([](RunSpec& o) { o.tasks = {"mmlu"}; });
  with([](RunSpec& o) { o.policy = "fixed:1"; });
  with([](RunSpec& o) { o.latency_cap_ms = 10; });
  with([](RunSpec& o) { o.gate_norm = engine::GateNorm::raw; });
  with([](RunSpec& o) { o.generate = false; });
  with([](RunSpec& o) {
    o.kind = RunKind::sweep;
    o.grid = {1, 2};
  });
  with([](RunSpec& o) {
    o.kind = RunKind::sweep;
    o.grid = {1, 4};
  });
  with([](RunSpec& o) { o.num_fewshot = 0; });
  with([](RunSpec& o) { o.limit = 5; });
  with([](RunSpec& o) { o.sample = 5; });
  with([](RunSpec& o) {
    o.sample = 5;
    o.seed = 2;
  });
  with([](RunSpec& o) { o.num_samples = 10; });
  with([](RunSpec& o) { o.temperature = 0.8; });
  with([](RunSpec& o) { o.top_p = 0.9; });
  with([](RunSpec& o) { o.max_new_tokens = 256; });
  with([](RunSpec& o) { o.scenario = harness::Scenario::single; });
  with([](RunSpec& o) { o.data = "embedded"; });
  with([](RunSpec& o) { o.device.name = "cuda:0"; });
  with([](RunSpec& o) { o.device.name = "cuda:1"; });
  with([](RunSpec& o) {
    o.device.name = "cuda:0";
    o.device.type = engine::DeviceType::f32;
  });
}

}  // namespace
