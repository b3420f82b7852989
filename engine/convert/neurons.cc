#include "engine/convert/neurons.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"

namespace engine::convert {

void for_hidden(const Expert& e, const float* x, int64_t n, kernels::ThreadPool& pool,
                const HiddenConsumer& consume, const Stop& stop) {
  const int64_t d = e.gate.n_in(), width = e.gate.n_out();
  std::vector<float> gate(kChunkRows * width), up(kChunkRows * width);
  for (int64_t first = 0; first < n; first += kChunkRows) {
    stop.check();
    const int64_t m = std::min(kChunkRows, n - first);
    kernels::matmul(x + first * d, d, m, e.gate, nullptr, gate.data(), width, pool);
    kernels::matmul(x + first * d, d, m, e.up, nullptr, up.data(), width, pool);
    kernels::swiglu(gate.data(), up.data(), m, width, gate.data(), pool);
    consume(first, m, gate.data());
  }
}

Moments moments_of(const Expert& e, const float* x, int64_t n, kernels::ThreadPool& pool,
                   const Stop& stop) {
  constexpr int64_t kStrip = 64;
  const int64_t width = e.gate.n_out();
  std::vector<double> sum(width), square(width);
  const auto add = [&](int64_t, int64_t m, const float* h) {
    pool.parallel_for((width + kStrip - 1) / kStrip, [&](int64_t strip, int) {
      const int64_t last = std::min(width, (strip + 1) * kStrip);
      for (int64_t r = 0; r < m; ++r) {
        for (int64_t j = strip * kStrip; j < last; ++j) {
          const double v = h[r * width + j];
          sum[j] += v;
          square[j] += v * v;
        }
      }
    });
  };
  for_hidden(e, x, n, pool, add, stop);
  Moments out{std::move(sum), std::move(square)};
  for (int64_t j = 0; j < width; ++j) {
    double& mean = out.mean[j] /= static_cast<double>(n);
    out.variance[j] = std::max(0.0, out.variance[j] / static_cast<double>(n) - mean * mean);
  }
  return out;
}

std::vector<double> write_norms(const Expert& e) {
  const int64_t width = e.down.n_in();
  std::vector<double> norms(width);
  std::vector<float> row(width);
  for (int64_t i = 0; i < e.down.n_out(); ++i) {
    e.down.row(i, row.data());
    for (int64_t j = 0; j < width; ++j) norms[j] += static_cast<double>(row[j]) * row[j];
  }
  for (double& v : norms) v = std::sqrt(v);
  return norms;
}

std::vector<double> importance(const Moments& moments, const std::vector<double>& norms) {
  std::vector<double> s(norms.size());
  for (size_t j = 0; j < s.size(); ++j) s[j] = moments.variance[j] * norms[j] * norms[j];
  return s;
}

std::vector<int32_t> by_importance(const std::vector<double>& importance) {
  std::vector<int32_t> order(importance.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return importance[a] > importance[b]; });
  return order;
}

std::vector<float> coactivation_gram(const Expert& e, const std::vector<double>& norms,
                                     const std::vector<int32_t>& neurons, const float* x,
                                     int64_t n_rows, int64_t max_rows, int32_t active,
                                     kernels::ThreadPool& pool, const Stop& stop) {
  const int64_t d = e.gate.n_in(), width = e.gate.n_out();
  const auto n = static_cast<int64_t>(neurons.size());
  const int64_t rows = std::min(n_rows, max_rows);
  const int64_t top = std::min<int64_t>(active, n);
  std::vector<float> sampled(rows * d);
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(x + r * n_rows / rows * d, d, sampled.data() + r * d);
  }
  std::vector<int32_t> counts(n * n), marked(kChunkRows * top);
  const auto count = [&](int64_t, int64_t m, const float* h) {
    pool.parallel_for(m, [&](int64_t r, int) {
      std::vector<std::pair<double, int32_t>> strength(n);
      for (int64_t i = 0; i < n; ++i) {
        const int32_t j = neurons[i];
        strength[i] = {-std::abs(h[r * width + j]) * norms[j], static_cast<int32_t>(i)};
      }
      std::nth_element(strength.begin(), strength.begin() + top - 1, strength.end());
      for (int64_t i = 0; i < top; ++i) marked[r * top + i] = strength[i].second;
    });
    for (int64_t r = 0; r < m; ++r) {
      const int32_t* row = marked.data() + r * top;
      for (int64_t a = 0; a < top; ++a) {
        for (int64_t b = 0; b < top; ++b) ++counts[row[a] * n + row[b]];
      }
    }
  };
  for_hidden(e, sampled.data(), rows, pool, count, stop);
  std::vector<float> gram(n * n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const double both = counts[i * n + j];
      if (both > 0) {
        gram[i * n + j] = static_cast<float>(
            both / std::sqrt(static_cast<double>(counts[i * n + i]) * counts[j * n + j]));
      }
    }
  }
  return gram;
}

std::vector<float> parameter_gram(const Expert& e, const std::vector<int32_t>& neurons,
                                  kernels::ThreadPool& pool, const Stop& stop) {
  const int64_t d = e.gate.n_in();
  const auto n = static_cast<int64_t>(neurons.size());
  std::vector<float> unit(n * 2 * d);
  for (int64_t i = 0; i < n; ++i) {
    float* row = unit.data() + i * 2 * d;
    e.gate.row(neurons[i], row);
    e.up.row(neurons[i], row + d);
    double square = 0;
    for (int64_t k = 0; k < 2 * d; ++k) square += static_cast<double>(row[k]) * row[k];
    const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
    for (int64_t k = 0; k < 2 * d; ++k) row[k] = static_cast<float>(row[k] * scale);
  }
  const auto packed = kernels::PackedMatrix::pack(
      kernels::Dtype::f32, n, 2 * d,
      [&](int64_t row, void* dst) {
        std::copy_n(unit.data() + row * 2 * d, 2 * d, static_cast<float*>(dst));
      },
      pool);
  std::vector<float> gram(n * n);
  for (int64_t first = 0; first < n; first += kChunkRows) {
    stop.check();
    kernels::matmul(unit.data() + first * 2 * d, 2 * d, std::min(kChunkRows, n - first), packed,
                    nullptr, gram.data() + first * n, n, pool);
  }
  return gram;
}

}  // namespace engine::convert
