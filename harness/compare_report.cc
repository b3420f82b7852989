#include "harness/compare_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/json_number.h"
#include "harness/text_table.h"

namespace harness {
namespace {

using nlohmann::json;

constexpr size_t kShownHash = 12;

std::string laid_out(const TextTable& t, Format format) {
  return format == Format::markdown ? t.markdown() : t.terminal();
}

std::string heading(const std::string& text, Format format) {
  return format == Format::markdown ? fmt::format("\n### {}\n\n", text)
                                    : fmt::format("\n{}\n\n", text);
}

// One line of text; a paragraph of its own in Markdown.
std::string line(const std::string& text, Format format) {
  return text + (format == Format::markdown ? "\n\n" : "\n");
}

std::string short_hash(const std::string& s) {
  const bool hash = s.size() == 64 && s.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hash ? s.substr(0, kShownHash) : printable(s);
}

std::string change_text(const std::optional<double>& x) {
  return x ? fmt::format("{:.2f}%", 100 * *x) : "n/a";
}

std::string p_value(double p) {
  return p < 0.0001 ? fmt::format("{:.1e}", p) : fmt::format("{:.4f}", p);
}

std::string score_table(const Comparison& c, Format format) {
  TextTable t({{"task"},
               {"metric"},
               {"n", Align::right},
               {"chance", Align::right},
               {"A", Align::right},
               {"B", Align::right},
               {"B - A, pp", Align::right},
               {"95% interval"},
               {"p (McNemar)", Align::right},
               {"mid-p", Align::right},
               {"detectable, pp", Align::right}});
  for (const TaskComparison& x : c.tasks) {
    const auto psi = x.table ? static_cast<double>(x.table->discordant()) /
                                   static_cast<double>(std::max<int64_t>(1, x.table->n()))
                             : 0.0;
    t.add({x.task, x.metric, std::to_string(x.queries.size()),
           x.chance ? fmt::format("{:.2f}", *x.chance) : "n/a", change_text(x.score_a),
           change_text(x.score_b), x.difference ? points(x.difference->difference) : "n/a",
           x.difference ? points(x.difference->interval) : "n/a",
           x.mcnemar ? p_value(x.mcnemar->exact_p) : "n/a",
           x.mcnemar ? p_value(x.mcnemar->mid_p) : "n/a",
           psi > 0 ? fmt::format("{:.2f}", 100 * tasks::detectable_difference(x.table->n(), psi))
                   : "n/a"});
  }
  return laid_out(t, format);
}

// What a reader must know about the figures of a task.
std::vector<std::string> notes(const TaskComparison& x) {
  std::vector<std::string> out;
  const auto note = [&](const std::string& text) { out.push_back(x.task + ": " + text); };
  if (!x.same_data) {
    note("the data sets differ, so nothing is paired");
    return out;
  }
  if (x.only_a + x.only_b > 0)
    note(fmt::format("{} attempts are only in A, {} only in B; they are left out", x.only_a,
                     x.only_b));
  if (x.ungraded > 0)
    note(fmt::format("{} pairs are not marked on both sides and left out", x.ungraded));
  if (x.prompts_differ > 0)
    note(fmt::format("the prompts of {} of {} pairs are not the same", x.prompts_differ,
                     x.attempts.size()));
  if (x.table && x.table->discordant() > 0 && x.table->discordant() < tasks::kFewestDiscordant)
    note(fmt::format("{} disagreements are too few: none could be significant at 5%",
                     x.table->discordant()));
  if (x.difference && x.difference->method != tasks::IntervalMethod::score)
    note(fmt::format(
        "interval by {} over {} questions, {} resamples, seed {}{}",
        tasks::interval_method_name(x.difference->method), x.difference->n_clusters,
        tasks::kPairedResamples, tasks::kPairedSeed,
        x.repeated ? "; repeats are averaged, McNemar's test is for single verdicts"
        : x.table
            ? ""
            : "; several forms of a question are no independent pairs, so no McNemar's test"));
  if (x.by_subject)
    note(fmt::format(
        "as a claim about subjects like these {}: {} pp {} ({} over subjects, seed {})",
        x.by_subject->n_clusters, points(x.by_subject->difference), points(x.by_subject->interval),
        tasks::interval_method_name(x.by_subject->method), tasks::kPairedSeed));
  return out;
}

std::string two_by_two(const TaskComparison& x, Format format) {
  if (!x.table) return {};
  TextTable t({{x.task}, {"B right", Align::right}, {"B wrong", Align::right}});
  t.add({"A right", std::to_string(x.table->both_right), std::to_string(x.table->right_to_wrong)});
  t.add({"A wrong", std::to_string(x.table->wrong_to_right), std::to_string(x.table->both_wrong)});
  return "\n" + laid_out(t, format);
}

std::string verdict_text(double score, bool repeated) {
  if (repeated) return fmt::format("{:.2f}", score);
  return score == 1 ? "right" : "wrong";
}

std::string count_text(const std::optional<int64_t>& k) { return k ? std::to_string(*k) : "n/a"; }

std::string flip_list(const TaskComparison& x, Format format, int64_t max_flips) {
  if (x.flips.empty()) return {};
  int64_t worse = 0;
  for (const size_t f : x.flips) worse += x.queries[f].b < x.queries[f].a;
  const auto n = static_cast<int64_t>(x.flips.size());
  std::string out = heading(
      fmt::format("{}: {} flips, {} to worse, {} to better", x.task, n, worse, n - worse), format);
  // Both directions get their share of the list.
  std::vector<size_t> shown;
  const int64_t better = n - worse;
  const int64_t half = max_flips / 2;
  const int64_t n_worse = std::min(worse, std::max(max_flips - better, max_flips - half));
  const int64_t n_better = std::min(better, max_flips - n_worse);
  for (int64_t i = 0; i < n_worse; ++i) shown.push_back(x.flips[static_cast<size_t>(i)]);
  for (int64_t i = 0; i < n_better; ++i) shown.push_back(x.flips[static_cast<size_t>(worse + i)]);
  TextTable t({{"sample"},
               {"shift"},
               {"A"},
               {"B"},
               {"k A", Align::right},
               {"k B", Align::right},
               {"answer A"},
               {"answer B"}});
  for (const size_t f : shown) {
    const PairedQuery& q = x.queries[f];
    const PairedAttempt& p = x.attempts[q.first];
    t.add({printable(p.sample), printable(p.shift), verdict_text(q.a, x.repeated),
           verdict_text(q.b, x.repeated), count_text(p.a.k), count_text(p.b.k),
           x.repeated ? "" : printable(p.a.answer), x.repeated ? "" : printable(p.b.answer)});
  }
  if (!shown.empty()) out += laid_out(t, format);
  const int64_t left_out = n - n_worse - n_better;
  if (left_out > 0)
    out += "\n" + line(fmt::format("{} more flips are left out (--max-flips)", left_out), format);
  return out;
}

// Only where some k is not 1: a dense model has nothing to move.
std::string transitions(const TaskComparison& x, Format format) {
  std::set<int64_t> rows, columns;
  for (const auto& [k, n] : x.k_transitions) {
    rows.insert(k.first);
    columns.insert(k.second);
  }
  if (rows.empty() || (rows == std::set<int64_t>{1} && columns == rows)) return {};
  std::vector<TextTable::Column> titles = {{"k of A \\ k of B"}};
  for (const int64_t k : columns) titles.push_back({std::to_string(k), Align::right});
  TextTable t(std::move(titles));
  for (const int64_t from : rows) {
    std::vector<std::string> cells = {std::to_string(from)};
    for (const int64_t to : columns) {
      const auto at = x.k_transitions.find({from, to});
      cells.push_back(at == x.k_transitions.end() ? "0" : std::to_string(at->second));
    }
    t.add(std::move(cells));
  }
  return heading(x.task + ": experts granted, attempts", format) + laid_out(t, format);
}

std::string relative(double a, double b) {
  if (a == 0) return b == 0 ? "0%" : "n/a";
  return fmt::format("{:+.2f}%", 100 * (b - a) / a);
}

std::string compute_table(const Comparison& c, Format format) {
  TextTable t({{"task"},
               {"per query"},
               {"n", Align::right},
               {"A", Align::right},
               {"B", Align::right},
               {"B - A", Align::right},
               {"relative", Align::right},
               {"queries that differ", Align::right}});
  for (const TaskComparison& x : c.tasks) {
    const auto add = [&](const char* what, const MeasuredPair& m, double a, double b, bool flops) {
      if (m.n == 0) {
        t.add({x.task, what, "0", "n/a", "n/a", "n/a", "n/a", "n/a"});
        return;
      }
      const auto text = [flops](double v) { return flops ? si(v) : fmt::format("{:.3f}", v); };
      t.add({x.task, what, std::to_string(m.n), text(a), text(b), text(b - a), relative(a, b),
             std::to_string(m.n_differ)});
    };
    add("mean k", x.k_mean, x.k_mean.a, x.k_mean.b, false);
    add("useful FLOPs", x.useful_flops, x.useful_flops.a, x.useful_flops.b, true);
    add("executed FLOPs", x.executed_flops, x.executed_a(), x.executed_b(), true);
  }
  return laid_out(t, format);
}

json difference_json(const std::optional<tasks::PairedDifference>& d) {
  if (!d) return nullptr;
  return {{"difference", d->difference},
          {"stderr", d->standard_error},
          {"interval", {d->interval.lower, d->interval.upper}},
          {"level", 0.95},
          {"method", tasks::interval_method_name(d->method)},
          {"n", d->n},
          {"clusters", d->n_clusters}};
}

json measured_json(const MeasuredPair& m, double a, double b) {
  if (m.n == 0) return nullptr;
  return {{"n", m.n}, {"a", a}, {"b", b}, {"n_differ", m.n_differ}};
}

json task_json(const TaskComparison& x, int64_t max_flips) {
  json j{{"task", x.task},
         {"metric", x.metric},
         {"chance", json_number(x.chance)},
         {"same_data", x.same_data},
         {"n", x.queries.size()},
         {"attempts", x.attempts.size()},
         {"only_a", x.only_a},
         {"only_b", x.only_b},
         {"ungraded", x.ungraded},
         {"prompts_differ", x.prompts_differ},
         {"score_a", json_number(x.score_a)},
         {"score_b", json_number(x.score_b)},
         {"difference", difference_json(x.difference)},
         {"by_subject", difference_json(x.by_subject)},
         {"mean_k", measured_json(x.k_mean, x.k_mean.a, x.k_mean.b)},
         {"useful_flops", measured_json(x.useful_flops, x.useful_flops.a, x.useful_flops.b)},
         {"executed_flops", measured_json(x.executed_flops, x.executed_a(), x.executed_b())},
         {"n_flips", x.flips.size()},
         {"flips", json::array()},
         {"k_transitions", json::array()},
         {"notes", notes(x)}};
  if (x.table)
    j["table"] = {{"both_right", x.table->both_right},
                  {"right_to_wrong", x.table->right_to_wrong},
                  {"wrong_to_right", x.table->wrong_to_right},
                  {"both_wrong", x.table->both_wrong}};
  if (x.mcnemar) j["mcnemar"] = {{"exact_p", x.mcnemar->exact_p}, {"mid_p", x.mcnemar->mid_p}};
  for (size_t i = 0; i < x.flips.size() && static_cast<int64_t>(i) < max_flips; ++i) {
    const PairedQuery& q = x.queries[x.flips[i]];
    const PairedAttempt& p = x.attempts[q.first];
    j["flips"].push_back({{"sample", p.sample},
                          {"shift", p.shift},
                          {"a", q.a},
                          {"b", q.b},
                          {"k_a", p.a.k ? json(*p.a.k) : json()},
                          {"k_b", p.b.k ? json(*p.b.k) : json()},
                          {"answer_a", p.a.answer},
                          {"answer_b", p.b.answer}});
  }
  for (const auto& [k, n] : x.k_transitions)
    j["k_transitions"].push_back({{"k_a", k.first}, {"k_b", k.second}, {"attempts", n}});
  return j;
}

json run_json(const ComparedRun& r) {
  return {{"run", r.info.run.run_uuid}, {"db", r.db},
          {"status", r.info.status},    {"started_at", r.info.started_at},
          {"model", r.info.model.name}, {"policy", r.policy.label}};
}

json comparison_json(const Comparison& c, int64_t max_flips) {
  json j{{"schema_version", 1},
         {"a", run_json(c.a)},
         {"b", run_json(c.b)},
         {"facts", json::array()},
         {"only_a", c.only_a},
         {"only_b", c.only_b},
         {"tasks", json::array()},
         {"bootstrap", {{"resamples", tasks::kPairedResamples}, {"seed", tasks::kPairedSeed}}}};
  for (const Fact& f : c.facts)
    j["facts"].push_back(
        {{"what", f.what}, {"task", f.task}, {"a", f.a}, {"b", f.b}, {"same", f.same}});
  for (const TaskComparison& x : c.tasks) j["tasks"].push_back(task_json(x, max_flips));
  return j;
}

}  // namespace

std::string points(double difference) {
  // No "-0.00": the sign of nothing is noise.
  const std::string text = fmt::format("{:+.2f}", 100 * difference);
  return text == "-0.00" || text == "+0.00" ? "0.00" : text;
}

std::string points(const tasks::Interval& i) {
  return fmt::format("[{}, {}]", points(i.lower), points(i.upper));
}

std::string render_facts(const Comparison& c, Format format) {
  TextTable runs({{""}, {"run"}, {"model"}, {"policy"}, {"started"}, {"status"}});
  const auto add = [&](const char* name, const ComparedRun& r) {
    runs.add({name, r.info.run.run_uuid, printable(r.info.model.name), printable(r.policy.label),
              r.info.started_at, r.info.status});
  };
  add("A", c.a);
  add("B", c.b);
  std::string out = laid_out(runs, format) + "\n";
  TextTable differ({{"differs"}, {"task"}, {"A"}, {"B"}});
  std::vector<std::string> same;
  for (const std::string& what : kFacts) {
    bool all_same = true;
    for (const Fact& f : c.facts)
      if (f.what == what && !f.same) {
        all_same = false;
        differ.add({f.what, f.task, short_hash(f.a), short_hash(f.b)});
      }
    if (all_same) same.push_back(what);
  }
  if (!differ.empty()) out += laid_out(differ, format) + "\n";
  out += line(fmt::format("the same: {}", fmt::join(same, ", ")), format);
  for (const auto& [name, list] : {std::pair{"A", &c.only_a}, std::pair{"B", &c.only_b}})
    if (!list->empty())
      out += line(fmt::format("only in {}: {}", name, fmt::join(*list, ", ")), format);
  return out;
}

std::string render_comparison(const Comparison& c, Format format, int64_t max_flips) {
  if (format == Format::json)
    return comparison_json(c, max_flips).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  std::string out = render_facts(c, format) + "\n" + score_table(c, format);
  std::string said;
  for (const TaskComparison& x : c.tasks)
    for (const std::string& note : notes(x)) said += line(note, format);
  if (!said.empty()) out += "\n" + said;
  for (const TaskComparison& x : c.tasks) out += two_by_two(x, format);
  out += heading("compute", format) + compute_table(c, format);
  for (const TaskComparison& x : c.tasks) out += transitions(x, format);
  for (const TaskComparison& x : c.tasks) out += flip_list(x, format, max_flips);
  return out;
}

}  // namespace harness
