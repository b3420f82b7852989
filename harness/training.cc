#include "harness/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/train/export.h"
#include "engine/train/fallback_fit.h"
#include "harness/exit_code.h"
#include "harness/standard_tables.h"

namespace harness {
namespace {

using namespace engine::train;

constexpr int kCurvePoints = 10;

std::vector<int64_t> all_rows(const Examples& ex) {
  std::vector<int64_t> rows(static_cast<size_t>(ex.n));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return rows;
}

// log_tokens and log_bytes alone.
Examples length_features(const TrainingData& data) {
  std::vector<int64_t> columns;
  int64_t at = 0;
  const auto n_rest = static_cast<int64_t>(data.features.size()) - 2;  // but mean and max
  const int64_t d_model = (data.examples.n_features - n_rest) / 2;
  for (const auto f : data.features) {
    if (f == engine::Feature::log_tokens || f == engine::Feature::log_bytes) columns.push_back(at);
    at += engine::feature_width(f, d_model);
  }
  return with_features(data.examples, columns);
}

NeedEstimate need_estimate(const TrainingData& data, const CrossFit& fit) {
  const Examples& ex = data.examples;
  std::vector<double> predicted, truth;
  for (int64_t r = 0; r < ex.n; ++r) {
    const auto stable = data.questions[static_cast<size_t>(r)].k_stable(ex.grid);
    if (!stable) continue;
    const auto need = std::find(ex.grid.begin(), ex.grid.end(), *stable) - ex.grid.begin();
    int64_t k = 0;
    while (k + 1 < ex.n_k() && fit.p[ex.at(r, k)] < kEnough) ++k;
    predicted.push_back(ex.cost[ex.at(r, k)]);
    truth.push_back(ex.cost[ex.at(r, need)]);
  }
  NeedEstimate out;
  out.n = static_cast<int64_t>(truth.size());
  if (truth.empty()) return out;
  auto sorted = truth;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  for (size_t i = 0; i < truth.size(); ++i) {
    out.mae += std::fabs(predicted[i] - truth[i]) / static_cast<double>(truth.size());
    out.mae_constant += std::fabs(median - truth[i]) / static_cast<double>(truth.size());
  }
  // Of shares of the full cost: in FLOPs a prompt's length alone would order the questions.
  const double rho = spearman(predicted, truth);
  if (!std::isnan(rho)) out.spearman = rho;
  return out;
}

const char* rule_name(Objective o) {
  switch (o) {
    case Objective::success:
      return "plug_in";
    case Objective::policy:
      return "policy";
    case Objective::reinforce:
      return "reinforce";
  }
  return "policy";
}

// The fallback of the exported predictor, and a row of what it does to the cross-fitted policy.
void add_fallback(const TrainingData& data, const TrainingPlan& plan, const CrossFit& fitted,
                  const Fitted& whole, TrainingResult* out) {
  const Examples& ex = data.examples;
  const double lambda = out->lambda, mu = plan.options.mu;
  const auto crossed = cross_fallback(*plan.fallback, ex, fitted, lambda, mu);
  out->flagged = {ex.n, std::count(crossed.flagged.begin(), crossed.flagged.end(), uint8_t{1}),
                  flag_threshold(crossed.scores)};
  out->predictor.fallback =
      fallback_rule(*plan.fallback, ex, all_rows(ex), whole, out->flagged->threshold, lambda, mu);
  PolicyResult p{"with_fallback",
                 fmt::format("the same, {} where unlike", plan.fallback->label()),
                 shares_of(ex, crossed.choices),
                 whole.flops() + out->predictor.fallback->measure.flops(),
                 {}};
  p.outcome = outcome_of(ex, p.shares, p.own_flops, lambda, mu);
  out->policies.insert(out->policies.begin() + 1, std::move(p));
}

}  // namespace

// The policy's folds, those that see the length alone, and the exported one.
int64_t fits(const TrainingPlan& plan) { return 2 * int64_t{plan.folds} + 1; }

TrainingResult train(const TrainingData& data, const TrainingPlan& plan,
                     const std::function<void()>& done) {
  const Examples& ex = data.examples;
  TrainingResult out;
  std::vector<int64_t> clusters = ex.cluster;
  std::sort(clusters.begin(), clusters.end());
  out.clusters = std::unique(clusters.begin(), clusters.end()) - clusters.begin();
  if (out.clusters < plan.folds)
    throw UsageError(fmt::format("--folds {}: the sweep has {} seed items, fewer than folds",
                                 plan.folds, out.clusters));
  Options options = plan.options;
  const LambdaRange range;
  const bool several = plan.curve || plan.target_cost.has_value();
  if (several && plan.objective != Objective::success) options.family = range;
  const auto folds = make_folds(ex, plan.folds, options.seed);
  const auto fitted = cross_fit(ex, folds, plan.objective, options, plan.threads, done);
  if (plan.target_cost) {
    const auto lambda = lambda_for_cost(ex, fitted, *plan.target_cost, range);
    if (!lambda)
      throw UsageError(fmt::format(
          "--target-cost {}: not even lambda = {} comes down to it; k = {} alone costs {:.3f}",
          *plan.target_cost, range.upper, ex.grid.front(), mean_cost(ex, all_rows(ex))[0]));
    options.lambda = *lambda;
  }
  const double lambda = out.lambda = options.lambda, mu = options.mu;

  const auto add = [&](std::string name, std::string about, Shares shares, uint64_t own_flops) {
    PolicyResult p{std::move(name), std::move(about), std::move(shares), own_flops, {}};
    p.outcome = outcome_of(ex, p.shares, own_flops, lambda, mu);
    out.policies.push_back(std::move(p));
  };
  const uint64_t own = fitted.fitted.front().flops();
  add(rule_name(plan.objective), "trained, as exported", shares_of(ex, fitted.decide(ex, lambda)),
      own);
  if (plan.objective != Objective::success) {
    uint64_t success_flops = 0;
    for (const auto& l : fitted.fitted.front().success.net.layers())
      success_flops += 2 * static_cast<uint64_t>(l.n_in * l.n_out);
    add("plug_in", "argmax of p_k - lambda cost_k", shares_of(ex, fitted.plug_in(ex, lambda)),
        success_flops);
    out.over_plug_in = reward_difference(ex, out.policies[0].shares, own, out.policies[1].shares,
                                         success_flops, lambda, mu);
  }
  add("knn", fmt::format("the {} nearest training questions", kNeighbours),
      nearest_neighbours(ex, folds, lambda), nearest_neighbours_flops(ex, folds));
  const auto lengths = length_features(data);
  auto plain = options;
  plain.family.reset();
  const auto by_length = cross_fit(lengths, folds, Objective::success, plain, plan.threads, done);
  add("length_only", "plug-in that sees the length alone",
      shares_of(ex, by_length.decide(lengths, lambda)), by_length.fitted.front().flops());
  add("best_static", "the one k best in training", best_static(ex, folds, lambda, mu), 0);
  add("matched_random", "the trained policy's k, dealt at random",
      matched_random(ex, out.policies[0].shares), 0);
  add("oracle", "the best k, known afterwards", oracle(ex, lambda, mu), 0);

  const Shares& mine = out.policies[0].shares;
  out.entropy = choice_entropy(mine, ex.n_k());
  std::vector<double> share(static_cast<size_t>(ex.n_k()));
  for (size_t i = 0; i < mine.size(); ++i)
    share[i % share.size()] += mine[i] / static_cast<double>(ex.n);
  out.most_frequent = *std::max_element(share.begin(), share.end());
  out.need = need_estimate(data, fitted);
  if (plan.ood) out.ood = study_ood(data, fitted, lambda, mu);
  for (int i = 0; plan.curve && i < kCurvePoints; ++i) {
    const double at = range.lower * std::pow(range.upper / range.lower, i / (kCurvePoints - 1.0));
    out.curve.push_back({at, outcome_of(ex, shares_of(ex, fitted.decide(ex, at)), own, at, mu),
                         outcome_of(ex, oracle(ex, at, mu), 0, at, mu)});
  }
  // A curve is a report: it changes no exported byte.
  if (!plan.target_cost) options.family.reset();
  const auto rows = all_rows(ex);
  const Fitted whole = fit(ex, rows, plan.objective, options);
  if (done) done();
  out.predictor = export_predictor(whole, ex.grid, lambda);
  out.predictor.model_sha256 = data.weights_sha256;
  out.predictor.features = data.features;
  if (plan.fallback) add_fallback(data, plan, fitted, whole, &out);
  return out;
}

std::vector<std::filesystem::path> write_decisions(const std::filesystem::path& folder,
                                                   const TrainingData& data,
                                                   const TrainingResult& result) {
  std::vector<std::filesystem::path> files;
  const auto n_k = static_cast<size_t>(data.examples.n_k());
  for (const auto& p : result.policies) {
    if (p.name == "matched_random") continue;
    KTable table;
    for (size_t r = 0; r < data.questions.size(); ++r) {
      const auto& q = data.questions[r];
      table[fmt::format("{}:{}", q.task, q.sample)] =
          data.examples.grid[argmax(std::span(p.shares).subspan(r * n_k, n_k))];
    }
    files.push_back(write_table(folder, "train_" + p.name, data.weights_sha256,
                                fmt::format("{}, cross-fitted on sweep {}, lambda {}", p.name,
                                            data.run_uuid, result.lambda),
                                table));
  }
  return files;
}

}  // namespace harness
