// Owns what every confined process of one launcher shares: the private root, the Landlock rules,
// the system-call filter. Built once, in the launcher, before it serves anything.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "tasks/sandbox/unique_fd.h"

namespace tasks::sandbox {

struct Confinement {
  int tier = 0;             // 1 root, 2 user namespace, 3 no namespaces
  bool has_caps = false;    // may drop uids and the bounding set: root, or tier 2
  uid_t candidate_uid = 0;  // as seen in the launcher's own user namespace
  uid_t checker_uid = 0;
  std::string interpreter;  // absolute path beneath /usr
  std::vector<sock_filter> filter;
  UniqueFd landlock;   // ruleset
  UniqueFd host_proc;  // the /proc that shows the confined processes
  int landlock_abi = 0;
};

// Ids that nothing else on this machine uses; the launcher of slot s takes 2 s and 2 s + 1.
// Found before the fork because it reads the user database. Only needed by root.
constexpr int kMaxSlots = 16;
uid_t find_unused_uids();

// Turns the calling process into a launcher: for tiers 1 and 2 it enters its own mount (and user)
// namespace, makes a root that holds /usr read-only and three device nodes, and pivots into it.
// Throws std::runtime_error naming the step and the system's reason.
Confinement confine_launcher(int tier, int slot, uid_t first_uid, const std::string& interpreter);

}  // namespace tasks::sandbox
