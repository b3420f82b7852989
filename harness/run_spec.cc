#include "harness/run_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "engine/policy/policy_error.h"
#include "engine/policy/policy_spec.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/shifted_forms.h"

namespace harness {
namespace {

// Source: Steele, Lea, Flood 2014 (SplitMix64).
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

uint64_t hash_text(uint64_t seed, const std::string& text) {
  uint64_t h = mix(seed);
  for (const char c : text) h = mix(h ^ static_cast<unsigned char>(c));
  return h;
}

}  // namespace

const char* scenario_name(Scenario s) { return s == Scenario::offline ? "offline" : "single"; }

std::string RunSpec::name() const {
  std::string out =
      kind == RunKind::sweep
          ? fmt::format("sweep {} {} k {}", model_label(model), fmt::join(tasks, ","),
                        fmt::join(grid, ","))
          : fmt::format("{} {} {}", model_label(model), fmt::join(tasks, ","), policy);
  if (ways > 0) out += fmt::format(" {} {}", ways, ways == 1 ? "way" : "ways");
  if (latency_cap_ms) out += fmt::format(" cap {}ms", *latency_cap_ms);
  if (gate_norm != engine::GateNorm::model)
    out += fmt::format(" gates {}", engine::gate_norm_name(gate_norm));
  if (!generate) out += " no generation";
  if (num_fewshot) out += fmt::format(" {}-shot", *num_fewshot);
  if (limit > 0) out += fmt::format(" limit {}", limit);
  if (sample > 0) out += fmt::format(" sample {} seed {}", sample, seed);
  if (!shifts.empty()) out += fmt::format(" shift {} seed {}", fmt::join(shifts, ","), shift_seed);
  if (shift_items > 0) out += fmt::format(" of {} items", shift_items);
  if (num_samples > 1) out += fmt::format(" x{}", num_samples);
  if (temperature && *temperature > 0) out += fmt::format(" T={} seed {}", *temperature, seed);
  if (top_p && *top_p < 1) out += fmt::format(" top-p {}", *top_p);
  if (max_new_tokens > 0) out += fmt::format(" {} new tokens", max_new_tokens);
  if (scenario == Scenario::single) out += " single";
  if (data == "embedded") out += " embedded";
  if (device.name != "cpu")
    out += fmt::format(" {} {}", device.name, engine::device_type_name(device.type));
  return out;
}

void RunSpec::validate() const {
  const auto refuse = [](const std::string& text) { throw UsageError(text); };
  if (tasks.empty()) refuse("--tasks: name at least one (moeval ls shows them)");
  for (size_t i = 0; i < tasks.size(); ++i)
    if (std::find(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(i), tasks[i]) !=
        tasks.begin() + static_cast<std::ptrdiff_t>(i))
      refuse(fmt::format("--tasks: '{}' is named twice", tasks[i]));
  if (num_fewshot && (*num_fewshot < 0 || *num_fewshot > 5))
    refuse(fmt::format("--num-fewshot {}: want 0 to 5 (MMLU has 5 demonstrations)", *num_fewshot));
  if (limit < 0) refuse(fmt::format("--limit {}: want a positive count", limit));
  if (ways < 0) refuse(fmt::format("--ways {}: want a positive count", ways));
  if (sample < 0) refuse(fmt::format("--sample {}: want a positive count", sample));
  if (num_samples < 1 || num_samples > 1000)
    refuse(fmt::format("--num-samples {}: want 1 to 1000", num_samples));
  if (temperature && !(*temperature >= 0 && *temperature <= 100))
    refuse(fmt::format("--temperature {}: want 0 (greedy) to 100", *temperature));
  if (top_p && !(*top_p > 0 && *top_p <= 1))
    refuse(fmt::format("--top-p {}: want a number in (0, 1]", *top_p));
  if (!gadget_file.empty() && shifts.empty())
    refuse(
        fmt::format("--gadget {}: want --shift too, with gadget_up or gadget_down", gadget_file));
  const auto parsed = parsed_shifts(*this);
  if (!gadget_file.empty() &&
      std::all_of(parsed.begin(), parsed.end(), [](const auto& s) { return s.text.empty(); }))
    refuse(
        fmt::format("--gadget {}: no --shift uses it, want gadget_up or gadget_down", gadget_file));
  if (shift_items < 0 || (shift_items > 0 && shifts.empty()))
    refuse(fmt::format("--shift-items {}: want a positive count, and --shift", shift_items));
  if (shift_seed > uint64_t{INT64_MAX})
    refuse(fmt::format("--shift-seed {}: want at most {}", shift_seed, INT64_MAX));
  if (max_new_tokens < 0)
    refuse(fmt::format("--max-new-tokens {}: want a positive count", max_new_tokens));
  if (num_samples > 1 && temperature.value_or(0.0) == 0)
    refuse(
        fmt::format("--num-samples {} at temperature 0 gives {} equal completions; add "
                    "--temperature 0.8",
                    num_samples, num_samples));
  if (threads < 0 || threads > 1024) refuse(fmt::format("--threads {}: want 1 to 1024", threads));
  if (streams < 1 || streams > 4096) refuse(fmt::format("--streams {}: want 1 to 4096", streams));
  if (batch_rows != 0 && (batch_rows < 16 || batch_rows > 65536))
    refuse(fmt::format("--batch-rows {}: want 16 to 65536, or 0", batch_rows));
  if (ranks < 1 || ranks > 64) refuse(fmt::format("--ranks {}: want 1 to 64", ranks));
  if (!is_device_name(device.name))
    refuse(fmt::format("--device {}: want {}", device.name, kDeviceNames));
  if (ranks > 1 && device.name.starts_with("cuda:"))
    refuse(
        fmt::format("--ranks {} and --device {}: thread ranks are of the CPU", ranks, device.name));
  if (kind == RunKind::policy) {
    try {
      engine::parse_policy(policy);
    } catch (const engine::PolicyError& e) {
      refuse(fmt::format("--{}", e.what()));
    }
  }
  if (kind == RunKind::sweep) {
    if (grid.empty()) refuse("--grid: name at least one k");
    for (size_t i = 0; i < grid.size(); ++i)
      if (grid[i] < 1 || grid[i] > engine::kMaxBudget || (i > 0 && grid[i] <= grid[i - 1]))
        refuse(fmt::format("--grid {}: want ascending numbers of 1 to {}", fmt::join(grid, ","),
                           engine::kMaxBudget));
  }
  if (latency_cap_ms && !(*latency_cap_ms > 0 && *latency_cap_ms <= 1e9))
    refuse(fmt::format("--latency-cap {}: want milliseconds", *latency_cap_ms));
  if (latency_cap_ms.has_value() == latency_file.empty())
    refuse("--latency-cap and --latency-coefficients belong together");
  if (new_run && !resume.empty()) refuse("--new-run and --resume exclude each other");
}

uint64_t attempt_seed(uint64_t run_seed, const std::string& sample_id, int repeat) {
  // Kept to 63 bits: SQLite integers are signed.
  return hash_text(mix(run_seed) + static_cast<uint64_t>(repeat), sample_id) >> 1;
}

std::vector<size_t> select_samples(const std::vector<std::string>& ids,
                                   const std::vector<std::string>& subsets, int64_t limit,
                                   int64_t sample, uint64_t seed) {
  std::vector<size_t> chosen;
  std::map<std::string, int64_t> taken;
  for (size_t i = 0; i < ids.size(); ++i)
    if (limit == 0 || taken[subsets[i]]++ < limit) chosen.push_back(i);
  if (sample > 0 && static_cast<size_t>(sample) < chosen.size()) {
    // The n smallest hashes: a sample that does not depend on the order of the data.
    std::vector<std::pair<uint64_t, size_t>> drawn;
    for (const size_t i : chosen) drawn.emplace_back(hash_text(seed, ids[i]), i);
    std::nth_element(drawn.begin(), drawn.begin() + sample, drawn.end());
    drawn.resize(static_cast<size_t>(sample));
    chosen.clear();
    for (const auto& d : drawn) chosen.push_back(d.second);
    std::sort(chosen.begin(), chosen.end());
  }
  return chosen;
}

}  // namespace harness
