#include "kernels/select_experts.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <limits>

namespace kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kSpanScores = 4096;  // of one task

// The experts of one row by falling score, as far as anything looks at them.
struct Best {
  int16_t id[kMaxChosen + 1];
  int64_t n = 0;
};

Best best_of(const float* scores, int64_t n, int64_t want) {
  Best b;
  for (int64_t e = 0; e < n; ++e) {
    int64_t at = b.n;
    while (at > 0 && scores[e] > scores[b.id[at - 1]]) --at;
    if (at == want) continue;
    b.n = std::min(b.n + 1, want);
    std::copy_backward(b.id + at, b.id + b.n - 1, b.id + b.n);
    b.id[at] = static_cast<int16_t>(e);
  }
  return b;
}

class Softmax {
 public:
  Softmax(const float* scores, int64_t n, float max) : scores_(scores), n_(n), max_(max) {
    for (int64_t e = 0; e < n; ++e) sum_ += std::exp(shifted(e));
  }
  double operator[](int64_t e) const { return std::exp(shifted(e)) / sum_; }
  // H(p) / log n
  double relative_entropy() const {
    if (n_ == 1) return 0;
    double h = std::log(sum_);
    for (int64_t e = 0; e < n_; ++e) h -= (*this)[e] * shifted(e);
    return h / std::log(static_cast<double>(n_));
  }

 private:
  double shifted(int64_t e) const {
    return static_cast<double>(scores_[e]) - static_cast<double>(max_);
  }
  const float* scores_;
  int64_t n_;
  float max_;
  double sum_ = 0;
};

// p of the first of `best`, falling.
struct Falling {
  double p[kMaxChosen + 1];
  double sum(int64_t n) const {
    double s = 0;
    for (int64_t i = 0; i < n; ++i) s += p[i];
    return s;
  }
};

int64_t count_chosen(const RowSelection& row, const Softmax& p, const Falling& falling) {
  const auto value = static_cast<double>(row.value), slope = static_cast<double>(row.slope);
  int64_t c = row.k;
  switch (row.rule) {
    case SelectRule::top_k:
      break;
    case SelectRule::top_p: {
      double sum = 0;
      for (c = 0; c < row.k && !(sum > value); ++c) sum += falling.p[c];
      break;
    }
    case SelectRule::threshold:
      for (c = 0; c < row.k && falling.p[c] >= value;) ++c;
      break;
    case SelectRule::entropy: {
      const double wanted = std::round(value + slope * p.relative_entropy());
      c = wanted >= static_cast<double>(row.k) ? row.k
                                               : static_cast<int64_t>(std::max(wanted, 1.0));
      break;
    }
  }
  return std::max<int64_t>(c, 1);
}

// What p of a chosen expert is multiplied by. chosen: the sum of the chosen p; falling: by it the
// trained_k largest.
double gate_scale(GateRule rule, const Falling& falling, double chosen, int32_t trained_k) {
  switch (rule) {
    case GateRule::divided:
      return 1 / chosen;
    case GateRule::divided_by_trained:
      return 1 / falling.sum(trained_k);
    case GateRule::scaled_to_trained:
      return falling.sum(trained_k) / chosen;
    case GateRule::softmax:
    case GateRule::unit:
      break;
  }
  return 1;
}

// False when the row has no best experts.
bool select_row(const float* scores, int64_t n, const RowSelection& row, GateRule gate,
                int32_t trained_k, int16_t* ids, float* weights, float* margin) {
  std::fill_n(ids, kMaxChosen, int16_t{-1});
  std::fill_n(weights, kMaxChosen, 0.0f);
  *margin = kNan;
  assert(row.k >= 0 && row.k <= std::min(n, kMaxChosen));
  if (row.k == 0) return true;
  if (!std::all_of(scores, scores + n, [](float s) { return std::isfinite(s); })) {
    for (int16_t j = 0; j < row.k; ++j) ids[j] = j;
    std::fill_n(weights, row.k, kNan);
    return false;
  }
  const bool to_trained =
      gate == GateRule::divided_by_trained || gate == GateRule::scaled_to_trained;
  assert(!to_trained || (trained_k > 0 && trained_k <= std::min(n, kMaxChosen)));
  const int64_t want = std::min<int64_t>(n, std::max(row.k + 1, to_trained ? trained_k : 0));
  const Best best = best_of(scores, n, want);
  const Softmax p(scores, n, scores[best.id[0]]);
  Falling falling;
  for (int64_t i = 0; i < best.n; ++i) falling.p[i] = p[best.id[i]];
  const int64_t chosen = count_chosen(row, p, falling);
  if (chosen < n) {
    const int64_t last = chosen - 1, left_out = chosen;
    *margin = gate == GateRule::unit ? scores[best.id[last]] - scores[best.id[left_out]]
                                     : static_cast<float>(falling.p[last] - falling.p[left_out]);
  }
  std::copy_n(best.id, chosen, ids);
  std::sort(ids, ids + chosen);
  const double scale = gate_scale(gate, falling, falling.sum(chosen), trained_k);
  for (int64_t j = 0; j < chosen; ++j) {
    weights[j] = gate == GateRule::unit ? 1.0f : static_cast<float>(p[ids[j]] * scale);
  }
  return true;
}

}  // namespace

int64_t select_experts(const float* scores, int64_t m, int64_t n, const RowSelection* rows,
                       GateRule gate, int32_t trained_k, int16_t* ids, float* weights,
                       float* margins, ThreadPool& pool) {
  std::atomic<int64_t> broken{0};
  const int64_t span = std::max<int64_t>(1, kSpanScores / std::max<int64_t>(1, n));
  pool.parallel_for((m + span - 1) / span, [&](int64_t task, int) {
    for (int64_t r = task * span; r < std::min(m, (task + 1) * span); ++r) {
      const bool ok = select_row(scores + r * n, n, rows[r], gate, trained_k, ids + r * kMaxChosen,
                                 weights + r * kMaxChosen, margins + r);
      if (!ok) broken.fetch_add(1, std::memory_order_relaxed);
    }
  });
  return broken.load();
}

void weigh_experts(const float* scores, int64_t n, const int16_t* ids, int32_t k, GateRule gate,
                   int32_t trained_k, float* weights) {
  const Best best = best_of(scores, n, std::min<int64_t>(n, std::max(trained_k, 1)));
  const Softmax p(scores, n, scores[best.id[0]]);
  Falling falling;
  for (int64_t i = 0; i < best.n; ++i) falling.p[i] = p[best.id[i]];
  double chosen = 0;
  for (int32_t j = 0; j < k; ++j) chosen += p[ids[j]];
  const double scale = gate_scale(gate, falling, chosen, trained_k);
  for (int32_t j = 0; j < k; ++j)
    weights[j] = gate == GateRule::unit ? 1.0f : static_cast<float>(p[ids[j]] * scale);
}

}  // namespace kernels
