#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/audit_report.h"
#include "tasks/metrics.h"

namespace harness {
namespace {

using tasks::Estimate;

constexpr double kElasticEnough = 0.1;  // fewer: adaptive allocation has nothing to win
constexpr double kNoteworthy = 0.01;    // shares whose interval lies above it are findings
constexpr double kFindingLevel = 0.05;  // of adjusted p-values
constexpr size_t kMostGraded = 3;       // findings about graded outcomes

bool above(const Estimate& e, double x) { return e.interval && e.interval->lower > x; }
bool below(const Estimate& e, double x) { return e.interval && e.interval->upper < x; }

std::string of_questions(const AllocationReport& a, const Estimate& e) {
  return fmt::format("{} of {}", percent(e), a.n);
}

void judge_gain(const AllocationReport& a, std::vector<std::string>* out) {
  if (above(a.gain, 0))
    out->push_back("beats static k at equal FLOPs by " + of_questions(a, a.gain));
  else if (below(a.gain, 0))
    out->push_back(
        fmt::format("loses to static k at equal FLOPs: {}; a fixed k is the better policy",
                    of_questions(a, a.gain)));
  else if (a.k_min != a.k_max)
    out->push_back("not shown to beat static k at equal FLOPs: " + of_questions(a, a.gain));
}

// Realised FLOPs beside those that the policy was trained to spend. What a latency cap took is not
// the policy's doing.
void judge_budget(const TaskAudit& t, std::vector<std::string>* out) {
  const Estimate& cost = t.clean.cost_per_query;
  if (!t.target_cost || t.n_capped > 0) return;
  if (!above(cost, *t.target_cost) && !below(cost, *t.target_cost)) return;
  out->push_back(fmt::format(
      "spends {} of a question's full FLOPs, trained for {:.1f}% over all that it learned from",
      percent(cost), 100 * *t.target_cost));
}

void judge_allocation(const AllocationReport& a, int32_t smallest_k,
                      std::vector<std::string>* out) {
  if (above(a.under, kNoteworthy))
    out->push_back(fmt::format(
        "under-allocated: {} of {}{}", percent(a.under), a.n_stable,
        a.under_by_cap.value.value_or(0) > 0
            ? fmt::format(", {} by the latency cap: raise the cap before blaming the predictor",
                          percent(a.under_by_cap))
            : ""));
  if (above(a.waste, kNoteworthy))
    out->push_back(fmt::format("over-allocated: {} of {}, which wastes {} of the full FLOPs",
                               percent(a.over), a.n_stable, percent(a.waste)));
  if (above(a.futile, kNoteworthy))
    out->push_back(
        fmt::format("{} of the FLOPs above k = {} went to questions that no k gets right",
                    percent(a.futile), smallest_k));
}

void judge_drift(const DriftReport& d, std::vector<std::string>* out) {
  if (d.accuracy_holm < kFindingLevel)
    out->push_back(
        fmt::format("{}: accuracy changes by {} points", d.form, show(d.accuracy, 100, 1)));
  if (d.excess_holm < kFindingLevel)
    out->push_back(fmt::format(
        "{}: {} experts than the change in need explains, excess drift {} (n {}); sweep with this "
        "shift and train on it",
        d.form, *d.excess.value > 0 ? "more" : "fewer", show(d.excess), d.n_need));
  else if (d.drift_holm < kFindingLevel)
    out->push_back(fmt::format(
        "{}: {} experts than the same questions as they are, {} a query; {}", d.form,
        *d.drift.value > 0 ? "more" : "fewer", show(d.drift),
        d.n_need == 0 ? "a sweep with this shift would tell whether they are needed"
                      : fmt::format("that the need does not follow is not shown (excess {}, n {})",
                                    show(d.excess), d.n_need)));
}

// Whether any k tells right from wrong better than guessing does.
void judge_chance(const TaskAudit& t, std::vector<std::string>* out) {
  if (!t.chance || *t.chance <= 0 || t.clean.ways != 1) return;
  const auto n = t.clean.n;
  for (const auto& s : t.clean.statics) {
    const auto w = tasks::wilson_interval(std::llround(s.accuracy * static_cast<double>(n)), n);
    if (w && w->lower > *t.chance) return;
  }
  out->push_back(fmt::format(
      "at no k are right answers shown to be above chance ({:.2f}, n {}): judge by k, FLOPs and "
      "graded outcomes",
      *t.chance, n));
}

std::string said_of(const GradedDrift& d) {
  std::string by_k;
  if (above(d.regret_change, 0))
    by_k = fmt::format(", {} of them by the k granted", show(d.regret_change));
  return fmt::format("{}: the right answer becomes {} probable, {} nats (n {}){}", d.form,
                     *d.nll_change.value > 0 ? "less" : "more", show(d.nll_change), d.n, by_k);
}

// The largest changes of what is shown.
void judge_graded(const std::vector<GradedDrift>& drifts, std::vector<std::string>* out) {
  std::vector<const GradedDrift*> shown;
  for (const auto& d : drifts)
    if (d.p_holm < kFindingLevel && d.nll_change.value && d.nll_change.interval)
      shown.push_back(&d);
  std::stable_sort(shown.begin(), shown.end(), [](const auto* a, const auto* b) {
    return std::abs(*a->nll_change.value) > std::abs(*b->nll_change.value);
  });
  for (size_t i = 0; i < std::min(shown.size(), kMostGraded); ++i)
    out->push_back(said_of(*shown[i]));
  if (shown.size() > kMostGraded)
    out->push_back(
        fmt::format("{} more shifts change how probable the right answer is (table: Graded)",
                    shown.size() - kMostGraded));
}

}  // namespace

std::vector<std::string> findings(const TaskAudit& t, const std::vector<int32_t>& grid) {
  std::vector<std::string> out;
  const auto& a = t.clean;
  if (a.n == 0) return {"no clean question of the run was swept: nothing is known of the need"};
  const bool varies = a.k_min != a.k_max;
  const auto elastic = static_cast<double>(a.count(Need::elastic)) / static_cast<double>(a.n);
  if (elastic < kElasticEnough)
    out.push_back(
        fmt::format("only {:.1f}% of the questions are elastic: adaptive allocation has "
                    "next to nothing to win here",
                    100 * elastic));
  if (a.count(Need::inverse) > a.count(Need::elastic))
    out.push_back(
        "more questions are inverse than elastic: right answers look like guesses; judge by graded "
        "outcomes or a stronger model");
  judge_chance(t, &out);
  if (!varies)
    out.push_back(
        fmt::format("every question got the same k ({:.4g}): nothing is adaptive", a.k_min));
  if (t.n_seen > 0)
    out.push_back(fmt::format(
        "the policy learned from {} of these {} questions: its figures flatter; audit it "
        "on others (another --seed or split)",
        t.n_seen, a.n));
  judge_budget(t, &out);
  judge_gain(a, &out);
  judge_allocation(a, grid.front(), &out);
  const auto& order = t.prediction.spearman;
  if (varies && order.interval && !above(order, 0) && !below(order, 0))
    out.push_back(
        fmt::format("{} does not go along with what was needed",
                    t.prediction.by_complexity ? "the predicted complexity" : "what was granted"));
  for (auto& f : part_findings(t.parts, a)) out.push_back(std::move(f));
  for (const auto& d : t.drifts) judge_drift(d, &out);
  judge_graded(t.graded_drifts, &out);
  return out;
}

}  // namespace harness
