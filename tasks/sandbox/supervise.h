// Owns one run: starts both confined processes, checks that they are confined before either gets
// its program, feeds, drains and times them, and leaves no process behind.
#pragma once

#include <string>

#include "tasks/sandbox/confinement.h"
#include "tasks/sandbox/run_facts.h"

namespace tasks::sandbox {

struct Program {
  std::string prompt, completion, test, entry_point;
};

// control_fd: the harness's socket; when its other end closes, the run is abandoned at once.
RunFacts supervise(const Confinement&, const RunRequest&, const Program&, int control_fd);

}  // namespace tasks::sandbox
