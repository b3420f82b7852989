// Contract of the checks that the rows of a step are what kernels/device_table.h asks for.
#pragma once

#include "kernels/device_table.h"
#include "tests/support/reference_device/device.h"

namespace reference_device {

// Throws DeviceError unless no two rows write one position and either, with tiles: every row that
// is not padding is in exactly one, and each has 1..64 rows, none of them padding, of one sequence
// and at consecutive positions; or, without: no two rows are of one sequence.
void check_rows(const MoevalDevice&, const MoevalRows&);

// KV block of a position of row r. Throws unless its `bytes` are device memory.
void* kv_block(const MoevalDevice&, const MoevalRows&, int64_t r, int64_t position, int64_t bytes);

}  // namespace reference_device
