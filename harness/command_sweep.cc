#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <map>

#include "engine/checkpoint.h"
#include "harness/commands.h"
#include "harness/detach.h"
#include "harness/dry_run.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/run_session.h"
#include "harness/shifted_forms.h"
#include "harness/standard_tables.h"
#include "harness/sweep_report.h"

namespace harness {
namespace {

void print_tables(const SweepOptions& o, const RunPlan& plan, const Sweep& sweep) {
  std::map<std::string, int64_t> bytes;
  for (const auto& s : plan.suites)
    for (const size_t i : s.chosen) {
      const auto& sample = s.data->samples[i];
      bytes[s.task->name() + ":" + sample.id] = static_cast<int64_t>(sample.input.size());
    }
  const auto tables = make_standard_tables(sweep, o.spec.seed,
                                           [&](const std::string& task, const std::string& sample) {
                                             return bytes.at(task + ":" + sample);
                                           });
  for (const auto& file : write_tables(o.tables, sweep, tables))
    fmt::print(stderr, "wrote {}\n", file.string());
  const auto asked =
      static_cast<size_t>(std::count_if(sweep.questions.begin(), sweep.questions.end(),
                                        [](const auto& q) { return q.shift == "clean"; }));
  const size_t graded = tables.shuffled.size();  // holds clean questions alone
  if (graded < asked)
    fmt::print(stderr, "{} of {} questions are not graded at every k and left out of the tables\n",
               asked - graded, asked);
}

}  // namespace

int command_sweep(const SweepOptions& o) {
  RunSpec spec = o.spec;
  spec.kind = RunKind::sweep;
  expand_ood(&spec);
  spec.validate();
  for (const auto& t : spec.tasks) tasks::make_task(t);
  // Only the header is read: the model comes after the sandbox has been forked.
  const auto checkpoint = engine::Checkpoint::open(resolve_model(spec.model));
  const auto asked = spec.grid;
  spec.grid = clipped_grid(asked, checkpoint->config().moe.max_k());
  if (spec.grid != asked)
    fmt::print(stderr, "--grid {}: this model runs 1 to {}, so the grid is {}\n",
               fmt::join(asked, ","), checkpoint->config().moe.max_k(), fmt::join(spec.grid, ","));
  if (o.detach && !o.dry_run) {
    open_folder_of(spec.db);
    if (!detach(log_path(spec.db, "sweep"))) return kOk;
  }
  std::unique_ptr<tasks::Sandbox> sandbox;
  if (!o.dry_run) sandbox = start_sandbox(spec);
  const InterruptGuard interrupt;
  const RunPlan plan = make_plan(spec);
  tell_data(spec, plan);
  if (o.dry_run) {
    auto model = load_model(spec);
    const auto policies = load_policies(spec, plan, model);
    print_dry_run({spec, true, o.format}, plan, model, policies);
    return kOk;
  }
  const RunOutcome out = execute(spec, plan, sandbox.get(), interrupt);
  if (out.was_complete)
    fmt::print(stderr, "already complete: nothing was run (--new-run starts afresh)\n");
  const auto store = results::ResultStore::open(spec.db, results::ResultStore::Mode::read);
  const auto sweep = read_sweep(*store, out.run_uuid);
  fmt::print("{}", render_sweep(sweep, o.format));
  const int code = tell_end(out, spec.db, interrupt);
  if (!o.tables.empty() && code == kOk) print_tables(o, plan, sweep);
  return code;
}

}  // namespace harness
