#include "harness/audit_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/page.h"
#include "harness/text_table.h"
#include "tasks/metrics.h"

namespace harness {
namespace {

using tasks::Estimate;

constexpr size_t kShownParts = 12;

std::string share_of(int64_t n, int64_t total) {
  const auto w = tasks::wilson_interval(n, total);
  if (!w) return "n/a";
  return fmt::format("{:.1f}% [{:.1f}, {:.1f}]",
                     100.0 * static_cast<double>(n) / static_cast<double>(total), 100 * w->lower,
                     100 * w->upper);
}

TextTable needs_table(const TaskAudit& t) {
  TextTable table({{"needs"},
                   {"n", Align::right},
                   {"ways", Align::right},
                   {"easy"},
                   {"elastic"},
                   {"never"},
                   {"inverse"}});
  const auto add = [&](const std::string& name, const AllocationReport& a) {
    std::vector<std::string> cells{name, std::to_string(a.n), std::to_string(a.ways)};
    for (const Need need : kNeeds) cells.push_back(share_of(a.count(need), a.n));
    table.add(std::move(cells));
  };
  add("clean", t.clean);
  for (const auto& [form, a] : t.shifted) add(form, a);
  return table;
}

TextTable classes_table(const TaskAudit& t) {
  std::vector<TextTable::Column> columns{{"grants"}, {"n", Align::right}};
  for (const Allocation a : kAllocations) columns.push_back({allocation_name(a), Align::right});
  TextTable table(columns);
  const auto add = [&](const std::string& name, const AllocationReport& r) {
    std::vector<std::string> cells{name, std::to_string(r.n)};
    for (const Allocation a : kAllocations)
      cells.push_back(r.n == 0 ? "n/a"
                               : fmt::format("{:.1f}%", 100.0 * static_cast<double>(r.count(a)) /
                                                            static_cast<double>(r.n)));
    table.add(std::move(cells));
  };
  add("clean", t.clean);
  for (const auto& [form, a] : t.shifted) add(form, a);
  return table;
}

TextTable metrics_table(const TaskAudit& t, double lambda) {
  const AllocationReport& a = t.clean;
  TextTable table({{"metric"}, {"value [95%]"}, {"of"}});
  const std::string all = fmt::format("{} questions", a.n);
  const std::string stable = fmt::format("{} questions with a stable k", a.n_stable);
  table.add({fmt::format("lambda-regret, lambda {}", lambda), show(a.lambda_regret, 1, 4), all});
  if (t.regret_seen.value) {
    table.add({"  of questions it learned from", show(t.regret_seen, 1, 4),
               fmt::format("{} questions", t.n_seen)});
    table.add({"  of the others", show(t.regret_unseen, 1, 4),
               fmt::format("{} questions", a.n - t.n_seen)});
  }
  table.add({"gain over static k at equal FLOPs", percent(a.gain), all});
  table.add({"of the oracle's gain", percent(a.gap_closed), ""});
  table.add({"accuracy", percent(a.accuracy), all});
  table.add({"mean k", show(a.mean_k), all});
  table.add({"FLOPs", percent(a.cost), "those of the largest k"});
  table.add({"FLOPs, mean of shares", percent(a.cost_per_query), "a question's at the largest k"});
  if (t.target_cost)
    table.add({"  budget at training", fmt::format("{:.1f}%", 100 * *t.target_cost), "the same"});
  table.add({"under-allocated", percent(a.under), stable});
  table.add({"  of it by the latency cap", percent(a.under_by_cap), stable});
  table.add({"over-allocated", percent(a.over), stable});
  table.add({"wasted on over-allocation", percent(a.waste), "FLOPs of the largest k"});
  table.add({"spent on what no k gets right", percent(a.futile), "FLOPs above the smallest k's"});
  table.add({"wrong where a smaller k is right", percent(a.inverse_harm), all});
  table.add({"best k's accuracy less the policy's", percent(a.accuracy_regret), all});
  table.add({"largest k's accuracy less the policy's", percent(a.full_regret), all});
  table.add({"gold NLL at what was granted, nats", show(t.graded.nll, 1, 3),
             fmt::format("{} questions", t.graded.n)});
  table.add({"  less that at the largest k", show(t.graded.regret, 1, 3), "the same"});
  table.add({"larger k wrong, next smaller right", percent(a.violations),
             a.violations_of_noise ? fmt::format("neighbours in k; {:.1f}% by noise alone",
                                                 100 * *a.violations_of_noise)
                                   : "neighbours in k"});
  return table;
}

TextTable statics_table(const AllocationReport& a) {
  TextTable table({{"k", Align::right}, {"accuracy", Align::right}, {"FLOPs", Align::right}});
  for (const auto& s : a.statics)
    table.add({std::to_string(s.k), fmt::format("{:.1f}%", 100 * s.accuracy),
               fmt::format("{:.1f}%", 100 * s.cost)});
  table.add({"policy", plain_percent(a.accuracy), plain_percent(a.cost)});
  return table;
}

TextTable prediction_table(const PredictionReport& p) {
  TextTable table({{"k", Align::right},
                   {"AUROC of failing [95%]"},
                   {"n p_k", Align::right},
                   {"Brier"},
                   {"ECE"}});
  const auto add = [&](const std::string& name, const std::string& auroc, const auto& c) {
    table.add({name, auroc, std::to_string(c.n), show(c.brier, 1, 3), show(c.ece, 1, 3)});
  };
  for (const auto& k : p.by_k) add(std::to_string(k.k), show(k.auroc), k.calibration);
  add("all", "", p.pooled);
  return table;
}

TextTable parts_table(const TaskAudit& t, size_t* left_out) {
  TextTable table({{"part"},
                   {"n", Align::right},
                   {"mean k"},
                   {"accuracy"},
                   {"under-allocated"},
                   {"over-allocated"},
                   {"wasted FLOPs"},
                   {"lambda-regret"},
                   {"p", Align::right}});
  auto parts = t.parts;
  std::stable_sort(parts.begin(), parts.end(), [](const AuditPart& a, const AuditPart& b) {
    const bool subject_a = a.kind == "subject", subject_b = b.kind == "subject";
    if (subject_a != subject_b) return subject_b;
    return subject_a && a.under.value.value_or(0) + a.waste.value.value_or(0) >
                            b.under.value.value_or(0) + b.waste.value.value_or(0);
  });
  *left_out = parts.size() > kShownParts ? parts.size() - kShownParts : 0;
  parts.resize(parts.size() - *left_out);
  for (const auto& p : parts)
    table.add({p.name, std::to_string(p.n), show(p.mean_k), percent(p.accuracy), percent(p.under),
               percent(p.over), percent(p.waste), show(p.lambda_regret, 1, 3), p_value(p.p_bh)});
  return table;
}

TextTable worst_table(const std::vector<WorstQuery>& worst, bool over) {
  TextTable table({{over ? "over" : "under"},
                   {"shift"},
                   {"k", Align::right},
                   {"needs", Align::right},
                   {over ? "wasted FLOPs" : "class", Align::right},
                   {"text"}});
  for (const auto& w : worst)
    table.add({w.sample, w.form, fmt::format("{:.4g}", w.k), std::to_string(w.k_stable),
               over ? si(w.wasted_flops) : allocation_name(w.allocation), printable(w.text)});
  return table;
}

void render_outside(const TaskAudit& t, Page* page) {
  if (!t.outside) return;
  const auto& o = *t.outside;
  page->heading("Do k and need follow the difficulty that others found?", 3);
  page->line(fmt::format("difficulty: how many of {} answered wrong ({} labels)",
                         fmt::join(o.models, " and "), o.origin));
  page->line(fmt::format("Spearman of k {} (n {}), of the need {} (n {}, those with a stable k)",
                         show(o.spearman_k), o.n, show(o.spearman_need), o.n_finite));
}

void render_robust(const TaskAudit& t, Page* page) {
  if (t.robust.empty()) return;
  TextTable table({{"ReCode"},
                   {"n", Align::right},
                   {"draws", Align::right},
                   {"right as it is"},
                   {"in every form (RP)"},
                   {"robust drop (RD)"},
                   {"answered otherwise (RR)"}});
  for (const auto& r : t.robust)
    table.add({r.method, std::to_string(r.n), std::to_string(r.draws), percent(r.nominal),
               percent(r.pass), percent(r.drop), percent(r.relative)});
  page->heading("Robustness: the worst answer over the draws of one perturbation", 3);
  page->table(table);
  page->line("");
  page->line(
      "n: problems that it changes in some draw. RD: what RP lost of the answers right as it is.");
}

void render_worst(const TaskAudit& t, Page* page) {
  if (t.worst_under.empty() && t.worst_over.empty()) return;
  page->heading("Worst queries", 3);
  if (!t.worst_under.empty()) page->table(worst_table(t.worst_under, false));
  if (!t.worst_under.empty() && !t.worst_over.empty()) page->line("");
  if (!t.worst_over.empty()) page->table(worst_table(t.worst_over, true));
}

void render_clean(const TaskAudit& t, double lambda, Page* page) {
  if (t.clean.n == 0) return;
  page->heading("Questions as they are", 3);
  page->table(metrics_table(t, lambda));
  if (t.clean.n_not_swept > 0)
    page->line(fmt::format("{} of {} ran a k that was not swept: single answers on both sides",
                           t.clean.n_not_swept, t.clean.n));
  page->line("");
  page->table(statics_table(t.clean));
  const auto& p = t.prediction;
  page->heading(fmt::format("Does {} order the questions by need?",
                            p.by_complexity ? "the predicted complexity" : "k"),
                3);
  page->line(fmt::format("Spearman {}, Kendall tau-b {} (n {}, those without a stable k on top)",
                         show(p.spearman), show(p.kendall), p.n));
  page->line(fmt::format("Spearman {} (n {}, those with a stable k)", show(p.spearman_finite),
                         p.n_finite));
  page->line("");
  page->table(prediction_table(p));
}

TextTable fallback_table(const TaskAudit& t) {
  TextTable table({{"shift"},
                   {"n", Align::right},
                   {"flagged [95%]"},
                   {"compared", Align::right},
                   {"mean k"},
                   {"without"},
                   {"accuracy"},
                   {"without"},
                   {"regret"},
                   {"saved [95%]"}});
  for (const auto& f : t.fallback)
    table.add({f.form, std::to_string(f.n), share_of(f.flagged, f.n), std::to_string(f.compared),
               show(f.k), show(f.k_without), percent(f.accuracy), percent(f.accuracy_without),
               show(f.regret, 1, 4), show(f.regret_saved, 1, 4)});
  return table;
}

void render_fallback(const Audit& audit, const TaskAudit& t, Page* page) {
  if (t.fallback.empty()) return;
  page->heading("Questions that the policy's fallback decided, with it and without", 3);
  page->table(fallback_table(t));
  page->line("");
  page->prose(
      fmt::format("flagged: more unlike the questions of training than the predictor's threshold. "
                  "compared: flagged ones of which the sweep knows both k; accuracy and regret "
                  "(lambda {}) by its answers.",
                  audit.lambda));
}

void render_task(const Audit& audit, const TaskAudit& t, Page* page) {
  page->heading(fmt::format("{}  (n {}, chance {})", t.task, t.clean.n,
                            t.chance ? fmt::format("{:.2f}", *t.chance) : "n/a"),
                2);
  if (const auto note = tasks::data_shift_note(t.data_shift); !note.empty())
    page->prose(fmt::format("These questions are {}.", note));
  for (const auto& f : findings(t, audit.grid)) page->item(f);
  page->heading("What the questions need, and what they were granted", 3);
  page->table(needs_table(t));
  page->line("");
  page->prose(
      "easy: right from the smallest k on; elastic: from a larger one on; inverse: right at some "
      "k, "
      "not at the largest; never: at none.");
  page->line("");
  page->table(classes_table(t));
  page->line("");
  page->prose(
      "exact, over: right, with no or some experts too many; under: wrong, more would do; capped: "
      "the same, by the latency cap; boundary: wrong between two swept k; lucky: right without the "
      "k "
      "it needs; unstable: wrong with it; hopeless: wrong, and no k is enough.");
  render_clean(t, audit.lambda, page);
  if (!t.parts.empty()) {
    page->heading("Where", 3);
    size_t left_out = 0;
    page->table(parts_table(t, &left_out));
    page->line("");
    page->prose(
        "p: lambda-regret beside the rest of the task, permutation test, adjusted over all parts "
        "(Benjamini-Hochberg). Intervals are not adjusted.");
    if (left_out > 0)
      page->line(fmt::format("{} more parts: --format json has them all", left_out));
  }
  render_outside(t, page);
  render_drifts(t, page);
  render_robust(t, page);
  render_fallback(audit, t, page);
  render_worst(t, page);
}

}  // namespace

std::string show(const Estimate& e, double scale, int digits) {
  if (!e.value) return "n/a";
  auto text = fmt::format("{:.{}f}", scale * *e.value, digits);
  if (e.interval)
    text += fmt::format(" [{:.{}f}, {:.{}f}]", scale * e.interval->lower, digits,
                        scale * e.interval->upper, digits);
  return text;
}

std::string plain_percent(const Estimate& e) {
  return e.value ? fmt::format("{:.1f}%", 100 * *e.value) : "n/a";
}

std::string p_value(double p) {
  return p < 0.0001 ? fmt::format("{:.1e}", p) : fmt::format("{:.4f}", p);
}

std::string percent(const Estimate& e) {
  if (!e.value) return "n/a";
  auto text = fmt::format("{:.1f}%", 100 * *e.value);
  if (e.interval)
    text += fmt::format(" [{:.1f}, {:.1f}]", 100 * e.interval->lower, 100 * e.interval->upper);
  return text;
}

std::string render_audit(const Audit& audit, Format format) {
  if (format == Format::json) return audit_json(audit);
  Page page(format);
  page.line(fmt::format("Audit of {} under {}", audit.run_name, audit.policy));
  if (audit.sweep_uuid.empty()) {
    page.line(fmt::format("run {}", audit.run_uuid));
    if (!audit.why_not_swept.empty()) page.line("Prompts only: " + audit.why_not_swept);
    for (const auto& p : audit.prompts) render_prompts(p, &page);
    return page.take();
  }
  page.line(fmt::format("run {}, sweep {} at k = {}", audit.run_uuid, audit.sweep_uuid,
                        fmt::join(audit.grid, ",")));
  page.line(
      fmt::format("{} queries answered, {} failed, {} not marked, {} without k or FLOPs; the "
                  "need of {} is not known at every k",
                  audit.answered, audit.failed, audit.ungraded, audit.unmeasured, audit.not_swept));
  if (!audit.tasks_not_swept.empty())
    page.line(fmt::format("not swept: {}", fmt::join(audit.tasks_not_swept, ", ")));
  if (audit.learned && !audit.facts_known)
    page.line(
        "Not checked: whether the policy was made from these very questions, which would flatter "
        "it.");
  if (audit.facts_known) {
    int64_t n = 0, seen = 0;
    for (const auto& t : audit.tasks) n += t.clean.n, seen += t.n_seen;
    page.line(fmt::format("{} of these {} questions are among the {} that the policy learned from.",
                          seen, n, audit.n_learned));
  }
  page.prose(
      fmt::format("right = in at least {:.0f}% of the ways that the sweep asked. Intervals: 95%; "
                  "shares Wilson, "
                  "others bootstrap over seed items; none below {} items or where all are alike.",
                  100 * kReliable, tasks::kFewestClusters));
  for (const auto& t : audit.tasks) render_task(audit, t, &page);
  for (const auto& p : audit.prompts) render_prompts(p, &page);
  return page.take();
}

}  // namespace harness
