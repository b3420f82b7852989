#include <cmath>
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

json to_json(const GradedDrift& d) {
  return {{"shift", d.form},
          {"n", d.n},
          {"gold_nll_change_nats", to_json(d.nll_change)},
          {"p", d.p},
          {"p_holm", d.p_holm},
          {"n_swept", d.n_swept},
          {"regret_change_nats", to_json(d.regret_change)}};
}

json to_json(const ExpertDrift& d) {
  json layers = json::array();
  for (const double l : d.layers) layers.push_back(std::isnan(l) ? json() : json(l));
  return {{"shift", d.form},          {"n", d.n},
          {"n_other_k", d.other_k},   {"jensen_shannon_distance", to_json(d.distance)},
          {"n_neutral", d.n_neutral}, {"less_neutral", to_json(d.beside_neutral)},
          {"by_layer", layers}};
}

json to_json(const PredictionReport::Calibration& c) {
  json bins = json::array();
  for (const auto& b : c.reliability)
    bins.push_back({{"n", b.n}, {"stated", b.stated}, {"happened", b.happened}});
  return {{"n", c.n}, {"brier", to_json(c.brier)}, {"ece", to_json(c.ece)}, {"reliability", bins}};
}

json to_json(const OutsideReport& o) {
  return {{"models", o.models},
          {"labels", o.origin},
          {"n", o.n},
          {"n_finite", o.n_finite},
          {"spearman_k", to_json(o.spearman_k)},
          {"spearman_need", to_json(o.spearman_need)}};
}

json to_json(const TaskAudit& t, const std::vector<int32_t>& grid) {
  json j{{"task", t.task},
         {"data_shift", tasks::data_shift_name(t.data_shift)},
         {"chance", t.chance ? json(*t.chance) : json()},
         {"n", t.clean.n},
         {"n_seen_in_training", t.n_seen},
         {"n_capped", t.n_capped},
         {"findings", findings(t, grid)},
         {"clean", to_json(t.clean)},
         {"by_part", json::array()},
         {"shifts", json::array()},
         {"graded_shifts", json::array()},
         {"expert_shifts", json::array()},
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
    auto of_k = to_json(k.calibration);
    of_k["k"] = k.k;
    of_k["auroc_of_failing"] = to_json(k.auroc);
    j["prediction"]["by_k"].push_back(std::move(of_k));
  }
  j["prediction"]["pooled"] = to_json(p.pooled);
  j["graded"] = {{"n", t.graded.n},
                 {"gold_nll_nats", to_json(t.graded.nll)},
                 {"less_largest_k_nats", to_json(t.graded.regret)}};
  j["lambda_regret_of_seen"] = to_json(t.regret_seen);
  j["lambda_regret_of_unseen"] = to_json(t.regret_unseen);
  for (const auto& d : t.graded_drifts) j["graded_shifts"].push_back(to_json(d));
  for (const auto& d : t.expert_drifts) j["expert_shifts"].push_back(to_json(d));
  for (const auto& a : t.parts)
    j["by_part"].push_back({{"kind", a.kind},
                            {"name", a.name},
                            {"n", a.n},
                            {"mean_k", to_json(a.mean_k)},
                            {"accuracy", to_json(a.accuracy)},
                            {"under_allocation", to_json(a.under)},
                            {"over_allocation", to_json(a.over)},
                            {"waste", to_json(a.waste)},
                            {"lambda_regret", to_json(a.lambda_regret)},
                            {"p", a.p},
                            {"p_bh", a.p_bh}});
  j["outside_difficulty"] = t.outside ? to_json(*t.outside) : json();
  for (const auto& d : t.drifts) j["shifts"].push_back(to_json(d));
  for (const auto& r : t.robust) j["robustness"].push_back(to_json(r));
  for (const auto& [form, a] : t.shifted) j["shifted"][form] = to_json(a);
  for (const auto& f : t.fallback)
    j["fallback"].push_back({{"shift", f.form},
                             {"n", f.n},
                             {"flagged", f.flagged},
                             {"compared", f.compared},
                             {"seed_items", f.seed_items},
                             {"mean_k", to_json(f.k)},
                             {"mean_k_without", to_json(f.k_without)},
                             {"accuracy", to_json(f.accuracy)},
                             {"accuracy_without", to_json(f.accuracy_without)},
                             {"lambda_regret", to_json(f.regret)},
                             {"lambda_regret_without", to_json(f.regret_without)},
                             {"lambda_regret_saved", to_json(f.regret_saved)}});
  for (const auto& w : t.worst_under) j["worst_under"].push_back(to_json(w));
  for (const auto& w : t.worst_over) j["worst_over"].push_back(to_json(w));
  return j;
}

json to_json(const std::vector<GivenCompute>& groups, bool filtered) {
  json out = json::array();
  for (const auto& g : groups) {
    out.push_back({{"name", g.name},
                   {"is_kind", g.is_kind},
                   {"n", g.n},
                   {"failed", g.failed},
                   {"mean_tokens", g.n > 0 ? json(g.tokens) : json()},
                   {"mean_k", to_json(g.k)},
                   {"flops", to_json(g.flops)},
                   {"flops_per_token", to_json(g.flops_per_token)}});
    if (filtered) out.back()["refused"] = to_json(g.refused);
  }
  return out;
}

json to_json(const std::vector<CounterpartReport>& counterparts) {
  json out = json::array();
  for (const auto& c : counterparts)
    out.push_back({{"theme", c.theme},
                   {"pairs", c.n},
                   {"k_difference", to_json(c.k_difference)},
                   {"p", c.p},
                   {"p_holm", c.p_holm},
                   {"flops_ratio", to_json(c.flops_ratio)},
                   {"flops_per_token_ratio", to_json(c.flops_per_token_ratio)}});
  return out;
}

json to_json(const PromptAudit& a) {
  json j{{"task", a.task},
         {"n", a.n},
         {"failed", a.failed},
         {"findings", findings(a)},
         {"harmful_without_counterpart", a.alone},
         {"groups", to_json(a.groups, false)},
         {"counterparts", to_json(a.counterparts)},
         {"filtered", json()}};
  if (a.filtered)
    j["filtered"] = {{"filter", a.filtered->filter},
                     {"prompts_without_text", a.filtered->without_text},
                     {"groups", to_json(a.filtered->groups, true)},
                     {"counterparts", to_json(a.filtered->counterparts)}};
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
