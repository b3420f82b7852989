#include "engine/nearest_name.h"

#include <algorithm>
#include <numeric>

namespace engine {
namespace {

// Source: Wagner & Fischer 1974, one row at a time.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

NearestName nearest_name(std::string_view written, const std::vector<std::string_view>& known) {
  NearestName best{known.front(), edit_distance(written, known.front()), false};
  for (const std::string_view name : known) {
    const size_t distance = edit_distance(written, name);
    if (distance < best.distance) best = {name, distance, false};
  }
  best.likely = best.distance <= std::max<size_t>(written.size() / 3, 1);
  return best;
}

}  // namespace engine
