#include "harness/outcome_table.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace harness {
namespace {

using engine::train::Outcome;

// Of the oracle's gain; nothing where the oracle gains nothing.
std::optional<double> share_of(const Outcome& p, const Outcome& oracle) {
  return oracle.gain > 1e-12 ? std::optional(p.gain / oracle.gain) : std::nullopt;
}

}  // namespace

std::string percent_range(const engine::train::Range& r) {
  return fmt::format("[{:.1f}, {:.1f}]", 100 * r.lower, 100 * r.upper);
}

TextTable outcome_table(const std::vector<NamedOutcome>& rows) {
  TextTable table({{"policy"},
                   {"n", Align::right},
                   {"accuracy", Align::right},
                   {"95% interval"},
                   {"mean k", Align::right},
                   {"FLOPs", Align::right},
                   {"reward", Align::right},
                   {"regret", Align::right},
                   {"gain", Align::right},
                   {"95% interval"},
                   {"of oracle's", Align::right}});
  for (const auto& [name, outcome] : rows) {
    const Outcome& o = *outcome;
    const auto share = share_of(o, *rows.back().outcome);
    table.add({name, std::to_string(o.n), percent(o.accuracy), percent_range(o.accuracy_interval),
               fmt::format("{:.2f}", o.mean_k), fmt::format("{:.3f}", o.cost),
               fmt::format("{:.4f}", o.reward), fmt::format("{:.4f}", o.regret),
               fmt::format("{:+.1f}", 100 * o.gain), percent_range(o.gain_interval),
               share ? percent(*share) : "n/a"});
  }
  return table;
}

nlohmann::ordered_json outcome_json(const Outcome& o, const Outcome& oracle) {
  nlohmann::ordered_json j{
      {"n", o.n},
      {"clusters", o.clusters},
      {"accuracy", o.accuracy},
      {"accuracy_interval", {o.accuracy_interval.lower, o.accuracy_interval.upper}},
      {"mean_k", o.mean_k},
      {"flops_ratio", o.cost},
      {"reward", o.reward},
      {"lambda_regret", o.regret},
      {"adaptivity_gain", o.gain},
      {"adaptivity_gain_interval", {o.gain_interval.lower, o.gain_interval.upper}},
      {"share_of_oracle_gain", nullptr}};
  if (const auto share = share_of(o, oracle)) j["share_of_oracle_gain"] = *share;
  return j;
}

}  // namespace harness
