// Owns small layers with random experts, and the plain double-precision form of what a layer must
// compute from them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/moe_layer.h"
#include "tests/kernels/reference/experts.h"

namespace moe_case {

using engine::ExpertBudget;
using engine::GateNorm;
using engine::kMaxBudget;
using engine::ModelConfig;
using engine::MoeConfig;
using engine::RouterKind;
using engine::Selector;

inline std::vector<float> random_floats(int64_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::vector<float> v;
  for (int64_t i = 0; i < n; ++i) {
    v.push_back((static_cast<float>(random() % 20001) / 10000.0f - 1.0f) * scale);
  }
  return v;
}

struct Matrix {
  int64_t n_out = 0, n_in = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(int64_t out, int64_t in, uint32_t seed, float scale)
      : n_out(out), n_in(in), values(random_floats(out * in, seed, scale)) {}
  kernels::PackedMatrix packed(kernels::ThreadPool& pool) const {
    return kernels::PackedMatrix::pack(
        kernels::Dtype::f32, n_out, n_in,
        [&](int64_t r, void* dst) {
          std::memcpy(dst, values.data() + r * n_in, static_cast<size_t>(n_in) * sizeof(float));
        },
        pool);
  }
  std::vector<double> times(const std::vector<double>& x) const {
    std::vector<double> y(static_cast<size_t>(n_out));
    for (int64_t r = 0; r < n_out; ++r) {
      for (int64_t k = 0; k < n_in; ++k) {
        y[r] += static_cast<double>(values[r * n_in + k]) * x[static_cast<size_t>(k)];
      }
    }
    return y;
  }
};

inline std::vector<double> gated(const Matrix& gate, const Matrix& up,
                                 const std::vector<double>& x) {
  std::vector<double> h = gate.times(x);
  const std::vector<double> u = up.times(x);
  for (size_t i = 0; i < h.size(); ++i) h[i] = h[i] / (1 + std::exp(-h[i])) * u[i];
  return h;
}

// What a row ran, from the reference.
struct Row {
  std::vector<int> ids;
  std::vector<double> weights, y;
  double margin = NAN;
  double gap =
      INFINITY;  // how close the choice was to another one; a test skips ties it cannot tell
};

class Layer {
 public:
  ModelConfig config;
  engine::LayerWeights weights;

  Layer(const MoeConfig& moe, int64_t d_model, uint32_t seed) {
    config.family = "test";
    config.n_layers = 3;
    config.d_model = d_model;
    config.moe = moe;
    kernels::ThreadPool pool(1);
    const auto next = [&] { return seed++ * 977; };
    for (int32_t e = 0; e < moe.n_experts; ++e) {
      const int64_t width = e < moe.n_shared ? moe.d_shared : moe.d_expert;
      gate_.emplace_back(width, d_model, next(), 0.3f);
      up_.emplace_back(width, d_model, next(), 0.3f);
      down_.emplace_back(d_model, width, next(), 0.3f);
      weights.experts.push_back(
          {gate_.back().packed(pool), up_.back().packed(pool), down_.back().packed(pool)});
    }
    const int64_t n = moe.n_routed();
    if (moe.router == RouterKind::linear || moe.router == RouterKind::representative) {
      router_ = Matrix(n, d_model, next(), 0.5f);
      weights.router.weight = router_.packed(pool);
      weights.router.bias = random_floats(n, next(), 0.2f);
    }
    if (moe.router == RouterKind::representative) {
      const int64_t r = n * moe.n_representatives;
      rep_gate_ = Matrix(r, d_model, next(), 0.3f);
      rep_up_ = Matrix(r, d_model, next(), 0.3f);
      mix_ = Matrix(n, r, next(), 0.2f);
      weights.router.rep_gate = rep_gate_.packed(pool);
      weights.router.rep_up = rep_up_.packed(pool);
      weights.router.mix = mix_.packed(pool);
    }
    if (moe.router == RouterKind::gate_first) {
      // Positive, as the mean of magnitudes is.
      weights.router.activation_scale = random_floats(n * moe.d_expert, next(), 0.5f);
      for (float& v : weights.router.activation_scale) v = std::abs(v);
    }
    if (moe.shared_gate) {
      shared_gate_ = Matrix(moe.n_shared, d_model, next(), 0.5f);
      weights.router.shared_gate = shared_gate_.packed(pool);
    }
    if (moe.compensate) weights.expert_means = random_floats(moe.n_experts * d_model, next(), 0.5f);
  }

  Row reference(const float* x, const ExpertBudget& budget, int32_t layer, GateNorm norm) const {
    const MoeConfig& moe = config.moe;
    const std::vector<double> in(x, x + config.d_model);
    const int k = budget.k_of(layer), n_shared = std::min(k, moe.n_shared);
    Row row;
    for (int s = 0; s < n_shared; ++s) {
      row.ids.push_back(s);
      row.weights.push_back(moe.shared_gate ? 1 / (1 + std::exp(-shared_gate_.times(in)[s])) : 1);
    }
    if (k > n_shared) choose(scores(in), k - n_shared, budget, norm, row);
    row.y.assign(in.size(), 0);
    for (size_t j = 0; j < row.ids.size(); ++j)
      add(run_expert(row.ids[j], in), row.weights[j], row.y);
    for (int e = 0; moe.compensate && e < moe.n_experts; ++e) {
      if (std::find(row.ids.begin(), row.ids.end(), e) == row.ids.end()) add(mean_of(e), 1, row.y);
    }
    return row;
  }

 private:
  static void add(const std::vector<double>& x, double weight, std::vector<double>& y) {
    for (size_t i = 0; i < y.size(); ++i) y[i] += weight * x[i];
  }
  std::vector<double> mean_of(int e) const {
    const auto first = weights.expert_means.begin() + e * config.d_model;
    return {first, first + config.d_model};
  }
  std::vector<double> run_expert(int e, const std::vector<double>& x) const {
    return reference::expert(x, gate_[e].values, up_[e].values, down_[e].values);
  }
  std::vector<double> scores(const std::vector<double>& x) const {
    const MoeConfig& moe = config.moe;
    std::vector<double> s;
    if (moe.router == RouterKind::exact_norm) {
      for (int e = moe.n_shared; e < moe.n_experts; ++e) {
        std::vector<double> out = run_expert(e, x);
        if (moe.compensate) add(mean_of(e), -1, out);
        double sum = 0;
        for (double v : out) sum += v * v;
        s.push_back(std::log(std::sqrt(sum) + 1e-12));
      }
      return s;
    }
    if (moe.router == RouterKind::gate_first) {
      for (int e = moe.n_shared; e < moe.n_experts; ++e) {
        const std::vector<double> g = gate_[e].times(x);
        double sum = 0;
        for (int64_t j = 0; j < moe.d_expert; ++j) {
          const double silu = g[j] / (1 + std::exp(-g[j]));
          sum += std::abs(silu) *
                 weights.router.activation_scale[(e - moe.n_shared) * moe.d_expert + j];
        }
        s.push_back(sum);
      }
      return s;
    }
    s = router_.times(x);
    for (size_t e = 0; e < s.size(); ++e) s[e] += static_cast<double>(weights.router.bias[e]);
    if (moe.router == RouterKind::representative) {
      std::vector<double> h = gated(rep_gate_, rep_up_, x);
      for (double& v : h) v = std::abs(v);
      add(mix_.times(h), 1, s);
    }
    return s;
  }
  kernels::GateRule gate_rule(GateNorm norm) const {
    const MoeConfig& moe = config.moe;
    if (moe.unit_weights) return kernels::GateRule::unit;
    if (norm == GateNorm::trained_mass) {
      return moe.renormalise ? kernels::GateRule::divided_by_trained
                             : kernels::GateRule::scaled_to_trained;
    }
    const bool divided =
        norm == GateNorm::renormalised || (norm == GateNorm::model && moe.renormalise);
    return divided ? kernels::GateRule::divided : kernels::GateRule::softmax;
  }
  void choose(const std::vector<double>& s, int k, const ExpertBudget& b, GateNorm norm,
              Row& row) const {
    const kernels::RowSelection selection{k, static_cast<kernels::SelectRule>(b.selector), b.value,
                                          b.slope};
    const int trained_k = config.moe.trained_k - config.moe.n_shared;
    const auto chosen = reference::select_experts(s, selection, gate_rule(norm), trained_k);
    const auto by_score =
        reference::select_experts(s, selection, kernels::GateRule::unit, trained_k);
    row.gap = std::isnan(by_score.margin) ? chosen.slack : std::min(chosen.slack, by_score.margin);
    row.margin = chosen.margin;
    for (int e : chosen.ids) row.ids.push_back(config.moe.n_shared + e);
    row.weights.insert(row.weights.end(), chosen.weights.begin(), chosen.weights.end());
  }

  std::vector<Matrix> gate_, up_, down_;
  Matrix router_, rep_gate_, rep_up_, mix_, shared_gate_;
};

// What a MoeLayer gave for a batch.
struct Ran {
  std::vector<int16_t> ids;                 // [m, kMaxBudget]
  std::vector<float> margins;               // [m]
  std::vector<float> y;                     // [m, d_model]
  std::vector<engine::RouterFault> faults;  // [m]
  kernels::Cost routing, running;
};

inline Ran run(const Layer& layer, GateNorm norm, int32_t at, const std::vector<float>& x,
               const std::vector<ExpertBudget>& budgets, int ranks = 1, int threads = 2) {
  const auto m = static_cast<int64_t>(budgets.size());
  kernels::ThreadPool pool(threads);
  engine::MoeLayer moe(layer.config, norm, m + 2, ranks, pool);
  engine::StepRouting step(layer.config, m + 2);
  step.begin(m);
  std::vector<const ExpertBudget*> pointers;
  for (const ExpertBudget& b : budgets) pointers.push_back(&b);
  Ran ran;
  ran.y.assign(static_cast<size_t>(m * layer.config.d_model), 77.0f);
  moe.route(layer.weights, at, x.data(), m, pointers.data(), step);
  ran.routing = pool.launched(kernels::OpKind::matmul);
  moe.run(layer.weights, at, x.data(), m, step, ran.y.data());
  ran.running = pool.launched(kernels::OpKind::matmul);
  ran.running.flops -= ran.routing.flops;
  ran.running.weight_bytes -= ran.routing.weight_bytes;
  ran.ids.assign(step.ids(at), step.ids(at) + m * kMaxBudget);
  ran.faults.assign(step.faults(), step.faults() + m);
  ran.margins.assign(step.margins(at), step.margins(at) + m);
  return ran;
}

struct NamedModel {
  std::string name;
  MoeConfig moe;
};

// One of every kind of block: dense, the four families, the converted one with each router.
inline std::vector<NamedModel> models() {
  const MoeConfig sparse{
      .n_experts = 24, .n_shared = 0, .trained_k = 6, .d_expert = 20, .router = RouterKind::linear};
  const MoeConfig nested{.n_experts = 16,
                         .n_shared = 2,
                         .trained_k = 16,
                         .d_expert = 12,
                         .d_shared = 12,
                         .router = RouterKind::linear,
                         .unit_weights = true,
                         .compensate = true};
  std::vector<NamedModel> all;
  all.push_back({"dense", {.d_shared = 40}});
  all.push_back({"olmoe", sparse});
  all.push_back({"mixtral", sparse});
  all.back().moe.n_experts = 8;
  all.back().moe.trained_k = 2;
  all.back().moe.renormalise = true;
  all.push_back({"qwen2_moe", sparse});
  all.back().moe.n_shared = 1;
  all.back().moe.d_shared = 36;
  all.back().moe.shared_gate = true;
  all.push_back({"qwen3_moe", sparse});
  all.back().moe.n_experts = 70;
  all.back().moe.renormalise = true;
  all.push_back({"nested", nested});
  all.push_back({"nested, representatives", nested});
  all.back().moe.router = RouterKind::representative;
  all.back().moe.n_representatives = 2;
  all.push_back({"nested, gate first", nested});
  all.back().moe.router = RouterKind::gate_first;
  all.push_back({"nested, exact norm", nested});
  all.back().moe.router = RouterKind::exact_norm;
  return all;
}

inline MoeConfig config_of(const std::string& name) {
  for (const NamedModel& m : models()) {
    if (m.name == name) return m.moe;
  }
  return {};
}

// Rows of every kind at once: each k, each selector, a k of its own per layer.
inline std::vector<ExpertBudget> mixed_budgets(const MoeConfig& moe, int64_t m) {
  std::vector<ExpertBudget> all;
  for (int64_t r = 0; r < m; ++r) {
    ExpertBudget b;
    b.k = static_cast<int32_t>(1 + r * 5 % moe.max_k());
    if (r % 7 == 3) b.k_per_layer = {1, static_cast<int16_t>(moe.max_k()), 1};
    if (r % 4 == 1) b.selector = Selector::top_p, b.value = 0.1f * static_cast<float>(r % 10);
    if (r % 4 == 2) b.selector = Selector::threshold, b.value = 0.02f * static_cast<float>(r % 5);
    if (r % 4 == 3)
      b.selector = Selector::entropy, b.value = 0.5f, b.slope = 0.8f * static_cast<float>(r % 9);
    all.push_back(b);
  }
  return all;
}

}  // namespace moe_case
