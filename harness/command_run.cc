#include <fmt/format.h>

#include "harness/commands.h"
#include "harness/dry_run.h"
#include "harness/exit_code.h"
#include "harness/policies.h"
#include "harness/run_session.h"
#include "harness/shifted_forms.h"

namespace harness {

int command_run(const RunOptions& asked) {
  RunOptions o = asked;
  expand_ood(&o.spec);
  o.spec.validate();
  std::unique_ptr<tasks::Sandbox> sandbox;
  if (!o.dry_run) sandbox = start_sandbox(o.spec);
  const InterruptGuard interrupt;
  const RunPlan plan = make_plan(o.spec);
  tell_data(o.spec, plan);
  if (o.dry_run) {
    auto model = load_model(o.spec);
    const auto policies = load_policies(o.spec, plan, model);
    check_decisions(o.spec, plan, model, policies);
    print_dry_run(o, plan, model, policies);
    return kOk;
  }
  const RunOutcome out = execute(o.spec, plan, sandbox.get(), interrupt);
  LeaderboardOptions board;
  board.db = o.spec.db;
  board.run = out.run_uuid;
  board.format = o.format;
  if (out.was_complete)
    fmt::print(stderr, "already complete: nothing was run (--new-run starts afresh)\n");
  command_leaderboard(board);
  return tell_end(out, o.spec.db, interrupt);
}

}  // namespace harness
