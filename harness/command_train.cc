#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/online_training.h"
#include "harness/progress.h"
#include "harness/stored_runs.h"
#include "harness/text_table.h"
#include "harness/training_report.h"
#include "results/queries.h"

namespace harness {
namespace {

constexpr double kDearest = 1e6;  // of lambda, mu and the entropy bonus

void check_training(const TrainOptions& o) {
  if (!o.online && !o.router_out.empty())
    throw UsageError(
        "--train-routers: routers learn from answers that the engine gives (--online)");
  if (o.router_rate && o.router_out.empty())
    throw UsageError(fmt::format(
        "--router-rate {}: no routers learn; name a folder for them with --train-routers",
        *o.router_rate));
  if (o.lambda && o.target_cost)
    throw UsageError("--lambda and --target-cost: give one of them, the other follows");
  const auto price = [](const char* name, double x) {
    if (!(x >= 0 && x <= kDearest))  // NaN too
      throw UsageError(fmt::format("{} {}: want 0 to {}", name, x, kDearest));
  };
  if (o.lambda) price("--lambda", *o.lambda);
  if (o.entropy) price("--entropy", *o.entropy);
  price("--mu", o.mu);
  if (o.mu > 0 && o.objective == engine::train::Objective::success)
    throw UsageError("--mu: the plug-in of --objective success knows no lateness; train a policy");
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
  if ((o.mu > 0) != o.latency_cap_ms.has_value() ||
      o.latency_cap_ms.has_value() != !o.latency_file.empty())
    throw UsageError("--mu, --latency-cap and --latency-coefficients: all three, or none");
  if (o.latency_cap_ms && !(*o.latency_cap_ms > 0))
    throw UsageError(fmt::format("--latency-cap {}: want more than 0 ms", *o.latency_cap_ms));
  if (!o.fallback.empty()) {
    const auto choice = engine::parse_fallback(o.fallback);
    if (!choice)
      throw UsageError(fmt::format(
          "--fallback {}: want mahalanobis or nearest, a colon, and full, fixed, shrink or cap",
          printable(o.fallback)));
    if (choice->fallback == engine::Fallback::shrink &&
        o.objective != engine::train::Objective::success)
      throw UsageError(fmt::format(
          "--fallback {}: shrink mixes the p_k that decide: --objective success", o.fallback));
    if (o.hidden == std::vector<int64_t>{0})
      throw UsageError(
          fmt::format("--fallback {}: measures in a hidden layer, but --hidden is 0", o.fallback));
  }
  const auto folder = std::filesystem::path(o.out).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw UsageError(fmt::format("--out {}: there is no such folder", o.out));
  if (std::filesystem::is_directory(o.out))
    throw UsageError(fmt::format("--out {}: is a folder, want a file", o.out));
}

TrainingPlan plan_of(const TrainOptions& o) {
  TrainingPlan p;
  p.objective = o.objective;
  p.target_cost = o.target_cost;
  p.folds = o.folds;
  p.curve = o.curve;
  p.ood = o.ood;
  if (!o.fallback.empty()) p.fallback = engine::parse_fallback(o.fallback);
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

std::string newest_sweep(const results::ResultStore& store) {
  std::string found;
  for (const auto& r : results::runs(store))
    if (r.run.kind == "sweep") found = r.run.run_uuid;
  if (found.empty())
    throw UsageError(
        fmt::format("{} holds no sweep yet: moeval sweep makes one", store.path().string()));
  return found;
}

}  // namespace

int command_train(const TrainOptions& o) {
  check_training(o);
  if (o.online) return command_train_online(o, plan_of(o).options);
  if (!o.online_tasks.empty() || !o.grid.empty() || o.limit > 0 || o.sample > 0 || o.num_fewshot)
    throw UsageError(
        "--tasks, --grid, --limit, --sample and --num-fewshot: only with --online; "
        "else they are the sweep's");
  if (o.device.name != "cpu")
    throw UsageError(
        fmt::format("--device {}: only with --online; else nothing is answered", o.device.name));
  const auto store = results::ResultStore::open(o.db, results::ResultStore::Mode::read);
  const auto run = o.sweep.empty() ? newest_sweep(*store) : find_run(*store, o.sweep);
  auto spec = spec_of_sweep(*store, run, o.model);
  spec.data = o.data;
  spec.allow_unverified = o.allow_unverified;
  spec.threads = o.threads;
  const auto model = load_model(spec);
  std::optional<LatencyPenalty> penalty;
  if (o.latency_cap_ms) penalty = {*o.latency_cap_ms, o.latency_file};
  const auto data = read_training_data(*store, run, spec, model, penalty, o.ood);
  const auto plan = plan_of(o);
  std::optional<Progress> progress;  // for people: a script learns nothing from it
  if (isatty(STDERR_FILENO) == 1) progress.emplace("train", fits(plan));
  auto result = train(data, plan, [&] {
    if (progress) progress->step();
  });
  progress.reset();
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
