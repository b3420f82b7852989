#include <nlohmann/json.hpp>

#include "harness/audit_report.h"
#include "harness/text_table.h"

namespace harness {
namespace {

using nlohmann::json;
using tasks::Estimate;

json to_json(const Estimate& e) {
  return {{"value", e.value ? json(*e.value) : json()},
          {"interval", e.interval ? json{e.interval->lower, e.interval->upper} : json()},
          {"method", tasks::interval_method_name(e.method)},
          {"n_seed_items", e.n}};
}

json to_json(const AllocationReport& a) {
  json j{{"n", a.n},
         {"n_stable", a.n_stable},
         {"ways", a.ways},
         {"k_min", a.k_min},
         {"k_max", a.k_max},
         {"n_k_not_swept", a.n_not_swept},
         {"accuracy", to_json(a.accuracy)},
         {"mean_k", to_json(a.mean_k)},
         {"cost", to_json(a.cost)},
         {"cost_per_query", to_json(a.cost_per_query)},
         {"under_allocation", to_json(a.under)},
         {"under_allocation_by_cap", to_json(a.under_by_cap)},
         {"over_allocation", to_json(a.over)},
         {"waste", to_json(a.waste)},
         {"futile", to_json(a.futile)},
         {"inverse_harm", to_json(a.inverse_harm)},
         {"accuracy_regret", to_json(a.accuracy_regret)},
         {"accuracy_regret_largest_k", to_json(a.full_regret)},
         {"lambda_regret", to_json(a.lambda_regret)},
         {"adaptivity_gain", to_json(a.gain)},
         {"oracle_gap_closed", to_json(a.gap_closed)},
         {"monotonicity_violations", to_json(a.violations)},
         {"monotonicity_violations_of_noise",
          a.violations_of_noise ? json(*a.violations_of_noise) : json()}};
  for (const Need need : kNeeds) j["needs"][need_name(need)] = a.count(need);
  for (const Allocation c : kAllocations) j["classes"][allocation_name(c)] = a.count(c);
  for (const auto& s : a.statics)
    j["static"].push_back({{"k", s.k}, {"accuracy", s.accuracy}, {"cost", s.cost}});
  return j;
}

json to_json(const RobustReport& r) {
  return {{"method", r.method},
          {"n", r.n},
          {"draws", r.draws},
          {"forms", r.forms},
          {"nominal_pass", to_json(r.nominal)},
          {"robust_pass", to_json(r.pass)},
          {"robust_drop", to_json(r.drop)},
          {"robust_relative", to_json(r.relative)}};
}

json to_json(const DriftReport& d) {
  return {{"shift", d.form},
          {"n", d.n},
          {"failed", d.failed},
          {"n_need", d.n_need},
          {"need_lost", d.lost},
          {"need_won", d.gained},
          {"k_drift", to_json(d.drift)},
          {"k_drift_p", d.drift_p},
          {"k_drift_p_holm", d.drift_holm},
          {"k_drift_of_n_need", to_json(d.drift_of_need_n)},
          {"k_drift_less_neutral", to_json(d.beside_neutral)},
          {"same_k", to_json(d.same_k)},
          {"jumps", to_json(d.jumps)},
          {"need_drift", to_json(d.need_drift)},
          {"excess_drift", to_json(d.excess)},
          {"excess_drift_p", d.excess_p},
          {"excess_drift_p_holm", d.excess_holm},
          {"flops_ratio", to_json(d.flops_ratio)},
          {"accuracy_difference", to_json(d.accuracy)},
          {"right_to_wrong", d.to_wrong},
          {"wrong_to_right", d.to_right},
          {"accuracy_p", d.accuracy_p},
          {"accuracy_p_holm", d.accuracy_holm},
          {"performance_drop_rate", to_json(d.drop)},
          {"adaptivity", to_json(d.adaptivity)},
          {"adaptivity_change", to_json(d.adaptivity_change)},
          {"lambda_regret_change", to_json(d.regret_change)}};
}

json to_json(const WorstQuery& w) {
  return {{"sample", w.sample},
          {"shift", w.form},
          {"k", w.k},
          {"k_stable", w.k_stable},
          {"class", allocation_name(w.allocation)},
          {"wasted_flops", w.wasted_flops},
          {"text", printable(w.text)}};
}

json to_json(const TaskAudit& t, const std::vector<int32_t>& grid) {
  json j{{"task", t.task},
         {"chance", t.chance ? json(*t.chance) : json()},
         {"n", t.clean.n},
         {"n_seen_in_training", t.n_seen},
         {"n_capped", t.n_capped},
         {"findings", findings(t, grid)},
         {"clean", to_json(t.clean)},
         {"by_part", json::array()},
         {"shifts", json::array()},
         {"worst_under", json::array()},
         {"worst_over", json::array()}};
  const auto& p = t.prediction;
  j["prediction"] = {{"of", p.by_complexity ? "complexity" : "k"},
                     {"n", p.n},
                     {"n_finite", p.n_finite},
                     {"spearman", to_json(p.spearman)},
                     {"kendall_b", to_json(p.kendall)},
                     {"spearman_finite", to_json(p.spearman_finite)},
                     {"by_k", json::array()}};
  for (const auto& k : p.by_k) {
    json bins = json::array();
    for (const auto& b : k.reliability)
      bins.push_back({{"n", b.n}, {"stated", b.stated}, {"happened", b.happened}});
    j["prediction"]["by_k"].push_back({{"k", k.k},
                                       {"auroc_of_failing", to_json(k.auroc)},
                                       {"n", k.n},
                                       {"brier", k.brier ? json(*k.brier) : json()},
                                       {"ece", k.ece ? json(*k.ece) : json()},
                                       {"reliability", bins}});
  }
  for (const auto& a : t.parts)
    j["by_part"].push_back({{"kind", a.kind},
                            {"name", a.name},
                            {"n", a.n},
                            {"mean_k", to_json(a.mean_k)},
                            {"accuracy", to_json(a.accuracy)},
                            {"under_allocation", to_json(a.under)},
                            {"over_allocation", to_json(a.over)},
                            {"waste", to_json(a.waste)}});
  for (const auto& d : t.drifts) j["shifts"].push_back(to_json(d));
  for (const auto& r : t.robust) j["robustness"].push_back(to_json(r));
  for (const auto& [form, a] : t.shifted) j["shifted"][form] = to_json(a);
  for (const auto& w : t.worst_under) j["worst_under"].push_back(to_json(w));
  for (const auto& w : t.worst_over) j["worst_over"].push_back(to_json(w));
  return j;
}

json to_json(const PromptAudit& a) {
  json j{{"task", a.task},
         {"n", a.n},
         {"failed", a.failed},
         {"findings", findings(a)},
         {"harmful_without_counterpart", a.alone},
         {"groups", json::array()},
         {"counterparts", json::array()}};
  for (const auto& g : a.groups)
    j["groups"].push_back({{"name", g.name},
                           {"is_kind", g.is_kind},
                           {"n", g.n},
                           {"failed", g.failed},
                           {"mean_tokens", g.n > 0 ? json(g.tokens) : json()},
                           {"mean_k", to_json(g.k)},
                           {"flops", to_json(g.flops)},
                           {"flops_per_token", to_json(g.flops_per_token)}});
  for (const auto& c : a.counterparts)
    j["counterparts"].push_back({{"theme", c.theme},
                                 {"pairs", c.n},
                                 {"k_difference", to_json(c.k_difference)},
                                 {"p", c.p},
                                 {"p_holm", c.p_holm},
                                 {"flops_ratio", to_json(c.flops_ratio)},
                                 {"flops_per_token_ratio", to_json(c.flops_per_token_ratio)}});
  return j;
}

}  // namespace

std::string audit_json(const Audit& audit) {
  json j{{"run", audit.run_uuid},
         {"name", audit.run_name},
         {"sweep", audit.sweep_uuid.empty() ? json() : json(audit.sweep_uuid)},
         {"why_not_swept", audit.why_not_swept},
         {"model", audit.model},
         {"policy", audit.policy},
         {"grid", audit.grid},
         {"lambda", audit.lambda},
         {"reliable_from", kReliable},
         {"answered", audit.answered},
         {"failed", audit.failed},
         {"ungraded", audit.ungraded},
         {"unmeasured", audit.unmeasured},
         {"tasks_not_swept", audit.tasks_not_swept},
         {"seen_questions_not_checked", audit.learned && !audit.facts_known},
         {"target_flops_ratio", audit.target_cost ? json(*audit.target_cost) : json()},
         {"need_unknown", audit.not_swept},
         {"resamples", tasks::kResamples},
         {"resamples_of_ranks", tasks::kDrawResamples},
         {"bootstrap_seed", tasks::kResampleSeed},
         {"tasks", json::array()},
         {"prompts", json::array()}};
  for (const auto& t : audit.tasks) j["tasks"].push_back(to_json(t, audit.grid));
  for (const auto& p : audit.prompts) j["prompts"].push_back(to_json(p));
  return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace harness
