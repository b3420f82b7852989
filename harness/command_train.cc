#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/stored_runs.h"
#include "harness/training_report.h"

namespace harness {
namespace {

void check(const TrainOptions& o) {
  if (o.lambda && o.target_cost)
    throw UsageError("--lambda and --target-cost: give one of them, the other follows");
  if (o.lambda && !(*o.lambda >= 0))
    throw UsageError(fmt::format("--lambda {}: want 0 or more", *o.lambda));
  if (o.target_cost && !(*o.target_cost > 0 && *o.target_cost <= 1))
    throw UsageError(
        fmt::format("--target-cost {}: want a share of the full cost, in (0, 1]", *o.target_cost));
  if (o.folds < 2) throw UsageError(fmt::format("--folds {}: want 2 or more", o.folds));
  for (const int64_t h : o.hidden)
    if (h < 0 || h > 4096 || (h == 0 && o.hidden.size() > 1))
      throw UsageError(fmt::format("--hidden {}: want widths of 1 to 4096, or 0 for none",
                                   fmt::join(o.hidden, ",")));
  if (o.hidden.size() > 8)
    throw UsageError(fmt::format("--hidden: {} layers, at most 8", o.hidden.size()));
  if (o.mu < 0) throw UsageError(fmt::format("--mu {}: want 0 or more", o.mu));
  if ((o.mu > 0) != o.latency_cap_ms.has_value() ||
      o.latency_cap_ms.has_value() != !o.latency_file.empty())
    throw UsageError("--mu, --latency-cap and --latency-coefficients: all three, or none");
  if (o.latency_cap_ms && !(*o.latency_cap_ms > 0))
    throw UsageError(fmt::format("--latency-cap {}: want more than 0 ms", *o.latency_cap_ms));
  const auto folder = std::filesystem::path(o.out).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw UsageError(fmt::format("--out {}: there is no such folder", o.out));
}

TrainingPlan plan_of(const TrainOptions& o) {
  TrainingPlan p;
  p.objective = o.objective;
  p.target_cost = o.target_cost;
  p.folds = o.folds;
  p.curve = o.curve;
  p.threads = o.threads > 0 ? o.threads
                            : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  auto& t = p.options;
  t.head = o.head;
  t.hidden = o.hidden;
  std::erase(t.hidden, 0);
  if (o.lambda) t.lambda = *o.lambda;
  t.mu = o.mu;
  if (o.entropy) t.entropy = *o.entropy;
  if (o.epochs) t.epochs = *o.epochs;
  t.seed = o.seed;
  return p;
}

}  // namespace

int command_train(const TrainOptions& o) {
  check(o);
  const auto store = results::ResultStore::open(o.db, results::ResultStore::Mode::read);
  const auto run = find_run(*store, o.sweep);
  auto spec = spec_of_sweep(*store, run, o.model);
  spec.data = o.data;
  spec.allow_unverified = o.allow_unverified;
  spec.threads = o.threads;
  const auto model = load_model(spec);
  std::optional<LatencyPenalty> penalty;
  if (o.latency_cap_ms) penalty = {*o.latency_cap_ms, o.latency_file};
  const auto data = read_training_data(*store, run, spec, model, penalty);
  const auto plan = plan_of(o);
  auto result = train(data, plan);
  result.predictor.training_json = training_json(data, plan, result);
  engine::write_predictor(o.out, result.predictor);
  fmt::print("{}", render_training(data, plan, result, o.format));
  if (!o.tables.empty())
    for (const auto& file : write_decisions(o.tables, data, result))
      fmt::print(stderr, "wrote {} ({} questions)\n", file.string(), data.questions.size());
  fmt::print(stderr, "wrote {}  (moeval run --policy predictor:{})\n", o.out, o.out);
  return kOk;
}

}  // namespace harness
