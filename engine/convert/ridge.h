// Owns ridge regression in closed form, from sums over rows that arrive in any number of calls.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kernels/thread_pool.h"

namespace engine::convert {

class NoFit : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// targets ~ weights phi + bias. Sums are kept in double, in row order, so the fit does not depend
// on threads.
class Ridge {
 public:
  Ridge(int64_t n_features, int64_t n_targets);

  // phi [rows, n_features], targets [rows, n_targets].
  void add(const float* phi, const float* targets, int64_t rows, kernels::ThreadPool&);

  struct Fit {
    std::vector<float> weights;     // [n_targets, n_features]
    std::vector<float> bias;        // [n_targets]
    std::vector<double> explained;  // [n_targets]: R^2 on the rows added; 0 where nothing varies
  };
  // Minimises mean squared error + lambda * sum_i (weight_i * deviation of feature i)^2: centred
  // features of unit variance are penalised, the bias is not. lambda > 0. Source: Hoerl & Kennard
  // 1970; solved by Cholesky factorisation. Throws NoFit where the features depend on each other
  // beyond what lambda mends, or are not finite.
  Fit solve(double lambda) const;

 private:
  const int64_t n_features_, n_targets_;
  int64_t rows_ = 0;
  // Columns: features, targets, one. Upper triangle of the moments [n, n].
  std::vector<double> moments_, chunk_;
};

}  // namespace engine::convert
