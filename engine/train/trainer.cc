#include "engine/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace engine::train {
namespace {

enum Use : uint64_t { kSplit, kInit, kOrder, kDraws, kSuccessInit, kJudge };

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

std::vector<double> standardised(const Examples& ex, const Standardiser& input,
                                 std::span<const int64_t> rows) {
  const auto d = static_cast<size_t>(ex.n_features);
  std::vector<double> z(rows.size() * d);
  for (size_t i = 0; i < rows.size(); ++i) input.apply(ex.feature_row(rows[i]), z.data() + i * d);
  return z;
}

// A feature that does not vary gets no weight, so that it cannot speak up later.
Mlp make_net(const Examples& ex, const Standardiser& input, int64_t n_out, const Options& o,
             uint64_t use) {
  Random random(derived_seed(o.seed, use));
  Mlp net(ex.n_features, o.hidden, n_out, random);
  const auto& first = net.layers().front();
  for (size_t j = 0; j < input.varies.size(); ++j)
    if (!input.varies[j])
      std::fill_n(
          net.parameters().begin() +
              static_cast<std::ptrdiff_t>(first.weight + j * static_cast<size_t>(first.n_out)),
          first.n_out, 0.0);
  return net;
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

// A network with what a step of it needs.
struct Learner {
  Mlp& net;
  Adam adam;
  std::vector<double> gradient;
  Mlp::Pass pass;
  std::vector<double> d;

  Learner(Mlp& m, const Options& o)
      : net(m), adam(m.parameters().size(), o.rate, o.decay), gradient(m.parameters().size()) {}
  void forward(const std::vector<double>& z, int64_t n) {
    net.forward(z, n, &pass);
    d.assign(pass.output.size(), 0.0);
  }
  std::span<const double> output(size_t row) const {
    const auto wide = static_cast<size_t>(net.n_out());
    return std::span(pass.output).subspan(row * wide, wide);
  }
  std::span<double> d_output(size_t row) {
    const auto wide = static_cast<size_t>(net.n_out());
    return std::span(d).subspan(row * wide, wide);
  }
  // d holds the derivative of the sum of the rows' losses.
  void step() {
    for (double& x : d) x /= static_cast<double>(pass.n);
    std::fill(gradient.begin(), gradient.end(), 0.0);
    net.backward(pass, d, gradient);
    adam.step(net.parameters(), gradient);
  }
};

std::span<const double> success_row(const Examples& ex, int64_t r) {
  return std::span(ex.success).subspan(ex.at(r, 0), static_cast<size_t>(ex.n_k()));
}

std::vector<double> rewards(const Examples& ex, int64_t r, double lambda, double mu) {
  std::vector<double> out;
  for (int64_t k = 0; k < ex.n_k(); ++k) out.push_back(ex.reward(r, k, lambda, mu));
  return out;
}

std::vector<double> folded(std::span<const double> o, std::span<const double> basis) {
  const size_t n_k = o.size() / basis.size();
  std::vector<double> z(n_k);
  for (size_t b = 0; b < basis.size(); ++b)
    for (size_t k = 0; k < n_k; ++k) z[k] += basis[b] * o[b * n_k + k];
  return z;
}

// The gradient by the logits as one by the outputs, with the sign of a loss.
void unfold(std::span<const double> d_logits, std::span<const double> basis, std::span<double> d) {
  for (size_t b = 0; b < basis.size(); ++b)
    for (size_t k = 0; k < d_logits.size(); ++k)
      d[b * d_logits.size() + k] = -basis[b] * d_logits[k];
}

double draw_lambda(const Options& o, Random& random) {
  if (!o.family) return o.lambda;
  return o.family->lower * std::pow(o.family->upper / o.family->lower, random.uniform());
}

// Where a policy is judged: its lambda, or a family's at five places.
std::vector<double> judged_at(const Options& o) {
  if (!o.family) return {o.lambda};
  std::vector<double> out;
  for (int i = 0; i < 5; ++i)
    out.push_back(o.family->lower * std::pow(o.family->upper / o.family->lower, (i + 0.5) / 5));
  return out;
}

PolicyModel start_policy(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  PolicyModel m;
  m.input = Standardiser(ex, rows);
  m.family = o.family;
  m.net = make_net(ex, m.input, ex.n_k() * static_cast<int64_t>(m.basis(1).size()), o, kInit);
  return m;
}

}  // namespace

SuccessModel fit_success(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  SuccessModel m;
  m.input = Standardiser(ex, rows);
  m.head = o.head;
  m.net = make_net(ex, m.input, ex.n_k(), o, kSuccessInit);
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
  Reinforced out;
  PolicyModel& m = out.policy;
  SuccessModel& s = out.success;
  m = start_policy(ex, rows, o);
  s.input = m.input;
  s.head = o.head;
  s.net = make_net(ex, s.input, ex.n_k(), o, kSuccessInit);
  const Split split = split_rows(ex, rows, o);
  const auto& judged = split.held_out.empty() ? split.fit : split.held_out;
  const auto judged_z = standardised(ex, m.input, judged);
  const auto cost = mean_cost(ex, split.fit);
  Learner policy(m.net, o), success(s.net, o);
  Mlp* const nets[] = {&m.net, &s.net};
  Random random(derived_seed(o.seed, kDraws));
  Random judge(derived_seed(o.seed, kJudge));
  std::vector<double> d_logits(static_cast<size_t>(ex.n_k()));
  std::vector<uint8_t> seen(static_cast<size_t>(ex.n_k()));
  const auto [epoch, score] = descend(
      o, split.fit, nets,
      [&](std::span<const int64_t> batch) {
        const auto z = standardised(ex, m.input, batch);
        policy.forward(z, static_cast<int64_t>(batch.size()));
        success.forward(z, static_cast<int64_t>(batch.size()));
        for (size_t i = 0; i < batch.size(); ++i) {
          const double lambda = draw_lambda(o, random);
          const auto g = m.basis(lambda);
          const auto logits = folded(policy.output(i), g);
          const auto pi = softmax(logits);
          const auto p = success_probabilities(s.head, success.output(i));
          double baseline = 0;
          for (size_t k = 0; k < pi.size(); ++k) baseline += pi[k] * (p[k] - lambda * cost[k]);
          const size_t k = random.draw(pi);
          const double r = ex.reward(batch[i], static_cast<int64_t>(k), lambda, o.mu);
          reinforce_gradient(logits, k, r, baseline, o.entropy, d_logits);
          unfold(d_logits, g, policy.d_output(i));
          std::fill(seen.begin(), seen.end(), uint8_t{0});
          seen[k] = 1;
          success_loss(s.head, success.output(i), success_row(ex, batch[i]), seen,
                       success.d_output(i));
        }
        policy.step();
        success.step();
      },
      [&] {
        policy.forward(judged_z, static_cast<int64_t>(judged.size()));
        double value = 0;
        const auto lambdas = judged_at(o);
        for (const double lambda : lambdas)
          for (size_t i = 0; i < judged.size(); ++i) {
            const auto pi = softmax(folded(policy.output(i), m.basis(lambda)));
            for (int t = 0; t < kJudgeDraws; ++t)
              value += ex.reward(judged[i], static_cast<int64_t>(judge.draw(pi)), lambda, o.mu);
          }
        return value / static_cast<double>(judged.size() * lambdas.size() * kJudgeDraws);
      });
  m.epochs = s.epochs = epoch;
  m.held_out_value = score;
  s.held_out_loss = std::numeric_limits<double>::quiet_NaN();
  return out;
}

}  // namespace engine::train
