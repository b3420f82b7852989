#include "harness/question_bank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/policy/latency_cap.h"
#include "engine/policy/static_policy.h"
#include "harness/engine_subject.h"
#include "harness/exit_code.h"
#include "harness/policies.h"
#include "harness/prompt_tokens.h"
#include "harness/question.h"

namespace harness {
namespace {

engine::ExpertBudget budget_of(int32_t k) {
  engine::ExpertBudget b;
  b.k = k;
  return b;
}

}  // namespace

QuestionBank::QuestionBank(const RunSpec& spec, LoadedModel& model, std::vector<int32_t> grid,
                           const std::optional<LatencyPenalty>& penalty, tasks::Sandbox* sandbox)
    : model_(model), plan_(make_plan(spec)), sandbox_(sandbox) {
  const engine::Engine& engine = *model_.engine;
  examples_.grid = std::move(grid);
  for (const auto name : engine::feature_names()) features_.push_back(*engine::find_feature(name));
  for (const int32_t k : examples_.grid)
    policies_.push_back(
        std::make_unique<engine::StaticPolicy>("fixed", fmt::format("fixed:{}", k), budget_of(k)));
  for (const auto& s : plan_.suites)
    if (s.task->metric() == tasks::kNoMetric)
      throw UsageError(fmt::format("task {}: has no right answers to learn from", s.task->name()));
  const auto latency = latency_coefficients(penalty, model_);
  std::map<std::string, int64_t> clusters;
  for (const auto& a : plan_.attempts) {
    Item item;
    item.suite = a.suite;
    item.sample = asked_sample(plan_, a);
    item.query = query_of(plan_, spec, a);
    item.key = query_key(plan_, a);
    item.seed = attempt_seed(spec.seed, item.sample.id, a.repeat);
    const auto prompt = tokenise(*model_.tokenizer, item.query, engine.max_tokens());
    if (prompt.too_long || prompt.prompt.empty()) {
      ++too_long_;
      continue;
    }
    const Question question(item.key, item.query, *model_.tokenizer);
    const auto x = engine::question_features(
        features_, question.features(0), engine.config().d_model,
        [&](engine::TokenId token, float* row) { engine.embedding(token, row); });
    if (!std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); }))
      throw InfrastructureError(fmt::format("{}: its features are no usable numbers", item.key));
    auto& ex = examples_;
    ex.features.insert(ex.features.end(), x.begin(), x.end());
    ex.n_features = static_cast<int64_t>(x.size());
    ex.success.resize(ex.success.size() + ex.grid.size());
    const auto n = static_cast<int64_t>(prompt.prompt.size());
    const double full =
        static_cast<double>(engine.cost_of(n, 1, budget_of(ex.grid.back())).useful_flops());
    for (const int32_t k : ex.grid) {
      ex.cost.push_back(static_cast<double>(engine.cost_of(n, 1, budget_of(k)).useful_flops()) /
                        full);
      if (latency)
        ex.lateness.push_back(std::max(
            0.0, latency->predicted_ms(k, n, question.max_new_tokens) / penalty->cap_ms - 1));
    }
    ex.full_flops.push_back(full);
    ex.cluster.push_back(
        clusters.emplace(item.sample.id, static_cast<int64_t>(clusters.size())).first->second);
    ++ex.n;
    SweepQuestion& q = questions_.emplace_back();
    q.task = plan_.suites[a.suite].task->name();
    q.sample = q.cluster = item.sample.id;
    items_.push_back(std::move(item));
  }
  if (examples_.n == 0)
    throw UsageError(
        fmt::format("--tasks {}: there is no question that the model's context of {} "
                    "tokens holds",
                    fmt::join(spec.tasks, ","), engine.max_tokens()));
}

// k changes what experts and routers cost, for every row alike, and nothing else: what `rows` rows
// cost at one k tells what they cost at any.
std::vector<double> QuestionBank::costs_at(int64_t rows, size_t k, double useful,
                                           double* full) const {
  const auto alone = [&](int32_t budget) {
    return static_cast<double>(model_.engine->cost_of(rows, 1, budget_of(budget)).useful_flops());
  };
  const double here = alone(examples_.grid[k]);
  std::vector<double> out;
  for (const int32_t other : examples_.grid) out.push_back(useful + alone(other) - here);
  *full = out.back();
  for (double& x : out) x /= *full;
  return out;
}

std::optional<std::vector<QuestionBank::Reply>> QuestionBank::ask(std::span<const Asked> asked,
                                                                  const std::atomic<bool>& stop) {
  std::vector<Ask> asks;
  for (const Asked& a : asked) {
    const Item& item = items_[static_cast<size_t>(a.row)];
    asks.push_back({&item.query, item.seed, true, policies_[a.k].get(), item.key});
  }
  std::vector<Reply> replies(asked.size());
  size_t done = 0;
  EngineSubject subject(*model_.engine, *model_.tokenizer);
  subject.answer(
      asks, Scenario::offline,
      [&](size_t i, Observation o) {
        if (o.answer.status == tasks::Answer::Status::cancelled) return;
        const Item& item = items_[static_cast<size_t>(asked[i].row)];
        const auto score = plan_.suites[item.suite].task->score(item.sample, o.answer, sandbox_);
        if (score.state == tasks::Score::State::unscored)
          throw InfrastructureError(
              fmt::format("{}: could not be marked: {}", item.key, score.detail));
        Reply& r = replies[i];
        r.right = score.value >= 1.0;
        const bool ran = o.answer.status == tasks::Answer::Status::ok;
        const auto budget = budget_of(examples_.grid[asked[i].k]);
        const auto experts = [](const engine::ComputeLedger& l) {
          return l.useful_flops(engine::Part::experts);
        };
        const int64_t rows =
            ran ? static_cast<int64_t>(experts(o.ledger) /
                                       experts(model_.engine->cost_of(1, 1, budget)))
                : o.prompt_tokens;
        const auto useful = static_cast<double>(
            ran ? o.ledger.useful_flops() : model_.engine->cost_of(rows, 1, budget).useful_flops());
        r.cost = costs_at(rows, asked[i].k, useful, &r.full_flops);
        flops_ += o.ledger.executed_flops();
        ++queries_;
        ++done;
      },
      [&](const PrefixRecord& p) { flops_ += p.ledger.executed_flops(); }, stop);
  if (done < asked.size()) return std::nullopt;
  return replies;
}

}  // namespace harness
