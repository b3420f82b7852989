// Owns the beginning of a run: finding the run to continue, comparing fingerprints, storing plan
// and dimensions. Internal to results/.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/lease.h"
#include "results/records.h"
#include "results/sqlite.h"

namespace results {

// What the writer needs to know of a planned attempt.
struct PlannedKey {
  int64_t sample_id = 0, shift_id = 0, shift_seed = 0, policy_id = 0, repeat_ix = 0;
  std::string identity_sha256;  // over the natural keys of sample, task, shift and policy
};

struct ActiveRun {
  int64_t run_id = 0, session_ix = 0;
  std::string run_uuid;
  std::vector<PlannedKey> planned;  // by ordinal
  std::vector<int64_t> policy_ids;  // by index into RunPlan::policies
  std::vector<std::string> policy_row_sha256;
  std::string last_chain_sha256;
  int64_t next_chain_ix = 0;
  bool was_complete = false;  // nothing to do: no session was begun, nothing will be written
};

std::string fingerprint_json(const std::map<std::string, std::string>&);

// One line that names every key that differs and both values; empty when equal.
std::string fingerprint_difference(const std::string& stored_json, const std::string& new_json);

// One transaction: all of the plan, the session and the lease, or nothing.
RunStart begin_run(Database&, Lease&, const RunPlan&, ActiveRun&);

// Hashes that verify recomputes from the file.

// PlannedKey::identity_sha256, from the rows' own checksums.
std::string planned_identity(const std::string& task_row_sha256,
                             const std::string& dataset_row_sha256, const SampleRow&,
                             const std::string& shift_row_sha256,
                             const std::string& policy_row_sha256, int64_t shift_seed,
                             int64_t repeat_ix);

class PlanHasher {  // over identities in plan order
 public:
  void add(const std::string& identity_sha256);
  const std::string& sha256() const { return sha_; }

 private:
  std::string sha_ = std::string(64, '0');
};
std::string run_checksum(const RunRow&, const std::string& fingerprint_json,
                         const std::string& plan_sha256, const std::string& model_row_sha256,
                         const std::string& environment_row_sha256, const std::string& started_at);

}  // namespace results
