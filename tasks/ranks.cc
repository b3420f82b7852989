#include "tasks/ranks.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace tasks {
namespace {

std::vector<size_t> ascending(std::span<const double> x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  return order;
}

double pairs(int64_t n) { return 0.5 * static_cast<double>(n) * static_cast<double>(n - 1); }

// Pairs (i < j) with v[i] > v[j]; v comes back sorted.
double inversions(std::vector<double>& v, std::vector<double>& scratch, size_t begin, size_t end) {
  if (end - begin < 2) return 0;
  const size_t middle = begin + (end - begin) / 2;
  double n = inversions(v, scratch, begin, middle) + inversions(v, scratch, middle, end);
  size_t a = begin, b = middle;
  for (size_t to = begin; to < end; ++to) {
    if (b == end || (a < middle && v[a] <= v[b])) {
      scratch[to] = v[a++];
    } else {
      n += static_cast<double>(middle - a);
      scratch[to] = v[b++];
    }
  }
  std::copy(scratch.begin() + static_cast<std::ptrdiff_t>(begin),
            scratch.begin() + static_cast<std::ptrdiff_t>(end),
            v.begin() + static_cast<std::ptrdiff_t>(begin));
  return n;
}

}  // namespace

std::vector<double> mid_ranks(std::span<const double> x) {
  const auto order = ascending(x);
  std::vector<double> ranks(x.size());
  for (size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && x[order[last]] == x[order[first]]) ++last;
    for (size_t i = first; i < last; ++i)
      ranks[order[i]] = 0.5 * static_cast<double>(first + 1 + last);
  }
  return ranks;
}

std::optional<double> spearman(std::span<const double> x, std::span<const double> y) {
  assert(x.size() == y.size());
  const auto a = mid_ranks(x), b = mid_ranks(y);
  const double centre = 0.5 * static_cast<double>(x.size() + 1);
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - centre) * (b[i] - centre);
    aa += (a[i] - centre) * (a[i] - centre);
    bb += (b[i] - centre) * (b[i] - centre);
  }
  if (aa == 0 || bb == 0) return std::nullopt;
  return ab / std::sqrt(aa * bb);
}

std::optional<double> kendall_b(std::span<const double> x, std::span<const double> y) {
  assert(x.size() == y.size());
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return x[a] != x[b] ? x[a] < x[b] : y[a] < y[b]; });
  double x_ties = 0, both_ties = 0, y_ties = 0;
  for (size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && x[order[last]] == x[order[first]]) ++last;
    x_ties += pairs(static_cast<int64_t>(last - first));
    for (size_t i = first, j = first; i < last; i = j) {
      while (j < last && y[order[j]] == y[order[i]]) ++j;
      both_ties += pairs(static_cast<int64_t>(j - i));
    }
  }
  std::vector<double> sorted(order.size()), scratch(order.size());
  for (size_t i = 0; i < order.size(); ++i) sorted[i] = y[order[i]];
  const double discordant = inversions(sorted, scratch, 0, sorted.size());
  for (size_t first = 0, last = 0; first < sorted.size(); first = last) {
    while (last < sorted.size() && sorted[last] == sorted[first]) ++last;
    y_ties += pairs(static_cast<int64_t>(last - first));
  }
  const double all = pairs(static_cast<int64_t>(x.size()));
  if (all - x_ties <= 0 || all - y_ties <= 0) return std::nullopt;
  const double concordant = all - x_ties - y_ties + both_ties - discordant;
  return (concordant - discordant) / (std::sqrt(all - x_ties) * std::sqrt(all - y_ties));
}

std::optional<double> auroc(std::span<const double> scores, const std::vector<bool>& positive) {
  assert(scores.size() == positive.size());
  const auto ranks = mid_ranks(scores);
  double sum = 0, n = 0;
  for (size_t i = 0; i < ranks.size(); ++i)
    if (positive[i]) {
      sum += ranks[i];
      ++n;
    }
  const double others = static_cast<double>(scores.size()) - n;
  if (n == 0 || others == 0) return std::nullopt;
  return (sum - n * (n + 1) / 2) / (n * others);
}

}  // namespace tasks
