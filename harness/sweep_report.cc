#include "harness/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/allocation.h"
#include "harness/exit_code.h"
#include "harness/json_number.h"
#include "harness/text_table.h"
#include "results/queries.h"

namespace harness {
namespace {

using nlohmann::json;

constexpr int kSweepResamples = 10000;
constexpr uint64_t kSweepSeed = 1;

// A mean over what was measured; empty when nothing was.
struct Mean {
  double sum = 0;
  int64_t n = 0;
  void add(const std::optional<double>& x) {
    if (!x) return;
    sum += *x;
    ++n;
  }
  std::optional<double> value() const {
    return n == 0 ? std::nullopt : std::optional(sum / static_cast<double>(n));
  }
};

struct CellSums {
  Mean nll, margin, flops, k;
  int64_t attempts = 0, failed = 0;
};

// Of the mean over questions. Several variants: resampling says nothing where all questions are
// alike.
std::optional<tasks::Interval> interval_of(const std::vector<double>& values, bool several) {
  if (!several) {
    const auto right = std::count(values.begin(), values.end(), 1.0);
    return tasks::wilson_interval(right, static_cast<int64_t>(values.size()));
  }
  const bool alike =
      std::all_of(values.begin(), values.end(), [&](double v) { return v == values.front(); });
  const auto b = tasks::bootstrap_mean(values, kSweepResamples, kSweepSeed);
  return b && !alike ? std::optional(b->interval) : std::nullopt;
}

std::string text(const std::optional<double>& x, const char* format) {
  return x ? fmt::format(fmt::runtime(format), *x) : "n/a";
}

struct NeedCounts {
  std::map<Need, int64_t> n;
  int64_t total = 0, unknown = 0;
};

std::map<std::string, NeedCounts> need_counts(const Sweep& s) {
  std::map<std::string, NeedCounts> out;
  for (const auto& q : s.questions) {
    auto& c = out[q.shift == "clean" ? q.task : q.task + " " + q.shift];
    if (const auto need = q.need(s.grid)) {
      ++c.n[*need];
      ++c.total;
    } else {
      ++c.unknown;
    }
  }
  return out;
}

std::string share(const NeedCounts& c, Need need) {
  const auto found = c.n.find(need);
  const int64_t n = found == c.n.end() ? 0 : found->second;
  const auto w = tasks::wilson_interval(n, c.total);
  if (!w) return "n/a";
  return fmt::format("{:.1f}% [{:.1f}, {:.1f}]",
                     100.0 * static_cast<double>(n) / static_cast<double>(c.total), 100 * w->lower,
                     100 * w->upper);
}

std::string render_json(const Sweep& s) {
  json j{{"run", s.run_uuid}, {"status", s.status},           {"model", s.model},
         {"grid", s.grid},    {"bootstrap_seed", kSweepSeed}, {"reliable_from", kReliable}};
  for (const auto& c : s.cells)
    j["cells"].push_back(
        {{"task", c.task},
         {"shift", c.shift},
         {"k", c.k},
         {"chance", json_number(c.chance)},
         {"n", c.n},
         {"attempts", c.attempts},
         {"failed", c.failed},
         {"accuracy", json_number(c.accuracy)},
         {"interval", c.interval ? json{c.interval->lower, c.interval->upper} : json()},
         {"gold_nll_nats", json_number(c.gold_nll)},
         {"margin_nats", json_number(c.margin)},
         {"useful_flops_per_query", json_number(c.flops)},
         {"mean_k", json_number(c.mean_k)}});
  for (const auto& [task, counts] : need_counts(s)) {
    json& t = j["needs"][task];
    for (const Need need : kNeeds) {
      const auto found = counts.n.find(need);
      t[need_name(need)] = found == counts.n.end() ? 0 : found->second;
    }
    t["n"] = counts.total;
    t["unknown"] = counts.unknown;
  }
  return j.dump(2) + "\n";
}

}  // namespace

const char* need_name(Need n) {
  static constexpr const char* kNames[] = {"easy", "elastic", "never", "inverse"};
  return kNames[static_cast<int>(n)];
}

bool SweepQuestion::reliable(int32_t k) const {
  const auto found = correct.find(k);
  return found != correct.end() && found->second >= kReliable;
}

std::optional<int32_t> SweepQuestion::k_first(const std::vector<int32_t>& grid) const {
  for (const int32_t k : grid)
    if (reliable(k)) return k;
  return std::nullopt;
}

std::optional<int32_t> SweepQuestion::k_stable(const std::vector<int32_t>& grid) const {
  std::optional<int32_t> out;
  for (auto k = grid.rbegin(); k != grid.rend() && reliable(*k); ++k) out = *k;
  return out;
}

std::optional<int32_t> SweepQuestion::k_stable_as_is(const std::vector<int32_t>& grid) const {
  std::optional<int32_t> out;
  for (auto k = grid.rbegin(); k != grid.rend(); ++k) {
    const auto found = as_is.find(*k);
    if (found == as_is.end() || found->second < kReliable) break;
    out = *k;
  }
  return out;
}

std::optional<Need> SweepQuestion::need(const std::vector<int32_t>& grid) const {
  for (const int32_t k : grid)
    if (!correct.contains(k)) return std::nullopt;
  if (const auto stable = k_stable(grid))
    return *stable == grid.front() ? Need::easy : Need::elastic;
  return k_first(grid) ? Need::inverse : Need::never;
}

bool is_other_question(const std::string& family) {
  return family != "clean" && family != "option_order" && family != "wording";
}

std::string question_shift(const results::StoredAttempt& a) {
  if (!is_other_question(a.shift.family)) return "clean";
  std::string out = fmt::format("{}:{}", a.shift.name, a.shift.severity);
  if (a.shift_seed == 0) return out;
  // A gadget's seed stands for its text.
  if (a.shift.name.find("gadget") != std::string::npos)
    return out + fmt::format(" #{:06x}", a.shift_seed);
  return out + fmt::format(" seed {}", a.shift_seed);
}

Sweep read_sweep(const results::ResultStore& store, const std::string& run_uuid) {
  const auto run = results::find_run(store, run_uuid);
  if (run.run.kind != "sweep")
    throw UsageError(fmt::format("run {} is no sweep", run.run.run_uuid));
  Sweep s;
  s.run_uuid = run.run.run_uuid;
  s.status = run.status;
  s.model = run.model.name;
  s.weights_sha256 = run.model.weights_sha256;
  std::set<int32_t> ks;
  for (const auto& t : results::tasks_of_run(store, run.run_id)) {
    struct Seen {
      SweepQuestion question;
      std::map<int32_t, Mean> flops, nll, as_is, as_is_nll;
    };
    std::map<std::pair<std::string, std::string>, Seen> questions;  // by sample and shift
    std::map<std::pair<std::string, int32_t>, CellSums> sums;       // by shift and k
    results::AttemptFilter filter;
    filter.run_id = run.run_id;
    filter.task_id = t.task_id;
    filter.with_text = false;
    results::for_each_attempt(store, filter, [&](const results::StoredAttempt& a) {
      if (!a.policy.k_fixed) return true;
      const auto k = static_cast<int32_t>(*a.policy.k_fixed);
      ks.insert(k);
      const auto shift = question_shift(a);
      auto& c = sums[{shift, k}];
      if (a.attempt.status == "infra") return true;
      ++c.attempts;
      c.failed += a.attempt.status != "ok";
      if (a.attempt.useful) c.flops.add(static_cast<double>(a.attempt.useful->total()));
      c.k.add(a.attempt.k_mean);
      Seen& seen = questions[{a.sample.source_key, shift}];
      auto& q = seen.question;
      q.task = t.task.name;
      q.shift = shift;
      q.sample = a.sample.source_key;
      q.cluster = a.sample.cluster.value_or(a.sample.source_key);
      const bool other_way = shift == "clean" && a.shift.family != "clean";
      if (a.attempt.useful && !other_way)
        seen.flops[k].add(static_cast<double>(a.attempt.useful->total()));
      if (!a.verdict) return true;
      seen.nll[k].add(a.verdict->gold_nll_nats);
      if (!other_way) seen.as_is_nll[k].add(a.verdict->gold_nll_nats);
      c.nll.add(a.verdict->gold_nll_nats);
      c.margin.add(a.verdict->margin_nats);
      if (!a.verdict->correct) return true;
      const auto right = static_cast<double>(*a.verdict->correct);
      auto& share = q.correct[k];
      const int n = ++q.graded[k];
      share += (right - share) / n;
      if (!other_way) seen.as_is[k].add(right);
      return true;
    });
    for (const auto& [key, c] : sums) {
      const auto& [shift, k] = key;
      SweepCell cell;
      cell.task = t.task.name;
      cell.shift = shift;
      cell.k = k;
      cell.chance = t.task.chance;
      cell.attempts = c.attempts;
      cell.failed = c.failed;
      std::vector<double> values;
      bool several = false;
      for (const auto& [id, seen] : questions) {
        const auto& q = seen.question;
        const auto found = q.correct.find(k);
        if (q.shift != shift || found == q.correct.end()) continue;
        values.push_back(found->second);
        several |= q.graded.at(k) > 1;
      }
      cell.n = static_cast<int64_t>(values.size());
      cell.accuracy = tasks::mean(values);
      cell.interval = interval_of(values, several);
      cell.gold_nll = c.nll.value();
      cell.margin = c.margin.value();
      cell.flops = c.flops.value();
      cell.mean_k = c.k.value();
      s.cells.push_back(std::move(cell));
    }
    for (auto& [id, seen] : questions) {
      for (const auto& [k, m] : seen.flops)
        if (m.value()) seen.question.flops[k] = *m.value();
      for (const auto& [k, m] : seen.as_is)
        if (m.value()) seen.question.as_is[k] = *m.value();
      for (const auto& [k, m] : seen.nll)
        if (m.value()) seen.question.gold_nll[k] = *m.value();
      for (const auto& [k, m] : seen.as_is_nll)
        if (m.value()) seen.question.as_is_nll[k] = *m.value();
      s.questions.push_back(std::move(seen.question));
    }
  }
  s.grid.assign(ks.begin(), ks.end());
  return s;
}

std::string render_sweep(const Sweep& s, Format format) {
  if (format == Format::json) return render_json(s);
  const auto as = [format](const TextTable& t) {
    return format == Format::markdown ? t.markdown() : t.terminal();
  };
  const bool shifted = std::any_of(s.cells.begin(), s.cells.end(),
                                   [](const SweepCell& c) { return c.shift != "clean"; });
  TextTable table({{shifted ? "task, shift" : "task"},
                   {"k", Align::right},
                   {"n", Align::right},
                   {"accuracy", Align::right},
                   {"95% interval"},
                   {"chance", Align::right},
                   {"gold NLL", Align::right},
                   {"margin", Align::right},
                   {"FLOPs/query", Align::right},
                   {"mean k", Align::right},
                   {"failed", Align::right}});
  for (const auto& c : s.cells)
    table.add({c.shift == "clean" ? c.task : c.task + " " + c.shift, std::to_string(c.k),
               std::to_string(c.n), c.accuracy ? fmt::format("{:.1f}%", 100 * *c.accuracy) : "n/a",
               c.interval ? fmt::format("[{:.1f}, {:.1f}]", 100 * c.interval->lower,
                                        100 * c.interval->upper)
                          : "n/a",
               text(c.chance, "{:.2f}"), text(c.gold_nll, "{:.3f}"), text(c.margin, "{:.3f}"),
               c.flops ? si(*c.flops) : "n/a", text(c.mean_k, "{:.2f}"), std::to_string(c.failed)});
  TextTable needs({{"task"}, {"n", Align::right}, {"easy"}, {"elastic"}, {"never"}, {"inverse"}});
  for (const auto& [task, c] : need_counts(s)) {
    std::vector<std::string> cells{task, std::to_string(c.total)};
    for (const Need need : kNeeds) cells.push_back(share(c, need));
    needs.add(std::move(cells));
  }
  return as(table) +
         fmt::format(
             "\nQuestions by what they need (right: in at least {:.0f}% of the ways they "
             "were asked)\n\n",
             100 * kReliable) +
         as(needs);
}

}  // namespace harness
