// Owns the standard tables of a sweep: decisions that any policy is to be held against.
//
//   oracle          k_stable; where a question is right at some k but not stably, the smallest such
//                   k; where it is right at none, the smallest k of the grid
//   shuffled        the oracle's decisions dealt to other questions of the task
//   matched_random  drawn for each question from the oracle's frequencies in its task
//   length_only     the oracle's decisions dealt by length: the longest question gets the largest k
//   shortcut        ladder suites only: what a predictor grants that learned the filler word, which
//                   goes along with difficulty but means nothing (datasets/ladder_suite.h)
//
// Written as tables of engine/policy/table_policy.h, keyed "task:sample". Questions that were not
// graded at every k are left out. Questions under a shift have entries of their own
// ("task:sample@family/severity") in oracle and shortcut; elsewhere they are granted what their
// clean twin is. Deterministic in the seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/sweep_report.h"

namespace harness {

using KTable = std::map<std::string, int32_t>;  // "task:sample" -> k

struct StandardTables {
  KTable oracle, shuffled, matched_random, length_only;
  KTable shortcut;  // empty but for the ladder
};

// length_of: bytes of a sample's question, by task and sample.
StandardTables make_standard_tables(
    const Sweep&, uint64_t seed,
    const std::function<int64_t(const std::string& task, const std::string& sample)>& length_of);

// Writes folder/NAME.json, a table of engine/policy/table_policy.h; the folder is made. Throws
// InfrastructureError. Returns the file.
std::filesystem::path write_table(const std::filesystem::path& folder, const std::string& name,
                                  const std::string& model_sha256, const std::string& note,
                                  const KTable&);

// Writes each table that is not empty.
// Throws InfrastructureError. Returns the files.
std::vector<std::filesystem::path> write_tables(const std::filesystem::path& folder, const Sweep&,
                                                const StandardTables&);

}  // namespace harness
