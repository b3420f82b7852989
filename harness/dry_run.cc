#include "harness/dry_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/budget_groups.h"
#include "harness/clock.h"
#include "harness/question.h"
#include "harness/shifted_forms.h"
#include "harness/text_table.h"

namespace harness {
namespace {

constexpr int64_t kProbeTokens = 256;
constexpr double kRowBytes = 900;  // measured: attempt, verdict, option and index rows of one query

struct TaskEstimate {
  std::string name;
  int64_t attempts = 0, prompt_tokens = 0, executed_tokens = 0, new_tokens_at_most = 0;
  int64_t longest = 0, truncated = 0, too_long = 0;
  int64_t budgets = 0;  // sum of k
  double executed_flops = 0, text_bytes = 0;
  PromptTokens first;
};

// FLOPs per second of a prefill, measured now.
double probe(engine::Engine& engine) {
  const auto n = std::min(kProbeTokens, engine.max_tokens());
  std::vector<engine::TokenId> tokens(static_cast<size_t>(n));
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<engine::TokenId>(i % static_cast<size_t>(engine.config().vocab));
  engine::ComputeLedger ledger;
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    ledger = {};
    const int64_t t0 = steady_ns();
    engine.make_prefix(tokens, engine.trained_budget(), &ledger);
    const double s = static_cast<double>(steady_ns() - t0) * 1e-9;
    best = std::max(best, static_cast<double>(ledger.executed_flops()) / s);
  }
  return best;
}

}  // namespace

void print_dry_run(const RunOptions& o, const RunPlan& plan, LoadedModel& model,
                   const Policies& policies) {
  std::vector<TaskEstimate> estimates(plan.suites.size());
  auto& engine = *model.engine;
  for (const auto& g : plan.groups) {
    auto& e = estimates[g.suite];
    e.name = plan.suites[g.suite].task->name();
    std::vector<PromptTokens> prompts;
    std::vector<int64_t> new_tokens;
    std::vector<engine::ExpertBudget> budgets;
    for (const int64_t ordinal : g.ordinals) {
      const auto& attempt = plan.attempts[static_cast<size_t>(ordinal)];
      const auto q = query_of(plan, o.spec, attempt);
      prompts.push_back(tokenise(*model.tokenizer, q, engine.max_tokens()));
      const Question question(query_key(plan, attempt), q, *model.tokenizer);
      const auto n = static_cast<int64_t>(prompts.back().prompt.size());
      budgets.push_back(policies.at(attempt.policy)->decide(question.features(n)).budget);
      e.budgets += budgets.back().k;
      new_tokens.push_back(q.max_new_tokens);
      e.text_bytes += static_cast<double>(q.item.size());
    }
    std::vector<int64_t> shared_by(prompts.size(), 0);
    if (o.spec.reuse_prefix)
      for (const BudgetGroup& b : budget_groups(prompts, budgets)) {
        const auto shared = static_cast<int64_t>(b.n_shared);
        for (const size_t i : b.members) shared_by[i] = shared;
        if (shared == 0) continue;
        e.executed_flops +=
            static_cast<double>(engine.cost_of(shared, 0, b.budget).executed_flops());
        e.executed_tokens += shared;
      }
    for (size_t i = 0; i < prompts.size(); ++i) {
      const auto& p = prompts[i];
      const auto n = static_cast<int64_t>(p.prompt.size());
      const int64_t shared = shared_by[i];
      ++e.attempts;
      if (e.first.prompt.empty()) e.first = p;
      e.truncated += p.dropped_demonstrations > 0 || p.dropped_tokens > 0;
      if (p.too_long) {
        ++e.too_long;
        continue;
      }
      e.prompt_tokens += n;
      e.longest = std::max(e.longest, n);
      int64_t options = 0;
      for (const auto& t : p.options) options += static_cast<int64_t>(t.size()) - 1;
      e.executed_tokens += n - shared + options;
      const int64_t whole = n + options + new_tokens[i];
      e.new_tokens_at_most += new_tokens[i];
      e.executed_flops +=
          static_cast<double>(
              engine.cost_of(whole, 1 + options + new_tokens[i], budgets[i]).useful_flops()) -
          static_cast<double>(shared > 0 ? engine.cost_of(shared, 0, budgets[i]).executed_flops()
                                         : 0);
    }
  }
  const double speed = probe(engine);
  if (o.format == Format::json) {
    nlohmann::json j{{"probe_flops_per_s", speed}};
    for (const auto& e : estimates)
      j["tasks"].push_back({{"task", e.name},
                            {"attempts", e.attempts},
                            {"prompt_tokens", e.prompt_tokens},
                            {"executed_prompt_tokens", e.executed_tokens},
                            {"new_tokens_at_most", e.new_tokens_at_most},
                            {"longest_prompt_tokens", e.longest},
                            {"mean_k", double(e.budgets) / double(e.attempts)},
                            {"truncated", e.truncated},
                            {"too_long", e.too_long},
                            {"flops_at_most", e.executed_flops},
                            {"seconds_at_most", e.executed_flops / speed},
                            {"disk_bytes", e.text_bytes + kRowBytes * double(e.attempts)},
                            {"first_prompt", e.first.text},
                            {"first_tokens", e.first.prompt}});
    j["missing_forms"] = nlohmann::json::array();
    for (const auto& m : plan.missing)
      j["missing_forms"].push_back({{"task", plan.suites[m.suite].task->name()},
                                    {"sample", m.sample},
                                    {"shift", tasks::shift_label(m.shift)},
                                    {"why", m.why}});
    fmt::print("{}\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const auto& e : estimates)
    fmt::print("--- {}: first prompt ({} tokens)\n{}\n--- its token ids\n{}\n\n", e.name,
               e.first.prompt.size(), e.first.text, fmt::join(e.first.prompt, " "));
  TextTable table({{"task"},
                   {"attempts", Align::right},
                   {"prompt tokens", Align::right},
                   {"after reuse", Align::right},
                   {"new tokens <=", Align::right},
                   {"longest", Align::right},
                   {"mean k", Align::right},
                   {"truncated", Align::right},
                   {"too long", Align::right},
                   {"FLOPs <=", Align::right},
                   {"time <=", Align::right},
                   {"disk", Align::right}});
  for (const auto& e : estimates)
    table.add(
        {e.name, std::to_string(e.attempts), si(double(e.prompt_tokens)),
         si(double(e.executed_tokens)), si(double(e.new_tokens_at_most)), std::to_string(e.longest),
         fmt::format("{:.2f}", double(e.budgets) / double(e.attempts)), std::to_string(e.truncated),
         std::to_string(e.too_long), si(e.executed_flops), duration(e.executed_flops / speed),
         si(e.text_bytes + kRowBytes * double(e.attempts)) + "B"});
  fmt::print("{}", o.format == Format::markdown ? table.markdown() : table.terminal());
  if (!o.spec.shifts.empty()) fmt::print("\n{}", describe_shifts(o.spec, plan, true));
  fmt::print(
      "\nUpper bounds: as if every answer had its full length. Time is estimated from a prefill\n"
      "measured now ({}FLOP/s); decoding is slower per FLOP, stops are earlier. Nothing was run.\n",
      si(speed));
}

}  // namespace harness
