#include "tasks/query.h"

#include <cassert>

namespace tasks {

std::string Query::prompt(size_t n_demonstrations) const {
  assert(!is_chat && n_demonstrations <= demonstrations.size());
  std::string out = header;
  for (size_t i = 0; i < n_demonstrations; ++i) out += demonstrations[i];
  return out + item;
}

}  // namespace tasks
