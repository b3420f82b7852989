// Owns the start of a sandbox with what only tests need. Sandbox::start is the public way.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tasks/sandbox.h"

namespace tasks::sandbox {

struct StartOptions {
  int tier = 0;
  int slots = 2;
  std::string interpreter;      // empty = find_interpreter()
  int fail_self_test_step = 0;  // a SetupStep that fails in the first self-test
  int fail_judge_step = 0;      // a SetupStep that fails in every judge()
};

std::unique_ptr<Sandbox> start_with(const StartOptions&);

// The system's own Python: a real executable beneath /usr, never what PATH says (that may be a
// version manager's script). Throws SandboxUnavailable.
std::string find_interpreter();

// Process ids of the launchers, to test what happens when one is killed.
std::vector<pid_t> launcher_pids(const Sandbox&);

}  // namespace tasks::sandbox
