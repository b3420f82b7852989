// Owns the choice of instruction set: the best one this machine has, unless a caller forces
// another.
#pragma once

#include <string_view>
#include <vector>

namespace kernels {

// Name of the instruction set in use: "avx512", "avx2", "neon" or "portable". Results are bitwise
// the same only within one of them.
std::string_view isa();

// Those compiled in and supported by this machine, best first; "portable" is always the last.
std::vector<std::string_view> available_isas();

// From now on every op uses `name`; "" restores the best one. False, and no change, if this machine
// lacks it. Not to be called while an op runs.
bool force_isa(std::string_view name);

}  // namespace kernels
