#include "harness/audit_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/text_table.h"
#include "tasks/metrics.h"

namespace harness {
namespace {

using tasks::Estimate;

constexpr double kElasticEnough = 0.1;  // fewer: adaptive allocation has nothing to win
constexpr size_t kShownParts = 12;
constexpr double kLevel = 0.05;

std::string share_of(int64_t n, int64_t total) {
  const auto w = tasks::wilson_interval(n, total);
  if (!w) return "n/a";
  return fmt::format("{:.1f}% [{:.1f}, {:.1f}]",
                     100.0 * static_cast<double>(n) / static_cast<double>(total), 100 * w->lower,
                     100 * w->upper);
}

// "12.3 [10.1, 14.8]", times `scale`.
std::string show(const Estimate& e, double scale = 1, int digits = 2) {
  if (!e.value) return "n/a";
  auto text = fmt::format("{:.{}f}", scale * *e.value, digits);
  if (e.interval)
    text += fmt::format(" [{:.{}f}, {:.{}f}]", scale * e.interval->lower, digits,
                        scale * e.interval->upper, digits);
  return text;
}

std::string percent(const Estimate& e) {
  if (!e.value) return "n/a";
  auto text = fmt::format("{:.1f}%", 100 * *e.value);
  if (e.interval)
    text += fmt::format(" [{:.1f}, {:.1f}]", 100 * e.interval->lower, 100 * e.interval->upper);
  return text;
}

std::string plain(const Estimate& e) {
  return e.value ? fmt::format("{:.1f}%", 100 * *e.value) : "n/a";
}

std::string p_value(double p) {
  return p < 0.0001 ? fmt::format("{:.1e}", p) : fmt::format("{:.4f}", p);
}

bool above(const Estimate& e, double x) { return e.interval && e.interval->lower > x; }
bool below(const Estimate& e, double x) { return e.interval && e.interval->upper < x; }

class Page {
 public:
  explicit Page(Format format) : markdown_(format == Format::markdown) {}
  void heading(const std::string& text, int level) {
    out_ += markdown_
                ? fmt::format("\n{} {}\n\n", std::string(static_cast<size_t>(level), '#'), text)
                : fmt::format("\n{}\n\n", text);
  }
  void line(const std::string& text) { out_ += text + (markdown_ ? "\n\n" : "\n"); }
  void item(const std::string& text) { out_ += (markdown_ ? "- " : "  * ") + text + "\n"; }
  void table(const TextTable& t) {
    if (!t.empty()) out_ += markdown_ ? t.markdown() : t.terminal();
  }
  std::string take() { return std::move(out_); }

 private:
  bool markdown_;
  std::string out_;
};

TextTable needs_table(const TaskAudit& t) {
  TextTable table({{"needs"}, {"n", Align::right}, {"easy"}, {"elastic"}, {"never"}, {"inverse"}});
  const auto add = [&](const std::string& name, const AllocationReport& a) {
    std::vector<std::string> cells{name, std::to_string(a.n)};
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

TextTable metrics_table(const AllocationReport& a, double lambda) {
  TextTable table({{"metric"}, {"value [95%]"}, {"of"}});
  table.add({"accuracy, as reliably as the sweep", percent(a.accuracy), "questions"});
  table.add({"mean k", show(a.mean_k), ""});
  table.add({"FLOPs", percent(a.cost), "those of the largest k"});
  table.add({"under-allocated", percent(a.under), "questions with a stable k"});
  table.add({"  of it by the latency cap", percent(a.under_by_cap), "questions with a stable k"});
  table.add({"over-allocated", percent(a.over), "questions with a stable k"});
  table.add({"wasted on over-allocation", percent(a.waste), "FLOPs of the largest k"});
  table.add(
      {"futile: spent on what no k gets right", percent(a.futile), "FLOPs above the smallest k's"});
  table.add({"inverse harm: fewer experts were right", percent(a.inverse_harm), "questions"});
  table.add({"accuracy regret, best k", percent(a.accuracy_regret), "questions"});
  table.add({"accuracy regret, largest k", percent(a.full_regret), "questions"});
  table.add({fmt::format("lambda-regret, lambda {}", lambda), show(a.lambda_regret, 1, 4), ""});
  table.add({"gain over static k at equal FLOPs", percent(a.gain), "questions"});
  table.add({"of the oracle's gain", percent(a.gap_closed), ""});
  table.add({"larger k wrong, smaller right", percent(a.violations),
             a.violations_of_a_guesser ? fmt::format("neighbours; {:.1f}% if k did not matter",
                                                     100 * *a.violations_of_a_guesser)
                                       : "neighbours"});
  return table;
}

TextTable statics_table(const AllocationReport& a) {
  TextTable table({{"k", Align::right}, {"accuracy", Align::right}, {"FLOPs", Align::right}});
  for (const auto& s : a.statics)
    table.add({std::to_string(s.k), fmt::format("{:.1f}%", 100 * s.accuracy),
               fmt::format("{:.1f}%", 100 * s.cost)});
  table.add({"policy", plain(a.accuracy), plain(a.cost)});
  return table;
}

TextTable prediction_table(const PredictionReport& p) {
  TextTable table({{"k", Align::right},
                   {"AUROC of failing [95%]"},
                   {"n p_k", Align::right},
                   {"Brier", Align::right},
                   {"ECE", Align::right}});
  for (const auto& k : p.by_k)
    table.add({std::to_string(k.k), show(k.auroc), std::to_string(k.n),
               k.brier ? fmt::format("{:.3f}", *k.brier) : "n/a",
               k.ece ? fmt::format("{:.3f}", *k.ece) : "n/a"});
  return table;
}

TextTable drift_table(const TaskAudit& t) {
  TextTable table({{"shift"},
                   {"n", Align::right},
                   {"k drift [95%]"},
                   {"p (Holm)", Align::right},
                   {"same k", Align::right},
                   {"jumps", Align::right},
                   {"n need", Align::right},
                   {"need drift"},
                   {"excess drift"},
                   {"FLOPs ratio"},
                   {"accuracy, pp"},
                   {"p (Holm)", Align::right}});
  for (const auto& d : t.drifts)
    table.add({d.form, std::to_string(d.n), show(d.drift), p_value(d.drift_holm), plain(d.stable),
               plain(d.jumps), std::to_string(d.n_need), show(d.need_drift), show(d.excess),
               show(d.flops_ratio), show(d.accuracy, 100, 1), p_value(d.accuracy_holm)});
  return table;
}

TextTable parts_table(const TaskAudit& t, size_t* left_out) {
  TextTable table({{"part"},
                   {"n", Align::right},
                   {"mean k"},
                   {"accuracy"},
                   {"under-allocated"},
                   {"over-allocated"},
                   {"wasted FLOPs"}});
  auto parts = t.parts;
  std::stable_sort(parts.begin(), parts.end(), [](const AuditPart& a, const AuditPart& b) {
    const bool length_a = a.kind == "length", length_b = b.kind == "length";
    if (length_a != length_b) return length_a;
    return !length_a && a.under.value.value_or(0) + a.waste.value.value_or(0) >
                            b.under.value.value_or(0) + b.waste.value.value_or(0);
  });
  *left_out = parts.size() > kShownParts ? parts.size() - kShownParts : 0;
  parts.resize(parts.size() - *left_out);
  for (const auto& p : parts)
    table.add({p.name, std::to_string(p.n), show(p.mean_k), percent(p.accuracy), percent(p.under),
               percent(p.over), percent(p.waste)});
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

void render_task(const Audit& audit, const TaskAudit& t, Page* page) {
  page->heading(fmt::format("{}  (n {}, asked in {} {}, chance {})", t.task, t.n_clean, t.ways,
                            t.ways == 1 ? "way" : "ways",
                            t.chance ? fmt::format("{:.2f}", *t.chance) : "n/a"),
                2);
  for (const auto& f : findings(t, audit.grid)) page->item(f);
  page->heading("What the questions need, and what they were granted", 3);
  page->table(needs_table(t));
  page->line("");
  page->table(classes_table(t));
  if (t.n_clean > 0) {
    page->heading("Clean questions", 3);
    page->table(metrics_table(t.clean, audit.lambda));
    page->line("");
    page->table(statics_table(t.clean));
    const auto& p = t.prediction;
    page->heading(fmt::format("Does {} order the questions by need?",
                              p.by_complexity ? "the predicted complexity" : "k"),
                  3);
    page->line(
        fmt::format("Spearman {}, Kendall tau-b {} (n {}, questions without a stable k above the "
                    "largest); Spearman {} of the {} with one",
                    show(p.spearman), show(p.kendall), p.n, show(p.spearman_finite), p.n_finite));
    page->line("");
    page->table(prediction_table(p));
  }
  if (!t.parts.empty()) {
    page->heading("Where", 3);
    size_t left_out = 0;
    page->table(parts_table(t, &left_out));
    if (left_out > 0)
      page->line(fmt::format("{} more parts: --format json has them all", left_out));
  }
  if (!t.drifts.empty()) {
    page->heading("Under shifts (k of the shifted query less k of the same sample as it is)", 3);
    page->table(drift_table(t));
  }
  if (!t.worst_under.empty() || !t.worst_over.empty()) {
    page->heading("Worst queries", 3);
    page->table(worst_table(t.worst_under, false));
    page->line("");
    page->table(worst_table(t.worst_over, true));
  }
}

}  // namespace

std::vector<std::string> findings(const TaskAudit& t, const std::vector<int32_t>& grid) {
  std::vector<std::string> out;
  const auto& a = t.clean;
  if (a.n == 0) return {"no clean question of the run was swept: nothing is known of the need"};
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
  const bool varies = t.prediction.spearman.value.has_value();
  if (!varies && !t.prediction.by_complexity)
    out.push_back(fmt::format("every question got the same k ({:.4g}): nothing is adaptive",
                              a.mean_k.value.value_or(0)));
  if (above(a.gain, 0))
    out.push_back(
        fmt::format("beats static k at equal FLOPs by {} of the questions", percent(a.gain)));
  else if (below(a.gain, 0))
    out.push_back(
        fmt::format("loses to static k at equal FLOPs: {} of the questions; a fixed k is "
                    "the better policy",
                    percent(a.gain)));
  else if (varies)
    out.push_back(fmt::format("not shown to beat static k at equal FLOPs: {} of the questions",
                              percent(a.gain)));
  if (a.under.value.value_or(0) > 0)
    out.push_back(fmt::format(
        "under-allocated: {}{}", percent(a.under),
        a.under_by_cap.value.value_or(0) > 0
            ? fmt::format(", {} by the latency cap: raise the cap before blaming the predictor",
                          plain(a.under_by_cap))
            : "; a smaller lambda buys them back"));
  if (a.over.value.value_or(0) > 0)
    out.push_back(fmt::format("over-allocated: {}, which wastes {} of the full FLOPs",
                              percent(a.over), plain(a.waste)));
  if (a.futile.value.value_or(0) > 0)
    out.push_back(fmt::format("{} of the FLOPs above k = {} went to questions that no k gets right",
                              plain(a.futile), grid.front()));
  if (varies && t.prediction.spearman.interval && !above(t.prediction.spearman, 0) &&
      !below(t.prediction.spearman, 0))
    out.push_back("what was granted does not go along with what was needed");
  for (const auto& d : t.drifts) {
    if (d.drift_holm >= kLevel || !d.drift.value) continue;
    const char* way = *d.drift.value > 0 ? "more" : "fewer";
    if (above(d.excess, 0) || below(d.excess, 0))
      out.push_back(fmt::format(
          "{}: {} experts ({} a query) than the same questions as they are, and the need does not "
          "follow (excess {}); sweep with this shift and train on it, or cap it",
          d.form, way, show(d.drift), show(d.excess)));
    else
      out.push_back(fmt::format("{}: {} experts ({} a query) than the same questions as they are{}",
                                d.form, way, show(d.drift),
                                d.n_need == 0 ? "; a sweep with this shift would tell whether they "
                                                "are needed"
                                              : "; the need moved as much"));
  }
  return out;
}

std::string render_audit(const Audit& audit, Format format) {
  if (format == Format::json) return audit_json(audit);
  Page page(format);
  page.line(fmt::format("Audit of {} under {}", audit.run_name, audit.policy));
  page.line(fmt::format("run {}, sweep {} at k = {}", audit.run_uuid, audit.sweep_uuid,
                        fmt::join(audit.grid, ",")));
  page.line(
      fmt::format("{} queries answered, {} failed, {} not graded; the need of {} is not known "
                  "at every k",
                  audit.answered, audit.failed, audit.ungraded, audit.not_swept));
  page.line(
      fmt::format("right = in at least {:.0f}% of the ways that the sweep asked; intervals: "
                  "95%, bootstrap over seed items",
                  100 * kReliable));
  for (const auto& t : audit.tasks) render_task(audit, t, &page);
  return page.take();
}

}  // namespace harness
