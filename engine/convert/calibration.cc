#include "engine/convert/calibration.h"

#include <algorithm>

namespace engine::convert {
namespace {

int64_t longest(const std::vector<Window>& windows) {
  size_t n = 1;
  for (const Window& w : windows) n = std::max(n, w.size());
  return static_cast<int64_t>(n);
}

}  // namespace

std::vector<Window> cut_windows(const std::vector<std::vector<TokenId>>& documents,
                                int64_t length) {
  std::vector<Window> windows;
  for (const auto& tokens : documents) {
    for (size_t first = 0; first < tokens.size(); first += static_cast<size_t>(length)) {
      const size_t last = std::min(tokens.size(), first + static_cast<size_t>(length));
      if (last - first < kShortestWindow) break;
      windows.emplace_back(tokens.begin() + static_cast<int64_t>(first),
                           tokens.begin() + static_cast<int64_t>(last));
    }
  }
  return windows;
}

std::vector<Window> sample_windows(std::vector<Window> windows, int64_t tokens) {
  const int64_t all = count_tokens(windows);
  if (tokens <= 0 || all <= tokens) return windows;
  // A window stays where the share of tokens kept so far falls behind tokens / all.
  std::vector<Window> kept;
  int64_t seen = 0, taken = 0;
  for (Window& w : windows) {
    const auto n = static_cast<int64_t>(w.size());
    seen += n;
    const auto due =
        static_cast<double>(tokens) * static_cast<double>(seen) / static_cast<double>(all);
    if (static_cast<double>(taken + n) > due + 0.5 * static_cast<double>(n) || taken + n > tokens) {
      continue;
    }
    taken += n;
    kept.push_back(std::move(w));
  }
  return kept;
}

int64_t count_tokens(const std::vector<Window>& windows) {
  int64_t n = 0;
  for (const Window& w : windows) n += static_cast<int64_t>(w.size());
  return n;
}

Calibration::Calibration(const ModelConfig& config, const Weights& weights,
                         const std::vector<Window>& windows, kernels::ThreadPool& pool)
    : config_(config),
      windows_(windows),
      n_tokens_(count_tokens(windows)),
      kv_pool_(KvPool::make({config.n_heads, config.n_kv_heads, config.d_head}, config.n_layers)),
      forward_(config, weights, GateNorm::model, longest(windows), 1, pool),
      batch_(longest(windows)),
      states_(n_tokens_ * config.d_model),
      inputs_(n_tokens_ * config.d_model) {}

bool Calibration::advance(const std::atomic<bool>& stop) {
  const int64_t d = config_.d_model;
  int64_t at = 0;
  forward_.observe_ffn(
      [&](int32_t, const float* x, int64_t m) { std::copy_n(x, m * d, inputs_.data() + at * d); });
  for (const Window& w : windows_) {
    if (stop.load(std::memory_order_relaxed)) return false;
    const auto m = static_cast<int64_t>(w.size());
    KvSequence kv(kv_pool_);
    batch_.clear();
    for (int64_t i = 0; i < m; ++i) batch_.add(kv, w[i], i, budget_);
    float* states = states_.data() + at * d;
    forward_.begin(batch_);
    if (layer_ > 0) std::copy_n(states, m * d, forward_.states());
    forward_.run_layer(batch_, layer_);
    std::copy_n(forward_.states(), m * d, states);
    at += m;
  }
  forward_.observe_ffn({});
  ++layer_;
  return true;
}

}  // namespace engine::convert
