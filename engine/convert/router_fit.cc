#include "engine/convert/router_fit.h"

#include <algorithm>
#include <cmath>

#include "engine/convert/neurons.h"
#include "engine/convert/ridge.h"
#include "kernels/elementwise.h"
#include "kernels/matmul.h"

namespace engine::convert {
namespace {

using kernels::PackedMatrix;

// Rows `ids` of a matrix, in fp32.
PackedMatrix rows_of(const PackedMatrix& m, const std::vector<int32_t>& ids,
                     kernels::ThreadPool& pool) {
  return PackedMatrix::pack(
      kernels::Dtype::f32, static_cast<int64_t>(ids.size()), m.n_in(),
      [&](int64_t row, void* dst) { m.row(ids[row], static_cast<float*>(dst)); }, pool);
}

// Columns `ids` of down.
PackedMatrix columns_of(const PackedMatrix& m, const std::vector<int32_t>& ids,
                        kernels::ThreadPool& pool) {
  return PackedMatrix::pack(
      kernels::Dtype::f32, m.n_out(), static_cast<int64_t>(ids.size()),
      [&](int64_t row, void* dst) {
        std::vector<float> whole(m.n_in());
        m.row(row, whole.data());
        float* out = static_cast<float*>(dst);
        for (const int32_t j : ids) *out++ = whole[j];
      },
      pool);
}

// What leaving each routed expert out would lose: |E_e(x) - b_e|, [n, n_routed].
std::vector<float> losses(const Expert& block, const float* x, int64_t n, const Options& o,
                          const std::vector<float>& means, const std::vector<int32_t>& order,
                          kernels::ThreadPool& pool, const Stop& stop) {
  const int64_t d = block.gate.n_in(), size = block.gate.n_out() / o.n_experts;
  const int32_t n_routed = o.n_routed();
  std::vector<float> out(n * n_routed), y(kChunkRows * d);
  for (int32_t e = 0; e < n_routed; ++e) {
    const auto first = order.begin() + (o.n_shared + e) * size;
    const std::vector<int32_t> ids(first, first + size);
    const Expert expert{rows_of(block.gate, ids, pool), rows_of(block.up, ids, pool),
                        columns_of(block.down, ids, pool)};
    const float* mean = means.data() + (o.n_shared + e) * d;
    const auto add = [&](int64_t row, int64_t m, const float* h) {
      kernels::matmul(h, size, m, expert.down, nullptr, y.data(), d, pool);
      pool.parallel_for(m, [&](int64_t r, int) {
        double square = 0;
        for (int64_t i = 0; i < d; ++i) {
          const double v = static_cast<double>(y[r * d + i]) - mean[i];
          square += v * v;
        }
        out[(row + r) * n_routed + e] = static_cast<float>(std::sqrt(square));
      });
    };
    for_hidden(expert, x, n, pool, add, stop);
  }
  return out;
}

// Logs of the losses, each expert's floor a share of its mean.
void take_logs(std::vector<float>& loss, int64_t n, int32_t n_routed) {
  for (int32_t e = 0; e < n_routed; ++e) {
    double mean = 0;
    for (int64_t r = 0; r < n; ++r) mean += loss[r * n_routed + e];
    const double floor = kNormFloor * mean / static_cast<double>(n) + 1e-30;
    for (int64_t r = 0; r < n; ++r) {
      float& v = loss[r * n_routed + e];
      v = static_cast<float>(std::log(v + floor));
    }
  }
}

void fit_ridge(const Expert& block, const float* x, int64_t n, const Options& o,
               const std::vector<float>& means, kernels::ThreadPool& pool, const Stop& stop,
               LayerPlan& plan) {
  const int64_t d = block.gate.n_in();
  const auto n_reps = static_cast<int64_t>(plan.representatives.size());
  const int32_t n_routed = o.n_routed();
  std::vector<float> targets = losses(block, x, n, o, means, plan.order, pool, stop);
  take_logs(targets, n, n_routed);
  const Expert reps{rows_of(block.gate, plan.representatives, pool),
                    rows_of(block.up, plan.representatives, pool),
                    {}};
  Ridge ridge(d + n_reps, n_routed);
  std::vector<float> phi(kChunkRows * (d + n_reps));
  const auto add = [&](int64_t first, int64_t m, const float* h) {
    for (int64_t r = 0; r < m; ++r) {
      float* row = phi.data() + r * (d + n_reps);
      std::copy_n(x + (first + r) * d, d, row);
      for (int64_t i = 0; i < n_reps; ++i) row[d + i] = std::abs(h[r * n_reps + i]);
    }
    ridge.add(phi.data(), targets.data() + first * n_routed, m, pool);
  };
  for_hidden(reps, x, n, pool, add, stop);
  const Ridge::Fit fit = ridge.solve(o.ridge_lambda);
  for (int32_t e = 0; e < n_routed; ++e) {
    const float* row = fit.weights.data() + e * (d + n_reps);
    plan.router.insert(plan.router.end(), row, row + d);
    plan.mix.insert(plan.mix.end(), row + d, row + d + n_reps);
    plan.router_explained += fit.explained[e] / n_routed;
  }
  plan.bias = fit.bias;
}

// E|up_j x| * |down_j|: what neuron j writes for every unit of |silu(gate_j x)|. [n_routed,
// d_expert]
std::vector<float> activation_scale(const Expert& block, const float* x, int64_t n,
                                    const Options& o, const std::vector<int32_t>& order,
                                    kernels::ThreadPool& pool, const Stop& stop) {
  const int64_t d = block.up.n_in(), width = block.up.n_out();
  std::vector<double> sum(width);
  std::vector<float> up(kChunkRows * width);
  for (int64_t first = 0; first < n; first += kChunkRows) {
    stop.check();
    const int64_t m = std::min(kChunkRows, n - first);
    kernels::matmul(x + first * d, d, m, block.up, nullptr, up.data(), width, pool);
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t j = 0; j < width; ++j) sum[j] += std::abs(up[r * width + j]);
    }
  }
  const std::vector<double> norms = write_norms(block);
  std::vector<float> scale;
  for (int64_t at = o.n_shared * (width / o.n_experts); at < width; ++at) {
    const int32_t j = order[at];
    scale.push_back(static_cast<float>(sum[j] / static_cast<double>(n) * norms[j]));
  }
  return scale;
}

}  // namespace

void fit_router(const Expert& block, const float* x, int64_t n, const Options& o,
                const std::vector<float>& means, kernels::ThreadPool& pool, const Stop& stop,
                LayerPlan& plan) {
  const int64_t d = block.gate.n_in();
  const int32_t n_routed = o.n_routed();
  switch (o.router) {
    case RouterFit::ridge:
      return fit_ridge(block, x, n, o, means, pool, stop, plan);
    case RouterFit::gate_first:
      plan.activation_scale = activation_scale(block, x, n, o, plan.order, pool, stop);
      return;
    case RouterFit::exact_norm:
      return;
    case RouterFit::cmoe:
      plan.mix.assign(static_cast<size_t>(n_routed) * n_routed, 0);
      for (int32_t e = 0; e < n_routed; ++e) plan.mix[e * n_routed + e] = 1;
      plan.bias.assign(n_routed, 0);
      break;
    case RouterFit::static_order:
      for (int32_t e = 0; e < n_routed; ++e) plan.bias.push_back(static_cast<float>(-e));
      break;
  }
  plan.router.assign(n_routed * d, 0);
}

}  // namespace engine::convert
