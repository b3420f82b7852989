// Owns the start of one confined Python process: init (pid 1 of its namespace) and python (pid 2).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tasks/sandbox/confinement.h"

namespace tasks::sandbox {

enum class Role { candidate, checker };

// What a confined process tells the launcher. `failed` comes from a step of the set-up that went
// wrong, `armed` from python right before exec, `exited` from init with python's wait status.
struct SetupMessage {
  enum class Kind : int32_t { armed, failed, exited } kind;
  int32_t step;   // of SetupStep, for failed
  int32_t value;  // errno for failed, wait status for exited
};

// Every step of the set-up in order; each is checked, and each can be made to fail in a test.
enum class SetupStep : int32_t {
  none,
  descriptors,
  session,
  bounding_set,
  groups,
  group_id,
  user_id,
  capabilities,
  no_new_privileges,
  not_dumpable,
  parent_death_signal,
  parent_alive,
  fork,
  python_death_signal,
  python_parent,
  limits,
  landlock,
  memory_limit,
  seccomp,
  exec,
};
constexpr int kNumSetupSteps = static_cast<int>(SetupStep::exec);
const char* setup_step_name(int32_t step);

struct SpawnRequest {
  Role role = Role::candidate;
  double cpu_s = 0;
  int64_t memory_bytes = 0;
  int calls_fd = -1;  // this role's end of the socket pair; stays the caller's
  const char* shim = nullptr;
  int fail_step = 0;  // test only
};

struct Spawned {
  pid_t init = -1;
  UniqueFd pidfd;
  UniqueFd status;   // SetupMessages, with the sender's credentials
  UniqueFd output;   // stdout and stderr
  UniqueFd source;   // where the program goes
  UniqueFd verdict;  // checker only
};

// Throws std::runtime_error when the kernel refuses the process or a pipe.
Spawned spawn(const Confinement&, const SpawnRequest&);

}  // namespace tasks::sandbox
