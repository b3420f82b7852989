// Owns the products over experts on sm_90a: persistent CTAs of one producer and two consumer
// warpgroups; TMA fills a ring of swizzled tiles, wgmma reads them. Group sizes are read on the
// device and no group is padded: a tile that hangs over its expert's rows or columns reads what
// follows (or zeros, past the buffer), and the store leaves that out.
#include <algorithm>
#include <atomic>

#include "kernels/cuda/expert_tiles.h"
#include "kernels/cuda/grouped_tensor.cuh"
#include "kernels/cuda/hopper.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 384;
constexpr int kConsumerWarps = 8;
constexpr int kBRows = 256;     // rows of weights in a tile
constexpr int kStoreCols = 64;  // columns that a warp stores at once

// GATED: half of the weight rows are gate's and half up's, and the output is silu(gate) * up.
// BM 128: each consumer warpgroup has 64 rows and all columns; 64: all rows and half of the
// columns.
template <bool GATED, int BM>
struct Shape {
  static_assert(BM == 64 || BM == 128);
  static constexpr int kStages = BM == 128 ? 4 : 5;
  static constexpr int kTileCols = GATED ? kBRows / 2 : kBRows;  // columns of the output
  static constexpr int kWgmmaN = BM == 128 ? kBRows : kBRows / 2;
  static constexpr int kOutCols = GATED ? kWgmmaN / 2 : kWgmmaN;  // of one warpgroup
  // Boxes of weights alternate between gate and up such that a warpgroup's rows are gate, then up.
  static constexpr int kBoxRows = GATED ? kOutCols : kBRows;
  static constexpr int kABytes = BM * kSwizzleBytes;
  static constexpr int kStageBytes = kABytes + kBRows * kSwizzleBytes;
  static constexpr int kWarpStoreBytes = 16 * kStoreCols * 2;
  // From a multiple of 1024: stages, what is stored, barriers, starts.
  static constexpr int kStoreAt = kStages * kStageBytes;
  static constexpr int kBarriersAt = kStoreAt + kConsumerWarps * kWarpStoreBytes;
  static constexpr int kStartsAt = kBarriersAt + 2 * kStages * 8;
  static constexpr int kSharedBytes = 1024 + kStartsAt + (kTensorMaxExperts + 1) * 4;
  static_assert(kSharedBytes <= 232448);
};

struct GroupedArgs {
  const int32_t *counts, *offsets;  // of the call's first expert
  void* out;                        // [places, n_out]
  int32_t n, n_out, n_in;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Where the ring stands; the parity flips each time round.
template <int STAGES>
struct Ring {
  uint32_t barriers;  // full ones, then empty ones
  int stage = 0;
  uint32_t parity = 0;

  __device__ uint32_t full() const { return barriers + stage * 8; }
  __device__ uint32_t empty() const { return barriers + (STAGES + stage) * 8; }
  __device__ void advance() {
    if (++stage == STAGES) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// By the whole CTA; starts [n + 1] in shared memory.
__device__ void write_starts(const int32_t* counts, int n, int tile_rows, int32_t* starts) {
  for (int i = threadIdx.x; i < n; i += kThreads) starts[i + 1] = tiles_over(counts[i], tile_rows);
  if (threadIdx.x == 0) starts[0] = 0;
  __syncthreads();
  if (threadIdx.x < 32) {
    const int lane = threadIdx.x, each = (n + 31) / 32;
    const int begin = min(lane * each, n), end = min(begin + each, n);
    int sum = 0;
    for (int i = begin; i < end; ++i) sum += starts[i + 1];
    int before = sum;
    for (int step = 1; step < 32; step *= 2) {
      const int other = __shfl_up_sync(~0u, before, step);
      if (lane >= step) before += other;
    }
    before -= sum;
    for (int i = begin; i < end; ++i) starts[i + 1] = before += starts[i + 1];
  }
  __syncthreads();
}

__device__ inline uint32_t pack(float a, float b, bf16) {
  const __nv_bfloat162 v = __floats2bfloat162_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&v);
}
__device__ inline uint32_t pack(float a, float b, __half) {
  const __half2 v = __floats2half2_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&v);
}

// Rounds and stores a warp's 16 rows, of which `rows` exist, and of their columns those < cols.
// out: the first row's first column.
template <class T, bool GATED, int OUT_COLS, int N>
__device__ void store_rows(const float (&c)[N], char* staging, T* out, int64_t stride, int rows,
                           int cols) {
  const int lane = threadIdx.x % 32;
  const auto value = [&](int block, int i) {
    const float v = c[block * 4 + i];
    if constexpr (!GATED) return v;
    // The fast division is exact to 2 ulp, and 0 where the divisor is past 2^126, as it should be.
    return __fdividef(v, 1.0f + __expf(-v)) * c[(OUT_COLS / 8 + block) * 4 + i];
  };
  const auto pair = [&](int block, int i) {
    return pack(value(block, i), value(block, i + 1), T{});
  };
  const int row = lane % 16, half = lane / 16;
  const uint32_t to = hopper::shared_address(staging);
#pragma unroll
  for (int at = 0; at < OUT_COLS; at += kStoreCols) {
    __syncwarp();  // the rows stored before this have been read
#pragma unroll
    for (int j = 0; j < kStoreCols / 8; j += 2) {
      const int block = at / 8 + j;
      hopper::store_matrices(to + swizzled(row, (j + half) * 16), pair(block, 0), pair(block, 2),
                             pair(block + 1, 0), pair(block + 1, 2));
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int r = i * 4 + lane / 8, chunk = lane % 8, col = at + chunk * 8;
      const uint4 v = *reinterpret_cast<const uint4*>(staging + swizzled(r, chunk * 16));
      if (r < rows && col < cols) *reinterpret_cast<uint4*>(out + r * stride + col) = v;
    }
  }
}

template <bool GATED, int BM>
__device__ void produce(const CUtensorMap* a_map, const CUtensorMap* b_map,
                        const CUtensorMap* up_map, const GroupedArgs& args, const int32_t* starts,
                        uint32_t tiles, uint32_t barriers) {
  using S = Shape<GATED, BM>;
  Ring<S::kStages> ring{barriers};
  const int n_tiles = tiles_over(args.n_out, S::kTileCols);
  const int total = total_tiles(starts, args.n, n_tiles);
  for (int tile = blockIdx.x; tile < total; tile += gridDim.x) {
    const ExpertTile t = find_tile(starts, args.n, n_tiles, tile);
    const int a_row = args.offsets[t.expert] + t.m * BM;
    const int b_row = t.expert * args.n_out + t.n * S::kTileCols;
    for (int k = 0; k < args.n_in; k += kTileK) {
      hopper::barrier_wait(ring.empty(), ring.parity ^ 1);
      hopper::barrier_expect(ring.full(), S::kStageBytes);
      const uint32_t a = tiles + ring.stage * S::kStageBytes, b = a + S::kABytes;
      hopper::copy_box(a, a_map, k, a_row, ring.full());
#pragma unroll
      for (int i = 0; i < kBRows / S::kBoxRows; ++i) {
        hopper::copy_box(b + i * S::kBoxRows * kSwizzleBytes, GATED && i % 2 ? up_map : b_map, k,
                         b_row + (GATED ? i / 2 : i) * S::kBoxRows, ring.full());
      }
      ring.advance();
    }
  }
}

template <class T, bool GATED, int BM>
__device__ void consume(const GroupedArgs& args, const int32_t* starts, uint32_t tiles,
                        uint32_t barriers, char* staging, int group) {
  using S = Shape<GATED, BM>;
  Ring<S::kStages> ring{barriers};
  const int n_tiles = tiles_over(args.n_out, S::kTileCols);
  const int total = total_tiles(starts, args.n, n_tiles);
  const int warp = threadIdx.x / 32 % 4;
  const bool arrives = threadIdx.x % 32 == 0;
  const int row_at = BM == 128 ? group * 64 : 0, col_at = BM == 128 ? 0 : group * S::kOutCols;
  const uint64_t a_base = wgmma_descriptor(tiles + row_at * kSwizzleBytes);
  const uint64_t b_base =
      wgmma_descriptor(tiles + S::kABytes + (BM == 128 ? 0 : group * S::kWgmmaN * kSwizzleBytes));
  float c[S::kWgmmaN / 2] = {};

  for (int tile = blockIdx.x; tile < total; tile += gridDim.x) {
    const ExpertTile t = find_tile(starts, args.n, n_tiles, tile);
    const int row = t.m * BM + row_at, col = t.n * S::kTileCols + col_at;
    const int rows = args.counts[t.expert] - row, cols = args.n_out - col;
    if (rows <= 0 || cols <= 0) {  // nothing to do, which leaves the tensor cores to the others
      for (int k = 0; k < args.n_in; k += kTileK) {
        hopper::barrier_wait(ring.full(), ring.parity);
        hopper::barrier_arrive(ring.empty(), arrives);
        ring.advance();
      }
      continue;
    }

    uint32_t reading = 0;  // the barrier of the stage that wgmma may still read
    hopper::pin(c);
    for (int k = 0; k < args.n_in; k += kTileK) {
      hopper::barrier_wait(ring.full(), ring.parity);
      const uint32_t stage = ring.stage * S::kStageBytes;
      hopper::wgmma_fence();
#pragma unroll
      for (int step = 0; step < kTileK / 16; ++step) {
        const uint32_t at = stage + step * 32;
        hopper::wgmma<T>(c, descriptor_at(a_base, at), descriptor_at(b_base, at), k + step);
      }
      hopper::wgmma_commit();
      hopper::wgmma_wait<1>();
      hopper::barrier_arrive(reading, arrives && k > 0);
      reading = ring.empty();
      ring.advance();
    }
    hopper::wgmma_wait<0>();
    hopper::pin(c);
    hopper::barrier_arrive(reading, arrives);

    if (rows > warp * 16) {
      T* out = static_cast<T*>(args.out) +
               (args.offsets[t.expert] + row + warp * 16) * static_cast<int64_t>(args.n_out) + col;
      store_rows<T, GATED, S::kOutCols>(c, staging, out, args.n_out, rows - warp * 16, cols);
    }
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

// up_map: of up, where GATED.
template <class T, bool GATED, int BM>
__global__ void __launch_bounds__(kThreads, 1)
    grouped_kernel([[maybe_unused]] const __grid_constant__ CUtensorMap a_map,
                   [[maybe_unused]] const __grid_constant__ CUtensorMap b_map,
                   [[maybe_unused]] const __grid_constant__ CUtensorMap up_map,
                   [[maybe_unused]] const GroupedArgs args) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using S = Shape<GATED, BM>;
  extern __shared__ char raw[];
  const uint32_t raw_at = hopper::shared_address(raw);
  const uint32_t tiles = (raw_at + 1023u) & ~1023u;
  char* base = raw + (tiles - raw_at);
  const uint32_t barriers = tiles + S::kBarriersAt;
  auto* starts = reinterpret_cast<int32_t*>(base + S::kStartsAt);

  if (threadIdx.x == 0) {
    hopper::prefetch_map(&a_map);
    hopper::prefetch_map(&b_map);
    if constexpr (GATED) hopper::prefetch_map(&up_map);
    for (int i = 0; i < S::kStages; ++i) {
      hopper::barrier_init(barriers + i * 8, 1);
      hopper::barrier_init(barriers + (S::kStages + i) * 8, kConsumerWarps);
    }
    hopper::fence_barrier_init();
  }
  write_starts(args.counts, args.n, BM, starts);  // ends with a barrier of the CTA

  // 40 + 2 * 232 registers of the 3 * 168 that the CTA starts with.
  const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
  if (group == 0) {
    hopper::registers_down<40>();
    // The consumers wait for all that is copied: shared memory outlives this thread.
    if (threadIdx.x == 0) {
      produce<GATED, BM>(&a_map, &b_map, &up_map, args, starts, tiles, barriers);
    }
  } else {
    hopper::registers_up<232>();
    const int warp = threadIdx.x / 32 - 4;
    consume<T, GATED, BM>(args, starts, tiles, barriers,
                          base + S::kStoreAt + warp * S::kWarpStoreBytes, group - 1);
  }
#else
  __trap();
#endif
}

// The driver's function without linking to the driver.
decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
  static const auto found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                           cudaEnableDefault, &result),
          "cuTensorMapEncodeTiled");
    if (result != cudaDriverEntryPointSuccess || !function) {
      throw DeviceError("the driver has no cuTensorMapEncodeTiled");
    }
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  return found;
}

// Boxes of box_rows x 64 values of a matrix [rows, cols] of T.
CUtensorMap tensor_map(int32_t type, const void* base, int64_t rows, int64_t cols, int box_rows) {
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(cols), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(cols) * 2};
  const cuuint32_t box[] = {kTileK, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  CUtensorMap map;
  const CUresult code = tensor_map_encoder()(
      &map,
      type == kDeviceBf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2,
      const_cast<void*>(base), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS) {
    throw DeviceError("cuTensorMapEncodeTiled of [" + std::to_string(rows) + ", " +
                      std::to_string(cols) + "]: code " + std::to_string(code));
  }
  return map;
}

// One product: a [rows, n_in] by place, weights b (and up, or null) [n * n_out, n_in].
struct Product {
  const void *a, *b, *up;
  int64_t rows;
  GroupedArgs args;
};

template <class T, bool GATED, int BM>
void launch(MoevalDevice& device, const Product& p, int64_t places) {
  using S = Shape<GATED, BM>;
  const auto kernel = grouped_kernel<T, GATED, BM>;
  static std::atomic<uint64_t> allowed{0};  // devices whose limit of shared memory is raised
  const uint64_t bit = 1ull << (device.index & 63);
  if (!(allowed.load() & bit)) {
    check(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kSharedBytes),
        "shared memory of the grouped product");
    allowed.fetch_or(bit);
  }
  constexpr int32_t type = type_of<T>();
  const int64_t weight_rows = static_cast<int64_t>(p.args.n) * p.args.n_out;
  const CUtensorMap a = tensor_map(type, p.a, p.rows, p.args.n_in, BM);
  const CUtensorMap b = tensor_map(type, p.b, weight_rows, p.args.n_in, S::kBoxRows);
  const CUtensorMap up = GATED ? tensor_map(type, p.up, weight_rows, p.args.n_in, S::kBoxRows) : b;
  const int64_t most = (places / BM + p.args.n) * ceil_div(p.args.n_out, S::kTileCols);
  const int grid = static_cast<int>(std::min<int64_t>(device.sms(), most));
  kernel<<<grid, kThreads, S::kSharedBytes, device.stream>>>(a, b, up, p.args);
  check_launch("grouped product");
}

template <class T, int BM>
void run(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch) {
  const int32_t d = static_cast<int32_t>(e.d), width = static_cast<int32_t>(e.width);
  const int32_t *counts = dispatch.counts + e.first, *offsets = dispatch.offsets + e.first;
  const int64_t rows = e.m * kDeviceMaxChosen;
  launch<T, true, BM>(device,
                      {e.gathered, e.gate, e.up, rows, {counts, offsets, e.hidden, e.n, width, d}},
                      e.places);
  launch<T, false, BM>(
      device, {e.hidden, e.down, nullptr, rows, {counts, offsets, e.y, e.n, d, width}}, e.places);
}

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

}  // namespace

bool tensor_takes(const MoevalDevice& device, const MoevalExperts& e) {
  return device.is_hopper() && (e.type == kDeviceBf16 || e.type == kDeviceF16) && e.d % 8 == 0 &&
         e.width % 8 == 0 && e.n <= kTensorMaxExperts && aligned(e.gate) && aligned(e.up) &&
         aligned(e.down) && aligned(e.gathered) && aligned(e.hidden) && aligned(e.y);
}

void experts_tensor(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch,
                    int tile_rows) {
  if (!tensor_takes(device, e)) {
    throw DeviceError("the tensor path takes 16-bit types on sm_90, sizes by 8 and at most " +
                      std::to_string(kTensorMaxExperts) + " experts");
  }
  if (tile_rows != 64 && tile_rows != 128) {
    throw DeviceError("no tiles of " + std::to_string(tile_rows) + " rows");
  }
  if (e.m == 0 || e.places == 0 || e.n == 0) return;
  const auto by_height = [&](auto zero) {
    using T = decltype(zero);
    tile_rows == 64 ? run<T, 64>(device, e, dispatch) : run<T, 128>(device, e, dispatch);
  };
  e.type == kDeviceBf16 ? by_height(bf16{}) : by_height(__half{});
}

}  // namespace moeval_cuda
