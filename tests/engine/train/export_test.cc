// Predictors written and read back: the file decides as the networks do.
#include "engine/train/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "engine/policy/policy_error.h"
#include "engine/policy/predictor_file.h"
#include "engine/train/fallback_fit.h"
#include "engine/train/ood_score.h"
#include "tests/engine/train/planted_examples.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace engine::train;
using planted::all_rows;

const std::string kSha(64, 'a');

engine::PolicyContext context() {
  engine::PolicyContext c;
  c.moe.n_experts = 16;
  c.n_layers = 1;
  c.d_model = 3;
  c.weights_sha256 = kSha;
  c.sha256 = [](std::string_view) { return std::string("hash"); };
  return c;
}

// Eight numbers, like the planted examples: mean, max, log_tokens, log_bytes.
engine::PredictorContent content(const Fitted& f, const Examples& ex, double lambda) {
  auto c = export_predictor(f, ex.grid, lambda);
  c.model_sha256 = kSha;
  for (const char* name : {"embedding_mean", "embedding_max", "log_tokens", "log_bytes"})
    c.features.push_back(*engine::find_feature(name));
  c.training_json = R"({"sweep":"u"})";
  return c;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

TEST(Export, TheFileDecidesAsTheNetworksDo) {
  const support::TempFolder folder;
  const auto path = folder.path() / "p.safetensors";
  const auto ex = planted::examples(160, 1);
  const LambdaRange range{0.01, 3};
  for (const auto objective : {Objective::success, Objective::policy, Objective::reinforce})
    for (const Head head : {Head::ordinal, Head::free})
      for (const auto& hidden : {std::vector<int64_t>{}, {8}, {8, 6}})
        for (const bool family : {false, true}) {
          Options o;
          o.head = head;
          o.hidden = hidden;
          o.epochs = 12;
          o.lambda = 0.2;
          if (family) o.family = range;
          const auto f = fit(ex, all_rows(ex), objective, o);
          const double lambda = family ? 1.5 : 0.2;
          engine::write_predictor(path, content(f, ex, lambda));
          const auto read = engine::PredictorNetwork::load(path, context());
          EXPECT_EQ(read.grid(), ex.grid);
          int same = 0;
          for (int64_t r = 0; r < ex.n; ++r) {
            const auto out = read.infer(ex.feature_row(r));
            const auto p = f.success.p(ex.feature_row(r));
            for (size_t k = 0; k < p.size(); ++k) EXPECT_NEAR(out.p_k[k], p[k], 1e-4);
            same += out.k == ex.grid[f.decide(ex.feature_row(r), lambda)];
          }
          EXPECT_GE(same, ex.n - 1);  // floats may part a tie
          EXPECT_EQ(read.cost().flops, f.flops());
        }
}

// The study decides with double precision on the networks themselves, a run on the file.
TEST(Export, TheFilesFallbackDecidesAsTheStudyDoes) {
  const support::TempFolder folder;
  const auto path = folder.path() / "p.safetensors";
  const auto ex = planted::examples(160, 1);
  const auto rows = all_rows(ex);
  std::map<engine::Fallback, int> moved;
  for (const auto objective : {Objective::success, Objective::policy})
    for (const auto detector : engine::kOodDetectors)
      for (const auto fallback : engine::kFallbacks) {
        const bool shrink = fallback == engine::Fallback::shrink;
        if (fallback == engine::Fallback::none || (shrink && objective != Objective::success))
          continue;
        Options o;
        o.hidden = {8, 6};
        o.epochs = 60;
        o.lambda = 1;  // the one best k is the smallest
        const auto f = fit(ex, rows, objective, o);
        const OodScore score(detector, ex, rows, f.success);
        std::vector<double> seen;
        for (const int64_t r : rows) seen.push_back(score.of(f.success, ex.feature_row(r)));
        const engine::FallbackChoice choice{detector, fallback};
        SCOPED_TRACE(choice.label() + " " + std::to_string(static_cast<int>(objective)));
        // Between two scores, so that no rounding decides.
        std::sort(seen.begin(), seen.end());
        size_t cut = seen.size() / 20;
        while (seen[cut + 1] - seen[cut] < 1e-3 * seen.back()) ++cut;
        const double threshold = (seen[cut] + seen[cut + 1]) / 2;
        auto c = content(f, ex, o.lambda);
        c.fallback = fallback_rule(choice, ex, rows, f, threshold, o.lambda, 0);
        engine::write_predictor(path, c);
        const auto read = engine::PredictorNetwork::load(path, context());
        ASSERT_TRUE(read.fallback());
        EXPECT_EQ(read.fallback()->choice.label(), choice.label());
        EXPECT_EQ(read.cost().flops, f.flops() + score.flops());
        const auto prior = mean_success(ex, rows);
        int flagged = 0;
        for (int64_t r = 0; r < ex.n; ++r) {
          const auto x = ex.feature_row(r);
          const engine::Prospect q{
              f.success.p(x),         prior,    f.cost, best_fixed(ex, rows, o.lambda, 0),
              score.of(f.success, x), threshold};
          const size_t usual = f.decide(x, o.lambda);
          const auto out = read.infer(x);
          ASSERT_TRUE(out.ood_score);
          EXPECT_NEAR(*out.ood_score, q.score, 1e-4 * seen.back());
          EXPECT_EQ(out.ood_flagged, q.flagged());
          EXPECT_EQ(out.k_without_fallback, ex.grid[usual]);
          EXPECT_EQ(out.k, ex.grid[engine::fall_back(fallback, q, usual, o.lambda)]);
          flagged += out.ood_flagged;
          moved[fallback] += out.k != out.k_without_fallback;
        }
        EXPECT_EQ(flagged, ex.n - 1 - static_cast<int64_t>(cut));
      }
  EXPECT_EQ(moved.size(), 4u);
  for (const auto& [fallback, n] : moved) EXPECT_GT(n, 0) << engine::fallback_name(fallback);
}

TEST(Export, TheSameSeedGivesTheSameBytes) {
  const auto ex = planted::examples(100, 2);
  Options o;
  o.hidden = {8};
  o.epochs = 8;
  const auto bytes = [&] {
    return engine::predictor_bytes(
        content(fit(ex, all_rows(ex), Objective::policy, o), ex, o.lambda));
  };
  const auto once = bytes();
  EXPECT_EQ(once, bytes());
  o.seed = 1;
  EXPECT_NE(once, bytes());
  EXPECT_NE(once.find("moeval_training"), std::string::npos);
}

TEST(Export, AFeatureThatNeverVariedHasNoSay) {
  const auto ex = planted::examples(100, 3);
  Options o;
  o.epochs = 10;
  const auto f = fit(ex, all_rows(ex), Objective::policy, o);
  auto x = std::vector<float>(ex.feature_row(0).begin(), ex.feature_row(0).end());
  const auto before = f.success.p(x);
  const auto c = content(f, ex, o.lambda);
  for (int64_t row = 0; row < c.hidden[0].n_out; ++row)
    EXPECT_EQ(c.hidden[0].weight[static_cast<size_t>(row * 8 + 7)], 0);
  x[7] = 1e6f;
  EXPECT_EQ(f.success.p(x), before);
}

TEST(Export, AnotherModelsFileIsRefused) {
  const support::TempFolder folder;
  const auto path = folder.path() / "p.safetensors";
  const auto ex = planted::examples(60, 4);
  Options o;
  o.epochs = 2;
  auto c = content(fit(ex, all_rows(ex), Objective::success, o), ex, 0.1);
  c.model_sha256 = std::string(64, 'b');
  engine::write_predictor(path, c);
  EXPECT_THROW(engine::PredictorNetwork::load(path, context()), engine::PolicyMismatch);
  EXPECT_EQ(slurp(path), engine::predictor_bytes(c));
}

}  // namespace
