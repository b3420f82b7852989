// Owns the choice of how the products over experts are run. Plain C++, for tests on the CPU too.
#pragma once

#include <cstdint>

#include "kernels/device_table.h"

namespace moeval_cuda {

struct PathQuery {
  int32_t type;
  int64_t d, width;
  int64_t n, places;  // experts, and rows over all of them
  bool is_hopper;
};

struct PathChoice {
  int32_t path;
  int32_t tile_rows;  // of kDevicePathTensor
};

constexpr int64_t kSkinnyDenseRows = 32;  // of a dense product; beyond, cuBLAS
constexpr int64_t kSkinnyMeanRows = 32;   // up to here the weights' bytes are what costs
constexpr int64_t kLowTileMeanRows = 96;
constexpr int64_t kPlainMeanRows = 32;  // fp32: up to here cuBLAS does not pay for the counts' trip

constexpr PathChoice choose_path(const PathQuery& q) {
  const auto mean_up_to = [&](int64_t rows) { return q.places <= rows * q.n; };
  const int32_t tile_rows = mean_up_to(kLowTileMeanRows) ? 64 : 128;
  if (q.type == kDeviceF32) {
    return {mean_up_to(kPlainMeanRows) ? kDevicePathPlain : kDevicePathLooped, tile_rows};
  }
  const bool by_8 = q.d % 8 == 0 && q.width % 8 == 0;
  if (by_8 && mean_up_to(kSkinnyMeanRows)) return {kDevicePathSkinny, tile_rows};
  if (by_8 && q.is_hopper) return {kDevicePathTensor, tile_rows};
  return {kDevicePathLooped, tile_rows};
}

}  // namespace moeval_cuda
