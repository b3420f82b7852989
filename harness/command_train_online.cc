#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/model_file/router_writer.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/online_training.h"
#include "harness/outcome_table.h"
#include "harness/places.h"
#include "harness/run_session.h"
#include "harness/text_table.h"
#include "harness/training_facts.h"

namespace harness {
namespace {

using nlohmann::ordered_json;

// Passes over the questions, where --epochs says nothing: every query of them runs.
constexpr int kPasses = 60;

void check_online(const TrainOptions& o) {
  const auto refuse = [](const char* option, const char* why) {
    throw UsageError(fmt::format("--online and {}: {}", option, why));
  };
  if (o.online_tasks.empty()) throw UsageError("--online: name what to ask (--tasks)");
  if (o.model.empty()) throw UsageError("--online: name the model (--model)");
  if (!o.sweep.empty()) refuse("--sweep", "online training takes none");
  if (o.objective != engine::train::Objective::policy &&
      o.objective != engine::train::Objective::reinforce)
    refuse("--objective", "only what was drawn is seen: reinforce");
  if (o.target_cost) refuse("--target-cost", "give --lambda");
  if (o.curve) refuse("--curve", "needs a sweep");
  if (o.ood) refuse("--ood", "needs a sweep");
  if (!o.fallback.empty()) refuse("--fallback", "needs a sweep");
  if (!o.tables.empty()) refuse("--write-tables", "needs a sweep");
  if (!o.router_out.empty() && std::filesystem::exists(o.router_out))
    throw UsageError(fmt::format("--train-routers {}: is there already", o.router_out));
  if (!o.router_out.empty() && o.device.name != "cpu")
    throw UsageError("--train-routers: routers learn with --device cpu only");
  if (o.router_rate && !(*o.router_rate > 0 && *o.router_rate <= 100))
    throw UsageError(
        fmt::format("--router-rate {}: want more than 0, at most 100", *o.router_rate));
  if (!(o.held_out > 0 && o.held_out < 1))
    throw UsageError(fmt::format("--held-out {}: want a share between 0 and 1", o.held_out));
}

RunSpec spec_of(const TrainOptions& o) {
  RunSpec spec;
  spec.model = o.model;
  spec.tasks = o.online_tasks;
  spec.num_fewshot = o.num_fewshot;
  spec.limit = o.limit;
  spec.sample = o.sample;
  spec.seed = o.seed;
  spec.data = o.data;
  spec.allow_unverified = o.allow_unverified;
  spec.threads = o.threads;
  spec.device = o.device;
  spec.validate();
  return spec;
}

// The model that the predictor is made for; with the routers as they are now, where they learned.
void write_model(const RunSpec& spec, const TrainOptions& o, const OnlinePlan& plan,
                 engine::PredictorContent* predictor) {
  if (plan.routers == nullptr) return;
  const auto checkpoint = engine::Checkpoint::open(resolve_model(spec.model));
  engine::write_with_routers(*checkpoint, *plan.routers, o.router_out);
  predictor->model_sha256 = weights_sha256(*engine::Checkpoint::open(o.router_out));
}

std::string training_json(const RunSpec& spec, const QuestionBank& bank, const OnlinePlan& plan,
                          const OnlineResult& r, const std::string& model_sha256) {
  const auto& o = plan.options;
  // Those kept to judge by were not learned from, but a second training with another seed keeps
  // others: all of them count as seen.
  return ordered_json{{"online", true},
                      {"tasks", spec.tasks},
                      {"model_sha256", model_sha256},
                      {"objective", "reinforce"},
                      {"head", o.head == engine::train::Head::ordinal ? "ordinal" : "free"},
                      {"k", r.predictor.grid},
                      {"lambda", o.lambda},
                      {"mu", o.mu},
                      {"entropy_bonus", o.entropy},
                      {"hidden", o.hidden},
                      {"passes", r.passes},
                      {"of_passes", o.epochs},
                      {"seed", o.seed},
                      {"questions", r.trained_on},
                      {"queries", r.queries},
                      {"flops", r.flops},
                      {"seen", question_marks(bank.questions())}}
      .dump();
}

std::string as_json(const std::string& training, const OnlineResult& r) {
  ordered_json j = ordered_json::parse(training);
  j.erase("seen");
  j["held_out"] = r.held_out;
  j["held_out_seed_items"] = r.held_out_items;
  j["judging_queries"] = r.judging_queries;
  j["judging_flops"] = r.judging_flops;
  j["first_pass_reward"] = r.first_reward;
  j["last_pass_reward"] = r.last_reward;
  if (!r.accuracy_after.empty())
    j["accuracy_by_k"] = {
        {"k", r.predictor.grid}, {"before", r.accuracy_before}, {"after", r.accuracy_after}};
  for (const auto& row : r.rows) {
    ordered_json one{{"policy", row.name}, {"about", row.about}};
    one.update(outcome_json(row.outcome, r.rows.back().outcome));
    j["policies"].push_back(std::move(one));
  }
  return j.dump(2) + "\n";
}

std::string as_text(const OnlinePlan& plan, const OnlineResult& r, Format format) {
  std::vector<NamedOutcome> rows;
  for (const auto& row : r.rows) rows.push_back({row.name, &row.outcome});
  const TextTable table = outcome_table(rows);
  TextTable routers({{"k", Align::right},
                     {"accuracy, the model's routers", Align::right},
                     {"trained routers", Align::right}});
  for (size_t i = 0; i < r.accuracy_after.size(); ++i)
    routers.add({std::to_string(r.predictor.grid[i]), percent(r.accuracy_before[i]),
                 percent(r.accuracy_after[i])});
  const auto laid_out = [format](const TextTable& t) {
    return format == Format::markdown ? t.markdown() : t.terminal();
  };
  return fmt::format(
             "Learned from {} queries ({} questions, {} passes, {} FLOPs); mean reward {:.4f} in "
             "the first pass, {:.4f} in the last.\nJudged on {} other questions of {} seed items, "
             "each at every k ({} queries, {} FLOPs), lambda = {:.4g}:\n\n",
             r.queries, r.trained_on, r.passes, si(static_cast<double>(r.flops)), r.first_reward,
             r.last_reward, r.held_out, r.held_out_items, r.judging_queries,
             si(static_cast<double>(r.judging_flops)), plan.options.lambda) +
         laid_out(table) + (routers.empty() ? "" : "\n" + laid_out(routers)) +
         fmt::format(
             "\nFLOPs: of those at k = {}, the decision's own included. gain: percentage points of "
             "accuracy above\nstatic k and their mixtures at the same FLOPs. plug_in: by the p_k "
             "of the same draws, which "
             "know little of\na k that was seldom drawn.\n",
             r.predictor.grid.back());
}

}  // namespace

int command_train_online(const TrainOptions& o, const engine::train::Options& options) {
  check_online(o);
  const RunSpec spec = spec_of(o);
  const auto sandbox = start_sandbox(spec);
  const InterruptGuard interrupt;
  auto model = load_model(spec);
  std::vector<int32_t> grid = o.grid;
  const int32_t most = model.engine->config().moe.max_k();
  if (grid.empty())
    for (int32_t k = 1; k <= most; ++k) grid.push_back(k);
  for (size_t i = 0; i < grid.size(); ++i)
    if (grid[i] < 1 || (i > 0 && grid[i] <= grid[i - 1]) || grid.back() != most)
      throw UsageError(
          fmt::format("--grid {}: want ascending numbers of 1 to {}, the model's most, with it",
                      fmt::join(grid, ","), most));
  if (grid.size() < 2)
    throw UsageError(fmt::format("--grid {}: there is nothing to decide", fmt::join(grid, ",")));
  std::optional<LatencyPenalty> penalty;
  if (o.latency_cap_ms) penalty = {*o.latency_cap_ms, o.latency_file};
  QuestionBank bank(spec, model, grid, penalty, sandbox.get());
  if (bank.too_long() > 0)
    fmt::print(stderr, "{} questions are longer than the model's context and left out\n",
               bank.too_long());
  OnlinePlan plan;
  plan.options = options;
  if (o.router_rate) plan.router_rate = *o.router_rate;
  std::optional<engine::RouterExploration> routers;
  if (!o.router_out.empty()) {
    engine::check_routers_writable(*engine::Checkpoint::open(resolve_model(spec.model)));
    const auto& config = model.engine->config();
    routers.emplace(config.n_layers, config.moe.n_routed(), config.d_model);
    plan.routers = &*routers;
  }
  plan.options.epochs = o.epochs.value_or(kPasses);
  plan.held_out = o.held_out;
  std::string training;
  const auto write = [&](const OnlineResult& r, engine::PredictorContent content) {
    content.training_json = training = training_json(spec, bank, plan, r, content.model_sha256);
    engine::write_predictor(o.out, content);
  };
  const auto result = train_online(
      bank, plan,
      [&](const OnlineResult& r) {
        if (!routers) write(r, r.predictor);  // else both are written at the end
      },
      interrupt.flag());
  if (routers && result.passes == 0) {
    fmt::print(stderr, "interrupted before the first pass was over: nothing is written\n");
    return interrupt.exit_code();
  }
  if (routers) {
    auto content = result.predictor;
    write_model(spec, o, plan, &content);
    write(result, content);
  }
  if (result.interrupted) {
    fmt::print(stderr,
               "interrupted after {} of {} passes and {} queries: wrote {} as it was then, not "
               "judged\n",
               result.passes, plan.options.epochs, result.queries, o.out);
    return interrupt.exit_code();
  }
  fmt::print(
      "{}", o.format == Format::json ? as_json(training, result) : as_text(plan, result, o.format));
  fmt::print(stderr, "wrote {}  (moeval run --policy predictor:{})\n", o.out, o.out);
  return kOk;
}

}  // namespace harness
