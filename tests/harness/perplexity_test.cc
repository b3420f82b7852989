// Perplexity against sums made by hand, and the command as a user runs it.
#include "harness/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "tests/harness/run_fixture.h"
#include "tests/support/engine_runs.h"

namespace {

using harness::perplexity;
using testing::HasSubstr;

const auto kAlways = [] { return true; };

TEST(Perplexity, OfAWindowIsTheSumOfItsTokens) {
  // Two rows of three logits; the last row predicts nothing.
  const std::vector<engine::TokenId> tokens{0, 2, 1};
  const std::vector<float> logits{0, 1, 2, 3, 0, 0, 9, 9, 9};
  const harness::ReferenceWindow same(logits, 3);
  const auto s = harness::score_window(tokens, logits, same, 3);
  const double first = std::log(1 + std::exp(1.0) + std::exp(2.0)) - 2;
  const double second = std::log(std::exp(3.0) + 2);
  EXPECT_EQ(s.tokens, 2);
  EXPECT_NEAR(s.nll, first + second, 1e-12);
  EXPECT_NEAR(s.kl, 0, 1e-12);
  EXPECT_EQ(s.same_best, 2);

  // KL(p || uniform) = log 3 - H(p), at the first row only.
  const std::vector<float> flat{0, 0, 0, 3, 0, 0, 9, 9, 9};
  const auto t = harness::score_window(tokens, flat, same, 3);
  double entropy = 0;
  for (const double logit : {0.0, 1.0, 2.0}) {
    const double p = std::exp(logit) / (1 + std::exp(1.0) + std::exp(2.0));
    entropy -= p * std::log(p);
  }
  EXPECT_NEAR(t.kl, std::log(3.0) - entropy, 1e-7);
  EXPECT_EQ(t.same_best, 1);
}

TEST(Perplexity, OfEveryBudgetBesideAReference) {
  const test_support::TinyCheckpoint model(test_support::tiny_moe_config(12, 0, 4));
  const auto engine = test_support::load(model), reference = test_support::load(model);
  const auto tokens = test_support::random_tokens(70, 8);
  const auto all = perplexity(*engine, reference.get(), tokens, 20, {1, 4, 12}, kAlways);
  ASSERT_EQ(all.size(), 3u);
  for (const auto& p : all) {
    ASSERT_EQ(p.windows.size(), 4u);  // 20, 20, 20 and 10 tokens
    EXPECT_EQ(p.tokens(), 66);
    double nll = 0;
    for (size_t first = 0; first < 70; first += 20) {
      const auto window = std::span(tokens).subspan(first, std::min<size_t>(20, 70 - first));
      engine::Request r;
      r.budget.k = p.k;
      r.tokens = {window[0]};
      r.continuations = {{window.begin() + 1, window.end()}};
      nll -= test_support::run_one(*engine, r).scores[0].logprob;
    }
    EXPECT_NEAR(p.nll().value, nll / 66, 1e-6);
    ASSERT_TRUE(p.nll().half_width);
    EXPECT_GT(*p.nll().half_width, 0);
  }
  EXPECT_LT(all[0].flops, all[1].flops);
  // The reference is the model itself at its trained k.
  EXPECT_NEAR(all[1].kl().value, 0, 1e-9);
  EXPECT_EQ(all[1].same_best(), 1);
  EXPECT_GT(all[0].kl().value, 1e-3);
  EXPECT_GT(all[2].kl().value, 1e-3);
}

TEST(Perplexity, StopsBetweenWindows) {
  const test_support::TinyCheckpoint model(test_support::tiny_moe_config());
  const auto engine = test_support::load(model);
  const auto tokens = test_support::random_tokens(60, 8);
  int steps = 0;
  const auto all = perplexity(*engine, nullptr, tokens, 20, {1, 2}, [&] { return ++steps < 3; });
  EXPECT_EQ(all[0].windows.size(), 1u);
  EXPECT_EQ(all[1].windows.size(), 1u);
}

class PerplexityCommand : public RunTest {};

TEST_F(PerplexityCommand, PrintsEveryBudget) {
  const std::string text = folder_.path() / "text.txt";
  std::ofstream(text) << std::string(300, 'a') << " and some more words";
  const auto r = moeval({"perplexity", "--model", moe(), "--reference", moe(), "--file", text,
                         "--grid", "1,2,16", "--context", "64", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"\"k\": 1,", "\"k\": 2,", "\"k\": 16,", "kl_nats", "half_width_95"})
    EXPECT_THAT(r.out, HasSubstr(part));
}

TEST_F(PerplexityCommand, RefusesWhatItCannotDo) {
  const std::string text = folder_.path() / "text.txt", empty = folder_.path() / "empty.txt";
  std::ofstream(text) << "some words";
  std::ofstream(empty) << "";
  const auto refused = [&](std::vector<std::string> args, const std::string& why) {
    args.insert(args.begin(), {"perplexity", "--model", moe()});
    const auto r = moeval(args);
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_THAT(r.err, HasSubstr(why));
  };
  for (const std::string path : {folder_.path() / "absent.txt", folder_.path()})
    EXPECT_EQ(moeval({"perplexity", "--model", moe(), "--file", path}).code, 3) << path;
  refused({"--file", empty}, "0 tokens");
  refused({"--file", text, "--context", "1"}, "--context 1");
  refused({"--file", text, "--context", "99999999"}, "--context 99999999");
  refused({"--file", text, "--grid", "0"}, "--grid 0");
  refused({"--file", text, "--grid", "4,2"}, "--grid 4,2");
  refused({"--file", text, "--grid", "1,99"}, "--grid 1,99");
}

}  // namespace
