#include "harness/worst_queries.h"

#include <algorithm>
#include <set>

namespace harness {
namespace {

using Queries = std::vector<const AuditedQuery*>;

WorstQuery worst_of(const AuditedQuery& q, const std::vector<int32_t>& grid) {
  WorstQuery w;
  w.sample = q.sample;
  w.form = q.form;
  w.allocation = classify(q, grid);
  w.k = q.k;
  w.k_stable = *q.need->k_stable(grid);
  w.wasted_flops = std::max(0.0, q.flops - q.need->flops.at(w.k_stable));
  w.attempt_id = q.attempt_id;
  return w;
}

// Each sample once.
void keep_first(Queries& queries, size_t most) {
  std::set<std::string> seen;
  std::erase_if(queries, [&](const auto* q) { return !seen.insert(q->sample).second; });
  if (queries.size() > most) queries.resize(most);
}

}  // namespace

WorstQueries worst_queries(const Queries& queries, const std::vector<int32_t>& grid, size_t most) {
  Queries under, over;
  for (const auto* q : queries) {
    const auto a = classify(*q, grid);
    if (a == Allocation::under || a == Allocation::capped) under.push_back(q);
    if (a == Allocation::over) over.push_back(q);
  }
  const auto missing = [&](const AuditedQuery* q) { return *q->need->k_stable(grid) - q->k; };
  const auto wasted = [&](const AuditedQuery* q) {
    return q->flops - q->need->flops.at(*q->need->k_stable(grid));
  };
  std::stable_sort(under.begin(), under.end(),
                   [&](auto* a, auto* b) { return missing(a) > missing(b); });
  std::stable_sort(over.begin(), over.end(),
                   [&](auto* a, auto* b) { return wasted(a) > wasted(b); });
  keep_first(under, most);
  keep_first(over, most);
  WorstQueries out;
  for (const auto* q : under) out.under.push_back(worst_of(*q, grid));
  for (const auto* q : over) out.over.push_back(worst_of(*q, grid));
  return out;
}

}  // namespace harness
