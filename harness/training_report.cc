#include "harness/training_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/train/fallback_fit.h"
#include "harness/outcome_table.h"
#include "harness/text_table.h"
#include "harness/training_facts.h"

namespace harness {
namespace {

using engine::train::Outcome;
using nlohmann::ordered_json;

// From this share of queries at one k on a policy counts as collapsed.
constexpr double kCollapsed = 0.99;
constexpr int kWaysAgainstLuck = 3;  // fewer cannot tell knowing from guessing

std::vector<std::string> notes(const TrainingData& data, const TrainingPlan& plan,
                               const TrainingResult& r) {
  std::vector<std::string> out;
  const auto& mine = r.policies.front();
  if (data.status != "complete") out.push_back(fmt::format("the sweep is {}", data.status));
  int ways = data.questions.empty() ? 0 : std::numeric_limits<int>::max();
  for (const auto& q : data.questions)
    for (const auto& [k, n] : q.graded) ways = std::min(ways, n);
  if (ways < kWaysAgainstLuck)
    out.push_back(
        fmt::format("questions were asked in {} {}: oracle and regret count lucky guesses", ways,
                    ways == 1 ? "way" : "ways"));
  if (data.left_out > 0)
    out.push_back(
        fmt::format("{} questions are not graded at every k and left out", data.left_out));
  if (r.most_frequent >= kCollapsed)
    out.push_back(fmt::format(
        "the policy collapsed to one k for {} of the questions (entropy {:.3f} nats): at this "
        "lambda it adapts to nothing",
        percent(r.most_frequent), r.entropy));
  if (r.over_plug_in) {
    const auto& d = *r.over_plug_in;
    const bool ties = d.interval.lower <= 0 && d.interval.upper >= 0;
    out.push_back(fmt::format("reward beyond plug_in {:+.4f} [{:+.4f}, {:+.4f}]: {}", d.mean,
                              d.interval.lower, d.interval.upper,
                              ties         ? "no difference is shown"
                              : d.mean > 0 ? "the policy head is better"
                                           : "the plug-in is better"));
  }
  if (r.flagged)
    out.push_back(fmt::format(
        "fallback {}: {} of {} questions flagged ({}), each by networks that never saw it; meant: "
        "{}. Threshold {:.4g}",
        plan.fallback->label(), r.flagged->flagged, r.flagged->n,
        percent(static_cast<double>(r.flagged->flagged) / static_cast<double>(r.flagged->n)),
        percent(engine::train::kFlaggedClean), r.flagged->threshold));
  if (mine.outcome.gain_interval.lower <= 0)
    out.push_back(
        "no adaptivity gain over a static k or a mixture of them is shown: its interval reaches "
        "zero");
  if (plan.objective == engine::train::Objective::reinforce)
    out.push_back(
        "learned from one drawn k a question and epoch, as plug_in beside it; knn and length_only "
        "saw every k");
  if (plan.target_cost)
    out.push_back("lambda was chosen on these questions: what others cost may differ");
  if (plan.options.mu > 0)
    out.push_back("plug_in, knn and length_only know no lateness, but pay for it");
  if (!r.need.spearman)
    out.push_back("rank correlation of FLOPs n/a: estimate or need does not vary");
  return out;
}

std::string need_line(const NeedEstimate& n) {
  if (n.n == 0) return "FLOPs needed: n/a (no question is reliably right from some k on)";
  return fmt::format(
      "FLOPs needed, estimated by P(right) >= {}: mean error {:.3f} of the full cost (best "
      "constant {:.3f}), Spearman {}, n = {}",
      kEnough, n.mae, n.mae_constant, n.spearman ? fmt::format("{:.3f}", *n.spearman) : "n/a", n.n);
}

std::string render_json(const TrainingData& data, const TrainingPlan& plan,
                        const TrainingResult& r) {
  ordered_json j = ordered_json::parse(training_json(data, plan, r));
  j.erase("seen");  // for audits
  const Outcome& oracle = r.policies.back().outcome;
  for (const auto& p : r.policies) {
    ordered_json one{{"policy", p.name}, {"about", p.about}, {"own_flops", p.own_flops}};
    one.update(outcome_json(p.outcome, oracle));
    j["policies"].push_back(std::move(one));
  }
  j["entropy_nats"] = r.entropy;
  j["most_frequent_k_share"] = r.most_frequent;
  if (r.over_plug_in)
    j["reward_beyond_plug_in"] = {
        {"mean", r.over_plug_in->mean},
        {"interval", {r.over_plug_in->interval.lower, r.over_plug_in->interval.upper}}};
  j["flops_needed"] = {{"enough", kEnough},
                       {"n", r.need.n},
                       {"mae", nullptr},
                       {"mae_constant", nullptr},
                       {"spearman", nullptr}};
  if (r.need.n > 0) {
    j["flops_needed"]["mae"] = r.need.mae;
    j["flops_needed"]["mae_constant"] = r.need.mae_constant;
  }
  if (r.need.spearman) j["flops_needed"]["spearman"] = *r.need.spearman;
  for (const auto& c : r.curve)
    j["curve"].push_back({{"lambda", c.lambda},
                          {"policy", outcome_json(c.policy, c.oracle)},
                          {"oracle", outcome_json(c.oracle, c.oracle)}});
  if (r.ood) j["ood"] = ordered_json::parse(ood_json(*r.ood));
  j["notes"] = notes(data, plan, r);
  return j.dump(2) + "\n";
}

}  // namespace

const char* objective_name(engine::train::Objective o) {
  switch (o) {
    case engine::train::Objective::success:
      return "success";
    case engine::train::Objective::policy:
      return "policy";
    case engine::train::Objective::reinforce:
      return "reinforce";
  }
  return "policy";
}

std::string training_json(const TrainingData& data, const TrainingPlan& plan,
                          const TrainingResult& r) {
  const auto& o = plan.options;
  ordered_json j{{"sweep", data.run_uuid},
                 {"model_sha256", data.weights_sha256},
                 {"objective", objective_name(plan.objective)},
                 {"head", o.head == engine::train::Head::ordinal ? "ordinal" : "free"},
                 {"k", data.examples.grid},
                 {"lambda", r.lambda},
                 {"target_cost", nullptr},
                 {"lambda_family", plan.target_cost.has_value()},
                 {"mu", o.mu},
                 {"entropy_bonus", o.entropy},
                 {"hidden", o.hidden},
                 {"epochs", o.epochs},
                 {"folds", plan.folds},
                 {"seed", o.seed},
                 {"questions", data.examples.n},
                 {"seed_items", r.clusters}};
  if (plan.target_cost) j["target_cost"] = *plan.target_cost;
  if (r.flagged)
    j["fallback"] = {{"rule", plan.fallback->label()},
                     {"threshold", r.flagged->threshold},
                     {"flagged", r.flagged->flagged},
                     {"questions", r.flagged->n},
                     {"flagged_share_meant", engine::train::kFlaggedClean}};
  j["seen"] = question_marks(data.questions);
  return j.dump();
}

std::string render_training(const TrainingData& data, const TrainingPlan& plan,
                            const TrainingResult& r, Format format) {
  if (format == Format::json) return render_json(data, plan, r);
  const auto as = [format](const TextTable& t) {
    return format == Format::markdown ? t.markdown() : t.terminal();
  };
  std::string text = fmt::format(
      "{} of sweep {}: {} questions, {} seed items, {} folds, k = {}, lambda = {:.4g}\n\n",
      data.model, data.run_uuid, data.examples.n, r.clusters, plan.folds,
      fmt::join(data.examples.grid, ","), r.lambda);
  std::vector<NamedOutcome> rows;
  for (const auto& p : r.policies) rows.push_back({p.name, &p.outcome});
  text += as(outcome_table(rows));
  text += fmt::format(
      "\nFLOPs: of those at k = {}, the decision's own included. regret: what the best k would "
      "have\nbrought more of accuracy - lambda FLOPs. gain: percentage points of accuracy above "
      "static k and\ntheir mixtures at the same FLOPs. Each question is decided without having "
      "seen its seed item.\n",
      data.examples.grid.back());
  text += need_line(r.need) + "\n";
  for (const auto& n : notes(data, plan, r)) text += "note: " + n + "\n";
  if (r.ood) text += "\n" + render_ood(*r.ood, format == Format::markdown);
  if (r.curve.empty()) return text;
  TextTable curve({{"lambda", Align::right},
                   {"accuracy", Align::right},
                   {"95% interval"},
                   {"mean k", Align::right},
                   {"FLOPs", Align::right},
                   {"gain", Align::right},
                   {"oracle's accuracy", Align::right},
                   {"oracle's FLOPs", Align::right}});
  for (const auto& c : r.curve)
    curve.add({fmt::format("{:.4f}", c.lambda), percent(c.policy.accuracy),
               percent_range(c.policy.accuracy_interval), fmt::format("{:.2f}", c.policy.mean_k),
               fmt::format("{:.3f}", c.policy.cost), fmt::format("{:+.1f}", 100 * c.policy.gain),
               percent(c.oracle.accuracy), fmt::format("{:.3f}", c.oracle.cost)});
  return text + "\n" + as(curve);
}

}  // namespace harness
