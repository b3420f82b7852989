// Owns Mlp: a small network of linear layers with ReLU between them, its gradient, and Adam. In
// double, one thread, one order of every sum: the same seed gives the same bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/train/random.h"

namespace engine::train {

class Mlp {
 public:
  // weight [n_in, n_out] and bias [n_out] begin there in parameters().
  struct Layer {
    int64_t n_in = 0, n_out = 0;
    size_t weight = 0, bias = 0;
  };
  // What a pass leaves for the way back: the input of each layer, the last one's output.
  struct Pass {
    int64_t n = 0;
    std::vector<std::vector<double>> inputs;
    std::vector<double> output;  // [n, n_out]
  };

  Mlp() = default;
  // Weights uniform within +-sqrt(6 / n_in) (He et al. 2015), of the last layer a tenth of it;
  // biases 0.
  Mlp(int64_t n_in, std::span<const int64_t> hidden, int64_t n_out, Random&);

  // x: [n, n_in].
  void forward(std::span<const double> x, int64_t n, Pass*) const;
  // d_output: [n, n_out], derivative of a loss. Adds its derivative to gradient, like parameters().
  void backward(const Pass&, std::span<const double> d_output, std::span<double> gradient) const;

  int64_t n_in() const { return layers_.front().n_in; }
  int64_t n_out() const { return layers_.back().n_out; }
  const std::vector<Layer>& layers() const { return layers_; }
  std::vector<double>& parameters() { return parameters_; }
  const std::vector<double>& parameters() const { return parameters_; }

 private:
  std::vector<Layer> layers_;
  std::vector<double> parameters_;
};

// Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019).
class Adam {
 public:
  Adam(size_t n, double rate, double decay) : rate_(rate), decay_(decay), m_(n), v_(n) {}
  void step(std::span<double> parameters, std::span<const double> gradient);

 private:
  double rate_, decay_, power1_ = 1, power2_ = 1;
  std::vector<double> m_, v_;
};

}  // namespace engine::train
