// Owns the list of the worst grants: most experts missing, most FLOPs wasted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "harness/allocation.h"

namespace harness {

struct WorstQuery {
  std::string sample, form, text;
  Allocation allocation = Allocation::exact;
  double k = 0;
  int32_t k_stable = 0;
  double wasted_flops = 0;
  int64_t attempt_id = 0;
};

struct WorstQueries {
  std::vector<WorstQuery> under, over;  // worst first, each sample once; texts are the caller's
};

// Of queries with a known need, at most so many a direction.
WorstQueries worst_queries(const std::vector<const AuditedQuery*>&,
                           const std::vector<int32_t>& grid, size_t most);

}  // namespace harness
