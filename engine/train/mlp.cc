#include "engine/train/mlp.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace engine::train {

Mlp::Mlp(int64_t n_in, std::span<const int64_t> hidden, int64_t n_out, Random& random) {
  std::vector<int64_t> widths{n_in};
  widths.insert(widths.end(), hidden.begin(), hidden.end());
  widths.push_back(n_out);
  size_t at = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    Layer l{widths[i], widths[i + 1], at, 0};
    at += static_cast<size_t>(l.n_in * l.n_out);
    l.bias = at;
    at += static_cast<size_t>(l.n_out);
    layers_.push_back(l);
  }
  parameters_.assign(at, 0.0);
  for (const Layer& l : layers_) {
    double bound = std::sqrt(6.0 / static_cast<double>(std::max<int64_t>(l.n_in, 1)));
    if (&l == &layers_.back()) bound *= 0.1;
    for (size_t i = l.weight; i < l.bias; ++i) parameters_[i] = bound * (2 * random.uniform() - 1);
  }
}

void Mlp::forward(std::span<const double> x, int64_t n, Pass* pass) const {
  assert(x.size() == static_cast<size_t>(n * n_in()));
  pass->n = n;
  pass->inputs.resize(layers_.size());
  pass->inputs[0].assign(x.begin(), x.end());
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& l = layers_[i];
    const auto wide = static_cast<size_t>(l.n_out), deep = static_cast<size_t>(l.n_in);
    const bool last = i + 1 == layers_.size();
    const std::vector<double>& in = pass->inputs[i];
    std::vector<double>& out = last ? pass->output : pass->inputs[i + 1];
    out.resize(static_cast<size_t>(n) * wide);
    for (size_t r = 0; r < static_cast<size_t>(n); ++r)
      std::copy_n(parameters_.begin() + static_cast<std::ptrdiff_t>(l.bias), wide,
                  out.begin() + static_cast<std::ptrdiff_t>(r * wide));
    for (size_t j = 0; j < deep; ++j) {
      const double* w = parameters_.data() + l.weight + j * wide;
      for (size_t r = 0; r < static_cast<size_t>(n); ++r) {
        const double a = in[r * deep + j];
        if (a == 0) continue;
        double* y = out.data() + r * wide;
        for (size_t o = 0; o < wide; ++o) y[o] += a * w[o];
      }
    }
    if (!last)
      for (double& v : out) v = std::max(v, 0.0);
  }
}

void Mlp::backward(const Pass& pass, std::span<const double> d_output,
                   std::span<double> gradient) const {
  assert(gradient.size() == parameters_.size() && d_output.size() == pass.output.size());
  const auto n = static_cast<size_t>(pass.n);
  std::vector<double> d(d_output.begin(), d_output.end()), d_in;
  for (size_t i = layers_.size(); i-- > 0;) {
    const Layer& l = layers_[i];
    const auto wide = static_cast<size_t>(l.n_out), deep = static_cast<size_t>(l.n_in);
    const std::vector<double>& in = pass.inputs[i];
    for (size_t r = 0; r < n; ++r)
      for (size_t o = 0; o < wide; ++o) gradient[l.bias + o] += d[r * wide + o];
    for (size_t j = 0; j < deep; ++j) {
      double* g = gradient.data() + l.weight + j * wide;
      for (size_t r = 0; r < n; ++r) {
        const double a = in[r * deep + j];
        if (a == 0) continue;
        const double* dy = d.data() + r * wide;
        for (size_t o = 0; o < wide; ++o) g[o] += a * dy[o];
      }
    }
    if (i == 0) return;
    d_in.assign(n * deep, 0.0);
    for (size_t r = 0; r < n; ++r)
      for (size_t j = 0; j < deep; ++j) {
        if (in[r * deep + j] <= 0) continue;  // ReLU
        const double* w = parameters_.data() + l.weight + j * wide;
        double sum = 0;
        for (size_t o = 0; o < wide; ++o) sum += w[o] * d[r * wide + o];
        d_in[r * deep + j] = sum;
      }
    d.swap(d_in);
  }
}

void Adam::step(std::span<double> parameters, std::span<const double> gradient) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
  power1_ *= kBeta1;
  power2_ *= kBeta2;
  for (size_t i = 0; i < parameters.size(); ++i) {
    m_[i] = kBeta1 * m_[i] + (1 - kBeta1) * gradient[i];
    v_[i] = kBeta2 * v_[i] + (1 - kBeta2) * gradient[i] * gradient[i];
    const double m = m_[i] / (1 - power1_), v = v_[i] / (1 - power2_);
    parameters[i] -= rate_ * (m / (std::sqrt(v) + kEpsilon) + decay_ * parameters[i]);
  }
}

}  // namespace engine::train
