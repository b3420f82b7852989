#include "harness/run_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/environment.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/policies.h"
#include "harness/run_energy.h"
#include "harness/shifted_forms.h"
#include "harness/stored_runs.h"
#include "results/result_store.h"

namespace harness {

void open_folder_of(const std::string& db) {
  if (db == "results/moeval.db")
    std::filesystem::create_directories(std::filesystem::path(db).parent_path());
}

std::unique_ptr<tasks::Sandbox> start_sandbox(const RunSpec& spec) {
  const bool runs_code =
      spec.generate && std::any_of(spec.tasks.begin(), spec.tasks.end(), [](const auto& name) {
        return tasks::make_task(name)->runs_code();
      });
  return runs_code ? tasks::Sandbox::start(spec.sandbox_tier, spec.sandbox_slots) : nullptr;
}

void tell_data(const RunSpec& spec, const RunPlan& plan) {
  for (const auto& s : plan.suites)
    if (s.data->origin != "official")
      fmt::print(stderr, "{}: {} data ({} samples), not comparable with published figures\n",
                 s.task->name(), s.data->origin, s.data->samples.size());
  fmt::print(stderr, "{}", describe_shifts(spec, plan, false));
}

RunOutcome execute(RunSpec spec, const RunPlan& plan, tasks::Sandbox* sandbox,
                   const InterruptGuard& interrupt) {
  resolve_model(spec.model);  // a mistyped name leaves no database behind
  check_policies(spec);
  // The store is opened before the model: a database that cannot be used is known at once.
  open_folder_of(spec.db);
  const auto store = results::ResultStore::open(spec.db, results::ResultStore::Mode::write);
  if (!spec.resume.empty()) spec.resume = find_run(*store, spec.resume);
  auto model = load_model(spec);
  spec.device.name = model.engine->device().device;
  if (spec.resume.empty() && !spec.new_run) spec.resume = unfinished_run(*store, spec.name());
  for (const auto& s : plan.suites)
    if (s.task->is_chat() && model.tokenizer->chat_template().empty())
      throw UsageError(fmt::format("--tasks {}: {} has no chat template that is known here",
                                   s.task->name(), model.label));
  const auto policies = load_policies(spec, plan, model);
  check_decisions(spec, plan, model, policies);
  auto env = read_environment();
  add_gpu(model.engine->device(), &env);
  try {
    const RunEnergy energy(model.engine->device());
    auto out = run(spec, plan, model, policies, env, sandbox, *store, interrupt.flag());
    if (!out.was_complete) out.energy = energy.line();
    return out;
  } catch (const results::FingerprintMismatch& e) {
    throw results::FingerprintMismatch(fmt::format("{} (--new-run)", e.what()));
  }
}

int tell_end(const RunOutcome& out, const std::string& db, const InterruptGuard& interrupt) {
  fmt::print(stderr, "run {}  {}  {}/{} stored in {}\n", out.run_uuid, out.status, out.done,
             out.planned, db);
  if (!out.energy.empty()) fmt::print(stderr, "{}\n", out.energy);
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
