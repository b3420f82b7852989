// Owns the pairing of a run's queries: every shifted one beside the same sample as it is, and
// beside an edit of the same length without content where that ran.
#pragma once

#include <string>
#include <vector>

#include "harness/allocation.h"

namespace harness {

struct Twins {
  const AuditedQuery* clean = nullptr;
  const AuditedQuery* shifted = nullptr;
  const AuditedQuery* neutral = nullptr;  // may be null
};

struct TwinsOfForm {
  std::string form;
  std::vector<Twins> pairs;  // not empty; by sample
};

// Of queries of one task, in the order in which forms first appear.
std::vector<TwinsOfForm> twins_by_form(const std::vector<const AuditedQuery*>&);

}  // namespace harness
