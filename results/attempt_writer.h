// Owns the writing of one finished attempt with all its rows. Internal to results/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "results/plan.h"
#include "results/records.h"
#include "results/sqlite.h"

namespace results {

// What an attempt's checksum covers besides its own columns.
struct AttemptContext {
  std::string run_uuid;
  std::string identity_sha256;  // of the planned row
  int64_t try_ix = 0;
  std::string prompt_sha256;
  std::optional<std::string> output_sha256;
};

std::string attempt_checksum(const AttemptContext&, const AttemptRow&,
                             const std::vector<OptionRow>&, const std::vector<LayerRow>&,
                             const std::optional<ExpertCounts>&);
std::string verdict_checksum(const std::string& attempt_row_sha256, const VerdictRow&,
                             const std::string& scored_at);
std::string prefix_checksum(const std::string& run_uuid, const std::string& policy_row_sha256,
                            int64_t compute_ix, const PrefixRow&);

// Unsigned LEB128: most counts of a query fit one byte.
std::string pack_counts(const std::vector<uint32_t>&);
// False when the bytes are not exactly `n` counts.
bool unpack_counts(std::string_view packed, size_t n, std::vector<uint32_t>& counts);

// Adds a verdict, or replaces the one of the same scorer.
class VerdictWriter {
 public:
  explicit VerdictWriter(Database&);
  void put(int64_t attempt_id, const std::string& attempt_row_sha256, const VerdictRow&);

 private:
  Statement statement_;
};

class AttemptWriter {
 public:
  AttemptWriter(Database&, ActiveRun&);
  // One transaction; returned means committed. Moves the run's chain forward.
  void store(const AttemptBundle&);

 private:
  int64_t text_id(const std::string& sha256, const std::string& body);
  int64_t query_id(const PlannedKey&, const QueryRow&, const std::string& prompt_sha256);
  void store_prefix(const PrefixRow&);

  Database& db_;
  ActiveRun& run_;
  Statement find_text_, add_text_, find_query_, add_query_, find_try_, add_attempt_, add_option_,
      add_layer_, add_expert_, add_prefix_;
  VerdictWriter verdicts_;
  std::string last_prefix_, last_prefix_sha256_;  // neighbours share their demonstrations
};

}  // namespace results
