#include <map>
#include <tuple>

#include "results/attempt_parts.h"
#include "results/queries.h"
#include "results/store_reader.h"

namespace results {

std::vector<ExpertLoad> expert_load(const ResultStore& store, int64_t run_id) {
  StoreReader reader(store);
  Database& db = reader.db();
  // Sums of the counts, [n_layers, n_experts], by policy and task.
  std::map<std::tuple<std::string, std::string>, ExpertCounts> sums;
  std::map<std::tuple<std::string, std::string>, std::vector<int64_t>> totals;
  Statement s = db.prepare(
      "SELECT v.attempt_id, v.policy, v.task FROM v_attempt v "
      "JOIN attempt_expert e ON e.attempt_id = v.attempt_id WHERE v.run_id = ?");
  s.bind(1, run_id);
  AttemptParts parts(db);
  while (s.step()) {
    const auto counts = parts.experts(s.integer(0));
    if (!counts) continue;
    const std::tuple key(s.text(1), s.text(2));
    auto& total = totals[key];
    auto& shape = sums[key];
    if (total.empty()) {
      shape = {counts->n_layers, counts->n_experts, {}};
      total.assign(counts->tokens.size(), 0);
    }
    if (shape.n_layers != counts->n_layers || shape.n_experts != counts->n_experts)
      throw StoreError(db.name() + ": the run's attempts have expert counts of several shapes");
    for (size_t i = 0; i < total.size(); ++i) total[i] += counts->tokens[i];
  }
  std::vector<ExpertLoad> out;
  for (const auto& [key, total] : totals) {
    const int64_t n_experts = sums[key].n_experts;
    for (size_t i = 0; i < total.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      out.push_back({std::get<0>(key), std::get<1>(key), at / n_experts, at % n_experts, total[i]});
    }
  }
  return out;
}

void for_each_expert_counts(const ResultStore& store, int64_t run_id,
                            const std::function<void(int64_t, const ExpertCounts&)>& f) {
  StoreReader reader(store);
  Database& db = reader.db();
  Statement s = db.prepare(
      "SELECT v.attempt_id FROM v_attempt v JOIN attempt_expert e ON e.attempt_id = v.attempt_id "
      "WHERE v.run_id = ?");
  s.bind(1, run_id);
  AttemptParts parts(db);
  while (s.step()) {
    const int64_t id = s.integer(0);
    if (const auto counts = parts.experts(id)) f(id, *counts);
  }
}

}  // namespace results
