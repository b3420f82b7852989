// Owns what the launcher measured of one run, and the request for it. Plain bytes: both ends of the
// socket are the same program.
#pragma once

#include <cstdint>

namespace tasks::sandbox {

// Why the launcher killed a process. deaf: the program closed its channel and lived on.
enum class Hit : int32_t { none, cpu, idle, wall, output, deaf };

struct ProcessFacts {
  bool ended = false;       // by itself; wait_status holds how
  int32_t wait_status = 0;  // of python
  Hit hit = Hit::none;
  double cpu_s = 0;  // user + system, all threads
  int64_t peak_rss_bytes = 0;
};

struct RunFacts {
  char setup_error[256] = {};  // empty = both processes were armed and verified
  ProcessFacts candidate, checker;
  double wall_s = 0;
  double idle_s = 0;  // neither process ran or waited for a CPU: the program slept
  // The checker's message: exactly one, with the right token, before exit status 0.
  bool reported = false;
  char letter = 0;
  uint64_t n_calls = 0;
  char detail[401] = {};
};

struct RunRequest {
  double cpu_s = 0;
  double wall_s = 0;
  int64_t memory_bytes = 0;
  int64_t output_bytes = 0;  // 16 times as much is read before the program is stopped
  int32_t fail_step = 0;     // test only: this step of the candidate's set-up fails
  uint64_t sizes[4] = {};    // prompt, completion, test, entry point: bytes that follow
};

// The launcher's first message: how its set-up went.
struct LauncherHello {
  char error[256] = {};
  int32_t landlock_abi = 0;
};

}  // namespace tasks::sandbox
