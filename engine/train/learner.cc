#include "engine/train/learner.h"

#include <algorithm>
#include <cmath>

namespace engine::train {

std::vector<double> standardised(const Examples& ex, const Standardiser& input,
                                 std::span<const int64_t> rows) {
  const auto d = static_cast<size_t>(ex.n_features);
  std::vector<double> z(rows.size() * d);
  for (size_t i = 0; i < rows.size(); ++i) input.apply(ex.feature_row(rows[i]), z.data() + i * d);
  return z;
}

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

PolicyModel start_policy(const Examples& ex, std::span<const int64_t> rows, const Options& o) {
  PolicyModel m;
  m.input = Standardiser(ex, rows);
  m.family = o.family;
  m.net = make_net(ex, m.input, ex.n_k() * static_cast<int64_t>(m.basis(1).size()), o, kInit);
  return m;
}

SuccessModel start_success(const Examples& ex, const Standardiser& input, const Options& o) {
  SuccessModel m;
  m.input = input;
  m.head = o.head;
  m.net = make_net(ex, input, ex.n_k(), o, kSuccessInit);
  return m;
}

std::vector<double> folded(std::span<const double> o, std::span<const double> basis) {
  const size_t n_k = o.size() / basis.size();
  std::vector<double> z(n_k);
  for (size_t b = 0; b < basis.size(); ++b)
    for (size_t k = 0; k < n_k; ++k) z[k] += basis[b] * o[b * n_k + k];
  return z;
}

void unfold(std::span<const double> d_logits, std::span<const double> basis, std::span<double> d) {
  for (size_t b = 0; b < basis.size(); ++b)
    for (size_t k = 0; k < d_logits.size(); ++k)
      d[b * d_logits.size() + k] = -basis[b] * d_logits[k];
}

double draw_lambda(const Options& o, Random& random) {
  if (!o.family) return o.lambda;
  return o.family->lower * std::pow(o.family->upper / o.family->lower, random.uniform());
}

}  // namespace engine::train
