#include "engine/train/objective.h"

#include <algorithm>
#include <cmath>

namespace engine::train {
namespace {

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

std::vector<double> success_logits(Head head, std::span<const double> o) {
  std::vector<double> logits(o.begin(), o.end());
  if (head == Head::ordinal)
    for (size_t k = 1; k < o.size(); ++k) logits[k] = logits[k - 1] + softplus(o[k]);
  return logits;
}

double entropy(std::span<const double> p) {
  double h = 0;
  for (const double x : p)
    if (x > 0) h -= x * std::log(x);
  return h;
}

}  // namespace

std::vector<double> success_probabilities(Head head, std::span<const double> outputs) {
  auto p = success_logits(head, outputs);
  for (double& x : p) x = sigmoid(x);
  return p;
}

double success_loss(Head head, std::span<const double> outputs, std::span<const double> y,
                    std::span<const uint8_t> seen, std::span<double> d_outputs) {
  const auto logits = success_logits(head, outputs);
  const size_t n = logits.size();
  double n_seen = 0, loss = 0;
  for (size_t k = 0; k < n; ++k) n_seen += seen.empty() || seen[k] != 0;
  for (size_t k = 0; k < n; ++k) {
    d_outputs[k] = 0;
    if (!seen.empty() && seen[k] == 0) continue;
    loss += (softplus(logits[k]) - y[k] * logits[k]) / n_seen;
    d_outputs[k] = (sigmoid(logits[k]) - y[k]) / n_seen;
  }
  if (head == Head::ordinal)
    for (size_t k = n; k-- > 0;) {
      if (k + 1 < n) d_outputs[k] += d_outputs[k + 1];  // by the logit: the sum from k on
    }
  if (head == Head::ordinal)
    for (size_t k = 1; k < n; ++k) d_outputs[k] *= sigmoid(outputs[k]);
  return loss;
}

std::vector<double> softmax(std::span<const double> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p(logits.size());
  double sum = 0;
  for (size_t k = 0; k < p.size(); ++k) sum += p[k] = std::exp(logits[k] - top);
  for (double& x : p) x /= sum;
  return p;
}

double policy_value(std::span<const double> logits, std::span<const double> reward, double beta,
                    std::span<double> d_logits) {
  const auto p = softmax(logits);
  const double h = entropy(p);
  double mean = 0;
  for (size_t k = 0; k < p.size(); ++k) mean += p[k] * reward[k];
  for (size_t k = 0; k < p.size(); ++k) {
    const double log_p = p[k] > 0 ? std::log(p[k]) : 0;
    d_logits[k] = p[k] * (reward[k] - mean) - beta * p[k] * (log_p + h);
  }
  return mean + beta * h;
}

void reinforce_gradient(std::span<const double> logits, size_t drawn, double reward,
                        double baseline, double beta, std::span<double> d_logits) {
  const auto p = softmax(logits);
  const double h = entropy(p);
  for (size_t k = 0; k < p.size(); ++k) {
    const double log_p = p[k] > 0 ? std::log(p[k]) : 0;
    d_logits[k] = (reward - baseline) * ((k == drawn ? 1 : 0) - p[k]) - beta * p[k] * (log_p + h);
  }
}

}  // namespace engine::train
