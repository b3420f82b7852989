// Owns reading back the rows that hang on an attempt. Internal to results/.
#pragma once

#include <optional>
#include <vector>

#include "results/records.h"
#include "results/sqlite.h"

namespace results {

class AttemptParts {
 public:
  explicit AttemptParts(Database&);
  std::vector<OptionRow> options(int64_t attempt_id);
  std::vector<LayerRow> layers(int64_t attempt_id);
  // Throws StoreError when the packed counts are not what their shape says.
  std::optional<ExpertCounts> experts(int64_t attempt_id);

 private:
  Database& db_;
  Statement options_, layers_, experts_;
};

}  // namespace results
