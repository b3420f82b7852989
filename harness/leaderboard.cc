#include "harness/leaderboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datasets/mmlu_categories.h"
#include "harness/json_number.h"
#include "harness/text_table.h"
#include "tasks/category_report.h"
#include "tasks/task.h"

namespace harness {
namespace {

using nlohmann::json;

constexpr int kRankResamples = 10000;
constexpr uint64_t kRankSeed = 1;

std::string flops(const std::optional<double>& x) { return x ? si(*x) : "n/a"; }

// Where a row would else look like one of another kind.
std::string policy_text(const BoardInput& in) {
  std::string out = in.policy;
  if (in.gate_norm != "model") out += fmt::format(", gates {}", in.gate_norm);
  if (in.of_sweep) out += " (sweep)";
  return out;
}

std::string score_text(const BoardRow& r) { return r.n == 0 ? "n/a" : percent(r.score); }

std::string interval_text(const BoardRow& r) {
  if (!r.interval) return "n/a";
  return fmt::format("[{:.1f}, {:.1f}]", 100 * r.interval->lower, 100 * r.interval->upper);
}

std::string latency_text(const BoardRow& r, const std::optional<tasks::Percentile>& p) {
  if (p) return tasks::format_percentile(*p);
  return r.input->scenario == "single" ? "n/a" : "n/a (offline)";
}

json percentile_json(const std::optional<tasks::Percentile>& p) {
  if (!p) return nullptr;
  json j{{"n", p->n}, {"needs_n", p->needs_n}, {"ms", json_number(p->value)}};
  if (p->interval) j["interval_ms"] = {p->interval->lower, p->interval->upper};
  return j;
}

json row_json(const BoardRow& r) {
  const auto& in = *r.input;
  json j{{"run", in.run_uuid},
         {"name", in.run_name},
         {"started_at", in.started_at},
         {"status", in.status},
         {"model", in.model},
         {"policy", in.policy},
         {"gate_norm", in.gate_norm},
         {"of_sweep", in.of_sweep},
         {"task", in.task},
         {"data", in.data},
         {"metric", in.metric},
         {"num_fewshot", in.n_shot},
         {"scenario", in.scenario},
         {"chance", json_number(in.chance)},
         {"planned", in.planned},
         {"done", in.done},
         {"n", r.n},
         {"failed", in.failed},
         {"score", r.n == 0 ? json() : json(r.score)},
         {"interval_method", r.method},
         {"interval", r.interval ? json{r.interval->lower, r.interval->upper} : json()},
         {"stderr_pooled", json_number(r.stderr_pooled)},
         {"stderr_clustered", json_number(r.stderr_clustered)},
         {"macro", json_number(r.macro)},
         {"mean_k", json_number(r.mean_k)},
         {"useful_flops_per_query", json_number(r.flops_per_query)},
         {"useful_flops_per_correct", json_number(r.flops_per_correct)},
         {"p50", percentile_json(r.p50_ms)},
         {"p99", percentile_json(r.p99_ms)}};
  for (const auto& [k, value] : r.pass_at_k)
    j["pass_at_k"][std::to_string(k)] = {
        {"value", value.first},
        {"interval", {value.second.interval.lower, value.second.interval.upper}}};
  for (const auto& g : r.subjects)
    if (r.subjects.size() > 1)
      j["subjects"][g.name] = {{"n", g.values.size()},
                               {"score", json_number(tasks::mean(g.values))}};
  return j;
}

std::map<std::string, std::string> category_map(datasets::MmluCategoryMap map) {
  std::map<std::string, std::string> out;
  for (const auto& s : datasets::mmlu_subjects())
    out[std::string(s.name)] = datasets::mmlu_category_name(
        map == datasets::MmluCategoryMap::original ? s.original : s.lm_eval);
  return out;
}

std::string interval_of(const tasks::Group& g) {
  const auto right =
      std::count_if(g.values.begin(), g.values.end(), [](double v) { return v > 0; });
  const auto w = tasks::wilson_interval(right, static_cast<int64_t>(g.values.size()));
  return w ? fmt::format("[{:.1f}, {:.1f}]", 100 * w->lower, 100 * w->upper) : "n/a";
}

// Categories under both maps, then subjects.
std::string subject_tables(const BoardRow& r, Format format) {
  const auto text = [format](const TextTable& t) {
    return format == Format::markdown ? t.markdown() : t.terminal();
  };
  std::string out =
      fmt::format("\n{} on {}, by category and subject\n\n", r.input->model, r.input->task);
  TextTable categories({{"map"},
                        {"category"},
                        {"subjects", Align::right},
                        {"n", Align::right},
                        {"micro", Align::right},
                        {"macro", Align::right},
                        {"stderr (pooled)", Align::right}});
  for (const auto map : {datasets::MmluCategoryMap::original, datasets::MmluCategoryMap::lm_eval})
    for (const auto& c : tasks::score_categories(r.subjects, category_map(map)))
      categories.add({std::string(datasets::mmlu_category_map_name(map)), c.category,
                      std::to_string(c.n_subjects), std::to_string(c.n),
                      c.micro ? percent(*c.micro) : "n/a", c.macro ? percent(*c.macro) : "n/a",
                      c.pooled_standard_error ? percent(*c.pooled_standard_error) : "n/a"});
  TextTable subjects({{"subject"}, {"n", Align::right}, {"score", Align::right}, {"95% interval"}});
  for (const auto& g : r.subjects)
    subjects.add({g.name, std::to_string(g.values.size()),
                  g.values.empty() ? "n/a" : percent(*tasks::mean(g.values)), interval_of(g)});
  return out + text(categories) + "\n" + text(subjects);
}

}  // namespace

BoardRow make_row(const BoardInput& in) {
  BoardRow r;
  r.input = &in;
  std::map<std::string, tasks::ProblemSamples> problems;
  std::map<std::string, std::string> cluster_of;
  std::vector<double> latencies_ms;
  double flops_sum = 0, k_sum = 0;
  int64_t flops_n = 0, right = 0, k_n = 0;
  for (const auto& a : in.attempts) {
    if (a.useful_flops) {
      flops_sum += static_cast<double>(*a.useful_flops);
      ++flops_n;
    }
    if (a.k_mean) {
      k_sum += *a.k_mean;
      ++k_n;
    }
    if (a.latency_us && in.scenario == "single")
      latencies_ms.push_back(static_cast<double>(*a.latency_us) * 1e-3);
    if (!a.correct) continue;
    auto& p = problems[a.sample];
    ++p.n;
    p.c += *a.correct ? 1 : 0;
    right += *a.correct ? 1 : 0;
    cluster_of[a.sample] = a.cluster;
  }
  r.n = static_cast<int64_t>(problems.size());
  std::map<std::string, tasks::Group> groups;
  std::vector<double> values;
  std::vector<tasks::ProblemSamples> samples;
  bool repeated = false;
  int fewest = 1 << 30;
  for (const auto& [sample, p] : problems) {
    const double value = static_cast<double>(p.c) / p.n;
    values.push_back(value);
    samples.push_back(p);
    repeated |= p.n > 1;
    fewest = std::min(fewest, p.n);
    auto& g = groups[cluster_of[sample]];
    g.name = cluster_of[sample];
    g.values.push_back(value);
  }
  // A code problem is its own cluster; subjects are clusters of several questions.
  if (static_cast<int64_t>(groups.size()) < r.n || in.suite == "mmlu")
    for (auto& [name, g] : groups) r.subjects.push_back(std::move(g));
  if (r.n > 0) {
    r.score = *tasks::mean(values);
    if (repeated) {
      if (const auto b = tasks::bootstrap_mean(values, kRankResamples, kRankSeed))
        r.interval = b->interval;
      r.method = "bootstrap over problems";
    } else {
      r.interval = tasks::wilson_interval(right, r.n);
      r.method = "wilson";
    }
    for (const int k : {5, 10, 100})
      if (repeated && fewest >= k)
        if (const auto v = tasks::pass_at_k(samples, k))
          if (const auto b = tasks::bootstrap_mean(*v, kRankResamples, kRankSeed))
            r.pass_at_k[k] = {*tasks::mean(*v), *b};
  }
  if (r.subjects.size() > 1) {
    r.macro = tasks::macro_mean(r.subjects);
    r.stderr_pooled = tasks::pooled_standard_error(r.subjects);
    r.stderr_clustered = tasks::clustered_standard_error(r.subjects);
  } else {
    r.stderr_pooled = tasks::standard_error(values);
  }
  if (k_n > 0) r.mean_k = k_sum / static_cast<double>(k_n);
  if (flops_n > 0) r.flops_per_query = flops_sum / static_cast<double>(flops_n);
  if (flops_n > 0 && right > 0) r.flops_per_correct = flops_sum / static_cast<double>(right);
  if (!latencies_ms.empty()) {
    r.p50_ms = tasks::percentile(latencies_ms, 0.5);
    r.p99_ms = tasks::percentile(latencies_ms, 0.99);
  }
  return r;
}

std::string render_board(const std::vector<BoardRow>& rows, Format format, bool subjects) {
  if (format == Format::json) {
    json j = json::array();
    for (const auto& r : rows) j.push_back(row_json(r));
    return json{{"bootstrap_seed", kRankSeed}, {"rows", j}}.dump(2) + "\n";
  }
  std::vector<TextTable::Column> columns = {{"task"},
                                            {"model"},
                                            {"policy"},
                                            {"shots", Align::right},
                                            {"n", Align::right},
                                            {"metric"},
                                            {"score", Align::right},
                                            {"95% interval"},
                                            {"macro", Align::right},
                                            {"chance", Align::right},
                                            {"mean k", Align::right},
                                            {"FLOPs/query", Align::right},
                                            {"p50 ms", Align::right},
                                            {"p99 ms", Align::right},
                                            {"failed", Align::right},
                                            {"data"},
                                            {"status"}};
  // The mean of a dense model's experts says nothing.
  constexpr std::ptrdiff_t kMeanK = 10;
  const bool dense = std::all_of(rows.begin(), rows.end(),
                                 [](const BoardRow& r) { return r.input->n_experts <= 1; });
  if (dense) columns.erase(columns.begin() + kMeanK);
  TextTable table(columns);
  const auto add = [&](std::vector<std::string> cells) {
    if (dense) cells.erase(cells.begin() + kMeanK);
    table.add(std::move(cells));
  };
  for (const auto& r : rows) {
    const auto& in = *r.input;
    // Of what is not marked, n counts the prompts; the score is n/a anyway.
    const bool marked = in.metric != tasks::kNoMetric;
    add({in.task, in.model, policy_text(in), std::to_string(in.n_shot),
         std::to_string(marked ? r.n : static_cast<int64_t>(in.attempts.size())), in.metric,
         score_text(r), interval_text(r), r.macro ? percent(*r.macro) : "n/a",
         in.chance ? fmt::format("{:.2f}", *in.chance) : "n/a",
         r.mean_k ? fmt::format("{:.2f}", *r.mean_k) : "n/a", flops(r.flops_per_query),
         latency_text(r, r.p50_ms), latency_text(r, r.p99_ms), std::to_string(in.failed), in.data,
         in.done < in.planned ? fmt::format("{} {}/{}", in.status, in.done, in.planned)
                              : in.status});
    for (const auto& [k, value] : r.pass_at_k)
      add({"", "", "", "", std::to_string(r.n), fmt::format("pass@{}", k), percent(value.first),
           fmt::format("[{:.1f}, {:.1f}]", 100 * value.second.interval.lower,
                       100 * value.second.interval.upper),
           "", "", "", "", "", "", "", "", ""});
  }
  std::string out = format == Format::markdown ? table.markdown() : table.terminal();
  if (subjects)
    for (const auto& r : rows)
      if (r.subjects.size() > 1) out += subject_tables(r, format);
  return out;
}

}  // namespace harness
