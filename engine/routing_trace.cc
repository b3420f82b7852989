#include "engine/routing_trace.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace engine {

StepRouting::StepRouting(const ModelConfig& config, int64_t max_rows)
    : n_layers_(config.n_layers),
      n_experts_(config.moe.n_experts),
      max_rows_(max_rows),
      ids_(config.n_layers * max_rows * kMaxBudget, int16_t{-1}),
      margins_(config.n_layers * max_rows),
      faults_(max_rows),
      seen_(config.moe.n_experts) {}

void StepRouting::begin(int64_t rows) {
  rows_ = rows;
  std::fill_n(faults_.begin(), rows, RouterFault{});
}

double StepRouting::distinct_experts() const {
  int64_t sum = 0;
  for (int32_t layer = 0; layer < n_layers_; ++layer) {
    std::fill(seen_.begin(), seen_.end(), uint8_t{0});
    const int16_t* id = ids(layer);
    for (int64_t i = 0; i < rows_ * kMaxBudget; ++i) {
      if (id[i] >= 0) seen_[id[i]] = 1;
    }
    sum += std::count(seen_.begin(), seen_.end(), uint8_t{1});
  }
  return n_layers_ == 0 ? 0 : static_cast<double>(sum) / n_layers_;
}

int32_t StepRouting::k_max() const {
  int32_t k = 0;
  for (int32_t layer = 0; layer < n_layers_; ++layer) {
    for (int64_t row = 0; row < rows_; ++row) {
      const int16_t* id = ids(layer) + row * kMaxBudget;
      while (k < kMaxBudget && id[k] >= 0) ++k;
    }
  }
  return k;
}

void TokenRouting::append(const StepRouting& step) {
  for (int64_t row = 0; row < step.rows(); ++row) {
    for (int32_t layer = 0; layer < step.n_layers(); ++layer) {
      const int16_t* from = step.ids(layer) + row * kMaxBudget;
      ids.insert(ids.end(), from, from + kMaxBudget);
      margins.push_back(step.margins(layer)[row]);
    }
  }
  faults.insert(faults.end(), step.faults(), step.faults() + step.rows());
}

RoutingTrace::RoutingTrace(int32_t n_layers, int32_t n_experts)
    : n_experts_(n_experts),
      layers_(n_layers),
      tokens_(static_cast<size_t>(n_layers) * static_cast<size_t>(n_experts)) {}

void RoutingTrace::add_token(int32_t layer, const int16_t* ids, float margin) {
  Layer& l = layers_[layer];
  int32_t k = 0;
  for (; k < kMaxBudget && ids[k] >= 0; ++k) {
    ++tokens_[static_cast<size_t>(layer) * n_experts_ + ids[k]];
  }
  ++l.tokens;
  l.k_sum += k;
  l.k_min = std::min(l.k_min, k);
  l.k_max = std::max(l.k_max, k);
  if (!std::isnan(margin)) {
    ++l.margins;
    l.margin_sum += margin;
    l.margin_min = std::min(l.margin_min, margin);
  }
}

void RoutingTrace::add(const StepRouting& step, int64_t first_row, int64_t n_rows) {
  assert(step.n_layers() == static_cast<int32_t>(layers_.size()));
  assert(step.n_experts() == n_experts_ && first_row + n_rows <= step.rows());
  for (int32_t layer = 0; layer < step.n_layers(); ++layer) {
    for (int64_t row = first_row; row < first_row + n_rows; ++row) {
      add_token(layer, step.ids(layer) + row * kMaxBudget, step.margins(layer)[row]);
    }
  }
}

void RoutingTrace::add(const TokenRouting& prefix, int64_t n_tokens) {
  const auto n_layers = static_cast<int64_t>(layers_.size());
  assert(n_tokens * n_layers <= static_cast<int64_t>(prefix.margins.size()));
  for (int64_t i = 0; i < n_tokens * n_layers; ++i) {
    add_token(static_cast<int32_t>(i % n_layers), prefix.ids.data() + i * kMaxBudget,
              prefix.margins[i]);
  }
}

RoutingTrace::Calls RoutingTrace::calls(int32_t n_shared) const {
  Calls c;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const auto expert = static_cast<int32_t>(i % static_cast<size_t>(n_experts_));
    (expert < n_shared ? c.shared : c.routed) += tokens_[i];
  }
  return c;
}

double RoutingTrace::k_mean() const {
  int64_t tokens = 0, k_sum = 0;
  for (const Layer& l : layers_) {
    tokens += l.tokens;
    k_sum += l.k_sum;
  }
  return tokens == 0 ? 0 : static_cast<double>(k_sum) / static_cast<double>(tokens);
}

int32_t RoutingTrace::k_min() const {
  int32_t k = std::numeric_limits<int32_t>::max();
  for (const Layer& l : layers_) k = std::min(k, l.k_min);
  return k == std::numeric_limits<int32_t>::max() ? 0 : k;
}

int32_t RoutingTrace::k_max() const {
  int32_t k = 0;
  for (const Layer& l : layers_) k = std::max(k, l.k_max);
  return k;
}

RoutingTrace::Calls calls_of(const StepRouting& step, int64_t first_row, int64_t n_rows,
                             int32_t n_shared) {
  assert(first_row + n_rows <= step.rows());
  RoutingTrace::Calls c;
  for (int32_t layer = 0; layer < step.n_layers(); ++layer) {
    for (int64_t row = first_row; row < first_row + n_rows; ++row) {
      const int16_t* ids = step.ids(layer) + row * kMaxBudget;
      for (int32_t j = 0; j < kMaxBudget && ids[j] >= 0; ++j) {
        ++(ids[j] < n_shared ? c.shared : c.routed);
      }
    }
  }
  return c;
}

}  // namespace engine
