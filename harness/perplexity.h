// Owns the perplexity of a text at every k, and how far a model is from a reference, window by
// window.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace harness {

// Sums over the scored positions of one window.
struct WindowScore {
  int64_t tokens = 0;     // scored: every position of the window but the first
  double nll = 0;         // nats
  double kl = 0;          // KL(reference || model), nats; 0 without a reference
  int64_t same_best = 0;  // positions whose most likely token is the reference's
};

struct BudgetPerplexity {
  int32_t k = 0;
  std::vector<WindowScore> windows;
  uint64_t flops = 0;  // useful, of all windows
  double seconds = 0;  // wall time of the forward passes

  int64_t tokens() const;
  // Means per token with a 95% interval clustered on the window (normal; needs two windows).
  struct Mean {
    double value = 0;
    std::optional<double> half_width;
  };
  Mean nll() const;
  Mean kl() const;
  double same_best() const;  // share
};

// What the reference says of a window's n tokens; empty without a reference.
struct ReferenceWindow {
  std::vector<float> logits;  // [n, vocab]
  std::vector<double> norm;   // [n], log_sum_exp of the rows
  std::vector<int64_t> best;  // [n], most likely token
  ReferenceWindow() = default;
  ReferenceWindow(std::vector<float> logits, int64_t vocab);
};

// logits [n, vocab] of a window's n tokens.
WindowScore score_window(std::span<const engine::TokenId>, std::span<const float> logits,
                         const ReferenceWindow&, int64_t vocab);

// Cuts the tokens into windows of `context` (the last may be shorter, of at least two tokens) and
// scores each at every k. progress is called after each window and k; it returns false to stop,
// which ends with the windows that are whole.
std::vector<BudgetPerplexity> perplexity(engine::Engine&, engine::Engine* reference,
                                         std::span<const engine::TokenId>, int64_t context,
                                         const std::vector<int32_t>& grid,
                                         const std::function<bool()>& progress);

}  // namespace harness
