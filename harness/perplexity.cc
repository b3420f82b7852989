#include "harness/perplexity.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "harness/clock.h"
#include "kernels/elementwise.h"
#include "tasks/metrics.h"

namespace harness {
namespace {

constexpr double kZ95 = 1.959963984540054;

BudgetPerplexity::Mean mean_of(const std::vector<WindowScore>& windows, double WindowScore::*sum) {
  double total = 0;
  int64_t tokens = 0;
  for (const auto& w : windows) {
    total += w.*sum;
    tokens += w.tokens;
  }
  BudgetPerplexity::Mean mean;
  if (tokens == 0) return mean;
  mean.value = total / static_cast<double>(tokens);
  // Residuals of a window add up: sqrt(c / (c - 1) * sum (S_i - n_i m)^2) / N, as for the clusters
  // of tasks/metrics.h.
  const auto c = static_cast<double>(windows.size());
  if (windows.size() < 2) return mean;
  double squares = 0;
  for (const auto& w : windows) {
    const double residual = w.*sum - static_cast<double>(w.tokens) * mean.value;
    squares += residual * residual;
  }
  mean.half_width = kZ95 * std::sqrt(c / (c - 1) * squares) / static_cast<double>(tokens);
  return mean;
}

}  // namespace

int64_t BudgetPerplexity::tokens() const {
  int64_t n = 0;
  for (const auto& w : windows) n += w.tokens;
  return n;
}

BudgetPerplexity::Mean BudgetPerplexity::nll() const { return mean_of(windows, &WindowScore::nll); }
BudgetPerplexity::Mean BudgetPerplexity::kl() const { return mean_of(windows, &WindowScore::kl); }

double BudgetPerplexity::same_best() const {
  int64_t same = 0;
  for (const auto& w : windows) same += w.same_best;
  return static_cast<double>(same) / static_cast<double>(std::max<int64_t>(1, tokens()));
}

ReferenceWindow::ReferenceWindow(std::vector<float> l, int64_t vocab) : logits(std::move(l)) {
  for (size_t i = 0; i < logits.size(); i += static_cast<size_t>(vocab)) {
    norm.push_back(kernels::log_sum_exp(logits.data() + i, vocab));
    best.push_back(kernels::argmax(logits.data() + i, vocab));
  }
}

WindowScore score_window(std::span<const engine::TokenId> tokens, std::span<const float> logits,
                         const ReferenceWindow& reference, int64_t vocab) {
  assert(logits.size() == tokens.size() * static_cast<size_t>(vocab));
  WindowScore score;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const size_t at = i * static_cast<size_t>(vocab);
    const float* row = logits.data() + at;
    const double norm = kernels::log_sum_exp(row, vocab);
    score.nll -= static_cast<double>(row[tokens[i + 1]]) - norm;
    ++score.tokens;
    if (reference.logits.empty()) continue;
    score.kl +=
        kernels::kl_divergence(reference.logits.data() + at, reference.norm[i], row, norm, vocab);
    score.same_best += kernels::argmax(row, vocab) == reference.best[i];
  }
  return score;
}

std::vector<BudgetPerplexity> perplexity(engine::Engine& model, engine::Engine* reference,
                                         std::span<const engine::TokenId> tokens, int64_t context,
                                         const std::vector<int32_t>& grid,
                                         const std::function<bool()>& progress) {
  std::vector<BudgetPerplexity> out;
  for (const int32_t k : grid) out.push_back({.k = k});
  const int64_t vocab = model.config().vocab, n = static_cast<int64_t>(tokens.size());
  for (int64_t first = 0; first + 1 < n; first += context) {
    const auto window = tokens.subspan(static_cast<size_t>(first),
                                       static_cast<size_t>(std::min(context, n - first)));
    ReferenceWindow wanted;
    if (reference != nullptr) wanted = {reference->logits(window), vocab};
    std::vector<WindowScore> scores;
    for (BudgetPerplexity& p : out) {
      engine::ExpertBudget budget;
      budget.k = p.k;
      const int64_t t0 = steady_ns();
      const auto logits = model.logits(window, budget);
      p.seconds += static_cast<double>(steady_ns() - t0) * 1e-9;
      const auto rows = static_cast<int64_t>(window.size());
      p.flops += model.cost_of(rows, rows, budget).useful_flops();
      scores.push_back(score_window(window, logits, wanted, vocab));
      if (!progress()) return out;
    }
    for (size_t i = 0; i < out.size(); ++i) out[i].windows.push_back(scores[i]);
  }
  return out;
}

}  // namespace harness
