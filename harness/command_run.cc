#include <fmt/format.h>

#include <filesystem>

#include "harness/commands.h"
#include "harness/dry_run.h"
#include "harness/environment.h"
#include "harness/exit_code.h"
#include "harness/interrupt.h"
#include "harness/places.h"
#include "harness/runner.h"
#include "harness/stored_runs.h"
#include "harness/text_table.h"
#include "results/result_store.h"

namespace harness {
namespace {

// The sandbox launcher is forked before there are threads and a model in memory.
std::unique_ptr<tasks::Sandbox> start_sandbox(const RunSpec& spec) {
  for (const auto& name : spec.tasks)
    if (tasks::make_task(name)->runs_code())
      return tasks::Sandbox::start(spec.sandbox_tier, spec.sandbox_slots);
  return nullptr;
}

void open_folder_of(const std::filesystem::path& db) {
  // The default folder exists in a checkout; elsewhere it is made, a mistyped one is not.
  if (db == "results/moeval.db") std::filesystem::create_directories(db.parent_path());
}

}  // namespace

int command_run(const RunOptions& o) {
  o.spec.validate();
  std::unique_ptr<tasks::Sandbox> sandbox;
  if (!o.dry_run) sandbox = start_sandbox(o.spec);
  const InterruptGuard interrupt;
  const RunPlan plan = make_plan(o.spec);
  for (const auto& s : plan.suites)
    if (s.data->origin != "official")
      fmt::print(stderr, "{}: {} data ({} samples), not comparable with published figures\n",
                 s.task->name(), s.data->origin, s.data->samples.size());
  if (o.dry_run) {
    auto model = load_model(o.spec);
    print_dry_run(o, plan, model);
    return kOk;
  }
  resolve_model(o.spec.model);  // a mistyped name leaves no database behind
  // The store is opened before the model: a database that cannot be used is known at once.
  open_folder_of(o.spec.db);
  const auto store = results::ResultStore::open(o.spec.db, results::ResultStore::Mode::write);
  RunSpec spec = o.spec;
  if (!spec.resume.empty())
    spec.resume = find_run(*store, spec.resume);
  else if (!spec.new_run)
    spec.resume = unfinished_run(*store, spec.name());
  auto model = load_model(spec);
  for (const auto& s : plan.suites)
    if (s.task->is_chat() && model.tokenizer->chat_template().empty())
      throw UsageError(fmt::format("--tasks {}: {} has no chat template that is known here",
                                   s.task->name(), model.label));
  const auto env = read_environment();
  RunOutcome out;
  try {
    out = run(spec, plan, model, env, sandbox.get(), *store, interrupt.flag());
  } catch (const results::FingerprintMismatch& e) {
    throw results::FingerprintMismatch(fmt::format("{} (--new-run)", e.what()));
  }

  LeaderboardOptions board;
  board.db = spec.db;
  board.run = out.run_uuid;
  board.format = o.format;
  if (out.was_complete)
    fmt::print(stderr, "already complete: nothing was run (--new-run starts afresh)\n");
  command_leaderboard(board);
  fmt::print(stderr, "run {}  {}  {}/{} stored in {}\n", out.run_uuid, out.status, out.done,
             out.planned, spec.db);
  if (const int code = interrupt.exit_code(); code != 0 && out.done < out.planned) return code;
  if (out.done < out.planned) {
    fmt::print(
        stderr,
        "incomplete: {} of {} without a result ({} infrastructure failures); the same command "
        "tries them again\n",
        out.planned - out.done, out.planned, out.infra);
    return kIncomplete;
  }
  return kOk;
}

}  // namespace harness
