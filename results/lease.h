// Owns the lease: at most one living process writes to a store. A row in the file says who holds
// it; a kernel lock on FILE-lease, which dies with its process, settles what the row cannot tell
// (another pid name space on the same machine). Internal to results/.
#pragma once

#include <cstdint>
#include <string>

#include "results/sqlite.h"

namespace results {

struct ProcessIdentity {
  int64_t pid = 0;
  int64_t start_ticks = 0;  // of the process, clock ticks since boot: tells a reused pid
  std::string boot_id;
  std::string host;
  std::string pid_namespace;
  static ProcessIdentity self();
};

// alive: certainly; gone: certainly not; unknown: same boot, but its pid means nothing here.
enum class Liveness { alive, gone, unknown };
Liveness examine(const ProcessIdentity& holder, const ProcessIdentity& self);

class Lease {
 public:
  // Takes the kernel lock. Throws StoreError naming the holder.
  explicit Lease(Database&);
  ~Lease();  // gives the lock back; the row goes with release()
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  // Inside the caller's transaction: refuses a living holder, replaces a dead one.
  void write_row(int64_t run_id);
  void release();  // deletes the row

 private:
  void refuse_living_holder() const;

  Database& db_;
  ProcessIdentity self_;
  std::string lock_path_;
  int lock_fd_ = -1;
};

}  // namespace results
