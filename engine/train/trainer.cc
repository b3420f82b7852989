#include "engine/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "engine/train/learner.h"
#include "engine/train/reinforce.h"

namespace engine::train {
namespace {

struct Split {
  std::vector<int64_t> fit, held_out;
};

// Whole clusters are held out; none when there are fewer than five.
Split split_rows(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  std::vector<int64_t> clusters;
  for (const int64_t r : rows) clusters.push_back(ex.cluster[static_cast<size_t>(r)]);
  std::sort(clusters.begin(), clusters.end());
  clusters.erase(std::unique(clusters.begin(), clusters.end()), clusters.end());
  Random random(derived_seed(o.seed, kSplit));
  random.shuffle(std::span(clusters));
  const auto n_out =
      clusters.size() < 5
          ? size_t{0}
          : static_cast<size_t>(std::lround(o.held_out * static_cast<double>(clusters.size())));
  std::vector<int64_t> out(clusters.begin(), clusters.begin() + static_cast<std::ptrdiff_t>(n_out));
  std::sort(out.begin(), out.end());
  Split s;
  for (const int64_t r : rows) {
    const bool held =
        std::binary_search(out.begin(), out.end(), ex.cluster[static_cast<size_t>(r)]);
    (held ? s.held_out : s.fit).push_back(r);
  }
  return s;
}

// Minibatches in a new order each epoch; the networks of the best epoch are kept.
// step: trains on rows [first, last) of `order`. score: the larger the better.
// Returns the best epoch, counted from 1, and its score.
std::pair<int, double> descend(const Options& o, std::vector<int64_t> order,
                               std::span<Mlp* const> nets,
                               const std::function<void(std::span<const int64_t>)>& step,
                               const std::function<double()>& score) {
  Random random(derived_seed(o.seed, kOrder));
  std::vector<std::vector<double>> best;
  for (const Mlp* net : nets) best.push_back(net->parameters());
  double best_score = -std::numeric_limits<double>::infinity();
  int best_epoch = 0;
  for (int epoch = 1; epoch <= o.epochs && epoch - best_epoch <= o.patience; ++epoch) {
    random.shuffle(std::span(order));
    for (size_t at = 0; at < order.size(); at += static_cast<size_t>(o.batch))
      step(std::span(order).subspan(
          at, std::min<size_t>(static_cast<size_t>(o.batch), order.size() - at)));
    const double s = score();
    if (!(s > best_score)) continue;
    best_score = s;
    best_epoch = epoch;
    for (size_t i = 0; i < nets.size(); ++i) best[i] = nets[i]->parameters();
  }
  for (size_t i = 0; i < nets.size(); ++i) nets[i]->parameters() = best[i];
  return {best_epoch, best_score};
}

std::span<const double> success_row(const Examples& ex, int64_t r) {
  return std::span(ex.success).subspan(ex.at(r, 0), static_cast<size_t>(ex.n_k()));
}

std::vector<double> rewards(const Examples& ex, int64_t r, double lambda, double mu) {
  std::vector<double> out;
  for (int64_t k = 0; k < ex.n_k(); ++k) out.push_back(ex.reward(r, k, lambda, mu));
  return out;
}

// Where a policy is judged: its lambda, or a family's at five places.
std::vector<double> judged_at(const Options& o) {
  if (!o.family) return {o.lambda};
  std::vector<double> out;
  for (int i = 0; i < 5; ++i)
    out.push_back(o.family->lower * std::pow(o.family->upper / o.family->lower, (i + 0.5) / 5));
  return out;
}

}  // namespace

SuccessModel fit_success(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  SuccessModel m = start_success(ex, Standardiser(ex, rows), o);
  const Split split = split_rows(ex, rows, o);
  const auto& judged = split.held_out.empty() ? split.fit : split.held_out;
  const auto judged_z = standardised(ex, m.input, judged);
  Learner learner(m.net, o);
  Mlp* const nets[] = {&m.net};
  std::vector<double> unused(static_cast<size_t>(ex.n_k()));
  const auto [epoch, score] = descend(
      o, split.fit, nets,
      [&](std::span<const int64_t> batch) {
        learner.forward(standardised(ex, m.input, batch), static_cast<int64_t>(batch.size()));
        for (size_t i = 0; i < batch.size(); ++i)
          success_loss(o.head, learner.output(i), success_row(ex, batch[i]), {},
                       learner.d_output(i));
        learner.differentiate();
        learner.step();
      },
      [&] {
        learner.forward(judged_z, static_cast<int64_t>(judged.size()));
        double loss = 0;
        for (size_t i = 0; i < judged.size(); ++i)
          loss += success_loss(o.head, learner.output(i), success_row(ex, judged[i]), {}, unused);
        return -loss / static_cast<double>(judged.size());
      });
  m.epochs = epoch;
  m.held_out_loss = -score;
  return m;
}

PolicyModel fit_policy(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  PolicyModel m = start_policy(ex, rows, o);
  const Split split = split_rows(ex, rows, o);
  const auto& judged = split.held_out.empty() ? split.fit : split.held_out;
  const auto judged_z = standardised(ex, m.input, judged);
  Learner learner(m.net, o);
  Mlp* const nets[] = {&m.net};
  Random random(derived_seed(o.seed, kDraws));
  std::vector<double> d_logits(static_cast<size_t>(ex.n_k()));
  const auto [epoch, score] = descend(
      o, split.fit, nets,
      [&](std::span<const int64_t> batch) {
        learner.forward(standardised(ex, m.input, batch), static_cast<int64_t>(batch.size()));
        for (size_t i = 0; i < batch.size(); ++i) {
          const double lambda = draw_lambda(o, random);
          const auto g = m.basis(lambda);
          policy_value(folded(learner.output(i), g), rewards(ex, batch[i], lambda, o.mu), o.entropy,
                       d_logits);
          unfold(d_logits, g, learner.d_output(i));
        }
        learner.differentiate();
        learner.step();
      },
      [&] {
        learner.forward(judged_z, static_cast<int64_t>(judged.size()));
        double value = 0;
        const auto lambdas = judged_at(o);
        for (const double lambda : lambdas)
          for (size_t i = 0; i < judged.size(); ++i)
            value += policy_value(folded(learner.output(i), m.basis(lambda)),
                                  rewards(ex, judged[i], lambda, o.mu), 0, d_logits);
        return value / static_cast<double>(judged.size() * lambdas.size());
      });
  m.epochs = epoch;
  m.held_out_value = score;
  return m;
}

Reinforced fit_reinforce(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  constexpr int kJudgeDraws = 8;  // of each held-out query and epoch
  const Split split = split_rows(ex, rows, o);
  const auto& judged = split.held_out.empty() ? split.fit : split.held_out;
  ReinforceLearner learner(ex, rows, o);
  const PolicyModel& m = learner.policy();
  const auto judged_z = standardised(ex, m.input, judged);
  const auto cost = mean_cost(ex, split.fit);
  Random judge(derived_seed(o.seed, kJudge));
  Mlp::Pass pass;
  const auto [epoch, score] = descend(
      o, split.fit, learner.networks(),
      [&](std::span<const int64_t> batch) {
        const auto draws = learner.draw(standardised(ex, m.input, batch));
        std::vector<ReinforceLearner::Seen> seen;
        for (size_t i = 0; i < batch.size(); ++i) {
          const auto k = static_cast<int64_t>(draws[i].k);
          seen.push_back(
              {ex.success[ex.at(batch[i], k)], ex.reward(batch[i], k, draws[i].lambda, o.mu)});
        }
        learner.learn(seen, cost);
        learner.step();
      },
      [&] {
        m.net.forward(judged_z, static_cast<int64_t>(judged.size()), &pass);
        const auto wide = static_cast<size_t>(m.net.n_out());
        double value = 0;
        const auto lambdas = judged_at(o);
        for (const double lambda : lambdas)
          for (size_t i = 0; i < judged.size(); ++i) {
            const auto outputs = std::span(pass.output).subspan(i * wide, wide);
            const auto pi = softmax(folded(outputs, m.basis(lambda)));
            for (int t = 0; t < kJudgeDraws; ++t)
              value += ex.reward(judged[i], static_cast<int64_t>(judge.draw(pi)), lambda, o.mu);
          }
        return value / static_cast<double>(judged.size() * lambdas.size() * kJudgeDraws);
      });
  Reinforced out{learner.policy(), learner.success()};
  out.policy.epochs = out.success.epochs = epoch;
  out.policy.held_out_value = score;
  out.success.held_out_loss = std::numeric_limits<double>::quiet_NaN();
  return out;
}

}  // namespace engine::train
