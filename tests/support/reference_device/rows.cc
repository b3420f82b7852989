#include "tests/support/reference_device/rows.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace reference_device {
namespace {

void require(bool ok, const char* what, int64_t index) {
  if (!ok) throw DeviceError("rows of a step: " + std::string(what) + " " + std::to_string(index));
}

// Marks the rows of the tile; throws where it is not one.
void take_tile(const MoevalRows& rows, int64_t tile, std::vector<bool>& taken) {
  const int64_t first = rows.tiles[2 * tile], n = rows.tiles[2 * tile + 1];
  require(n >= 1 && n <= 64 && first >= 0 && first + n <= rows.m, "no such rows in tile", tile);
  for (int64_t r = first; r < first + n; ++r) {
    require(rows.positions[r] >= 0, "a padding row in tile", tile);
    require(rows.positions[r] == rows.positions[first] + (r - first), "a gap in tile", tile);
    require(rows.table_at[r] == rows.table_at[first], "two sequences in tile", tile);
    require(!taken[r], "in two tiles is row", r);
    taken[r] = true;
  }
}

}  // namespace

void check_rows(const MoevalDevice& device, const MoevalRows& rows) {
  device.memory.array<int32_t>(rows.positions, rows.m, "rows of a step: positions");
  device.memory.array<int32_t>(rows.table_at, rows.m, "rows of a step: table_at");
  device.memory.array<int32_t>(rows.tiles, 2 * rows.n_tiles, "rows of a step: tiles");
  std::vector<bool> taken(static_cast<size_t>(rows.m));
  for (int64_t t = 0; t < rows.n_tiles; ++t) take_tile(rows, t, taken);
  std::set<std::pair<int32_t, int32_t>> written;
  std::set<int32_t> sequences;
  for (int64_t r = 0; r < rows.m; ++r) {
    if (rows.positions[r] < 0) {
      require(rows.positions[r] == -1, "a position below -1 in row", r);
      continue;
    }
    require(rows.table_at[r] >= 0, "no table of row", r);
    require(written.emplace(rows.table_at[r], rows.positions[r]).second,
            "position of another row in row", r);
    if (rows.n_tiles > 0) {
      require(taken[r], "in no tile is row", r);
    } else {
      require(sequences.insert(rows.table_at[r]).second,
              "without tiles, sequence of another in row", r);
    }
  }
}

void* kv_block(const MoevalDevice& device, const MoevalRows& rows, int64_t r, int64_t position,
               int64_t bytes) {
  void* const* entry = rows.tables + rows.table_at[r] + position / kDeviceKvBlock;
  device.memory.array<void*>(entry, 1, "rows of a step: entry of tables");
  device.memory.array<char>(*entry, bytes, "rows of a step: KV block");
  return *entry;
}

}  // namespace reference_device
