// Owns the result store: one SQLite file, one writer. A sample counts as done only after its
// COMMIT returned; what is stored is append-only but for run.status and verdicts added later.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "results/records.h"
#include "results/store_error.h"

namespace results {

inline constexpr int64_t kApplicationId = 1297042246;  // "MOEF"
inline constexpr int64_t kSchemaVersion = 4;

struct StoreOptions {
  size_t queue_capacity = 64;  // bundles waiting for the writer; append() blocks when full
  int busy_timeout_ms = 10000;
};

struct RunCounts {
  int64_t planned = 0;
  int64_t done = 0;      // planned rows with an attempt that is not an infrastructure failure
  int64_t attempts = 0;  // stored, infrastructure failures included
  int64_t infra = 0;
};

struct Problem {
  std::string where;  // "run 3 attempt 17", "run 3 planned 5"
  std::string what;   // one line
};

struct VerifyReport {
  int64_t runs = 0, attempts = 0, verdicts = 0, prefixes = 0;
  std::vector<Problem> problems;    // something stored is not what was written
  std::vector<Problem> incomplete;  // planned, not done
};

// Thread-safe after begin_or_resume. All functions throw StoreError; the message names the file.
class ResultStore {
 public:
  enum class Mode { read, write };  // write creates the file when there is none

  // Existing file: checks kind, version and quick_check, and migrates an older one (write mode;
  // a backup made first lies beside it). Refuses, untouched: no database, empty file, foreign or
  // newer file, network file system, missing folder.
  static std::unique_ptr<ResultStore> open(const std::filesystem::path&, Mode,
                                           const StoreOptions& = {});
  ~ResultStore();  // stops the writer after what is queued; an unfinished run can be resumed

  // Takes the file's lease (a second live process is refused), stores plan and dimensions, starts
  // the writer thread. One run per store object. Throws FingerprintMismatch when a run was asked
  // for by its uuid (or by StartMode::resume) and was made with another plan.
  RunStart begin_or_resume(const RunPlan&);

  // Queues one finished attempt; blocks while the queue is full. on_committed is called on the
  // writer thread after COMMIT returned (it must not call the store). After a write error nothing
  // more is taken: this and every later call throws, and what could not be stored is in
  // unstored_file().
  void append(AttemptBundle, std::function<void()> on_committed = {});
  void flush();  // returns when all that was appended is committed

  // Flushes, counts, records the end of the session, truncates the WAL, gives the lease back.
  // status: complete | interrupted | incomplete | failed. `complete` is recorded as `incomplete`
  // when a planned row is not done. Returns the status recorded.
  std::string finish(std::string_view status);

  RunCounts counts(int64_t run_id) const;

  // Adds or (same scorer) replaces verdicts of stored attempts, all in one transaction: marking
  // again, measurements untouched. Any run; needs write mode and no run in progress.
  void put_verdicts(const std::vector<AttemptVerdict>&);

  // Recomputes every checksum and the chain of a run (all runs when empty), compares planned with
  // done, and runs integrity_check and foreign_key_check.
  VerifyReport verify(std::string_view run_uuid = {}) const;

  const std::filesystem::path& path() const;
  std::filesystem::path unstored_file() const;  // empty unless a write failed

 private:
  friend class StoreReader;  // for queries.h: the connection and its lock
  struct Impl;
  explicit ResultStore(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace results
