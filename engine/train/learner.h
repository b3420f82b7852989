// Owns what training in any way takes: networks at their start, and a step of one. For .cc files of
// engine/train only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/train/models.h"

namespace engine::train {

// Of a seed, for derived_seed.
enum Use : uint64_t { kSplit, kInit, kOrder, kDraws, kSuccessInit, kJudge };

std::vector<double> standardised(const Examples&, const Standardiser&,
                                 std::span<const int64_t> rows);

// A feature that does not vary gets no weight, so that it cannot speak up later.
Mlp make_net(const Examples&, const Standardiser&, int64_t n_out, const Options&, uint64_t use);

PolicyModel start_policy(const Examples&, std::span<const int64_t> rows, const Options&);
SuccessModel start_success(const Examples&, const Standardiser&, const Options&);

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
  // d holds the derivative of the sum of the rows' losses; gradient becomes that of their mean.
  void differentiate() {
    for (double& x : d) x /= static_cast<double>(pass.n);
    std::fill(gradient.begin(), gradient.end(), 0.0);
    net.backward(pass, d, gradient);
  }
  void step() { adam.step(net.parameters(), gradient); }
};

// Logits of a family at a lambda's basis.
std::vector<double> folded(std::span<const double> outputs, std::span<const double> basis);
// The gradient by the logits as one by the outputs, with the sign of a loss.
void unfold(std::span<const double> d_logits, std::span<const double> basis, std::span<double> d);

// The options' own, or one of the family's.
double draw_lambda(const Options&, Random&);

}  // namespace engine::train
