// Owns the system-call filter of every confined process.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace tasks::sandbox {

// An allow-list for a Python interpreter without network, new processes or writes:
//   listed calls are allowed; calls used to leave a sandbox kill the process (SIGSYS), as does
//   another architecture's call; clone3 answers ENOSYS (its flags cannot be looked at, libc then
//   uses clone); everything else answers EPERM.
// Throws std::runtime_error when libseccomp cannot build it.
std::vector<sock_filter> build_seccomp_filter();

}  // namespace tasks::sandbox
