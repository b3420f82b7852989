// Owns what `run` and `sweep` share: from a plan to a finished run in the store.
#pragma once

#include <memory>
#include <string>

#include "harness/interrupt.h"
#include "harness/run_plan.h"
#include "harness/runner.h"
#include "tasks/sandbox.h"

namespace harness {

// The sandbox, where a task runs code. Its launcher is forked before there are threads and a model
// in memory.
std::unique_ptr<tasks::Sandbox> start_sandbox(const RunSpec&);

// Makes the folder of the default database; a mistyped one is not made.
void open_folder_of(const std::string& db);

// Says on stderr which data are not the official ones, and which shifted forms are asked.
void tell_data(const RunSpec&, const RunPlan&);

// Checks everything that can be known first, opens the store, loads the model and runs what is
// left. Throws as everything below it does.
RunOutcome execute(RunSpec, const RunPlan&, tasks::Sandbox*, const InterruptGuard&);

// The last lines on stderr, and the exit code.
int tell_end(const RunOutcome&, const std::string& db, const InterruptGuard&);

}  // namespace harness
