// Owns attention of many rows of a sequence at once, on tensor cores.
//
// A thread block takes one tile (up to 64 rows of one sequence) and one query head; each of its 4
// warps takes 16 rows. Queries, running sums and scores stay in registers, as fragments of mma
// m16n8k16; keys and values go through shared memory a KV block at a time, the next one being
// fetched while the current one is worked on. The softmax is online, in fp32.
//
// Fragments, with g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k16"):
//   A [16 rows, 16]: words (g, 2t..), (g + 8, 2t..), (g, 2t + 8..), (g + 8, 2t + 8..)
//   B [16, 8 columns]: words (2t.., g), (2t + 8.., g)
//   C [16 rows, 8]: values (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
// so the weights that C leaves are the A operand of the product with the values.
#include <cmath>

#include "kernels/cuda/attention.cuh"

namespace moeval_cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kRows = 16;  // of a warp
static_assert(kRows * kWarps == 64 && kKvPositions == 64);

template <class T>
struct PrefillArguments {
  const T* qkv;
  T* out;
  const int32_t* positions;
  const int32_t* table_at;
  void* const* tables;
  const int32_t* tiles;
  int layer, n_heads, n_kv_heads;
  float scale;
};

// Keys or values of a KV block; the shared memory holds both, twice.
template <int kHead>
constexpr uint32_t kTileBytes = kKvPositions* kHead * 2;

__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                bf16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                __half) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two values to T, the first one in the low half.
__device__ inline uint32_t pack(float low, float high, bf16) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
__device__ inline uint32_t pack(float low, float high, __half) {
  uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

// Four matrices of 8 x 8; lane l names row l % 8 of matrix l / 8.
__device__ inline void load_matrices(uint32_t (&to)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}
__device__ inline void load_transposed(uint32_t (&to)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

// Begins to copy [64, kHead] of T, which is contiguous. A round of all threads is some whole
// periods of the swizzle.
template <class T, int kHead>
__device__ void fetch(uint32_t to, const T* from) {
  constexpr int kChunks = kHead / 8;
  static_assert(kThreads % (8 * kChunks) == 0);
  const int thread = threadIdx.x;
  const uint32_t place = to + swizzled<kChunks>(thread / kChunks, thread % kChunks);
  const size_t source = __cvta_generic_to_global(from + thread * 8);
#pragma unroll
  for (int i = 0; i < kKvPositions * kChunks / kThreads; ++i) {
    const int bytes = i * kThreads * 16;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place + bytes),
                 "l"(source + bytes)
                 : "memory");
  }
}
__device__ inline void commit_fetches() { asm volatile("cp.async.commit_group;" ::: "memory"); }
__device__ inline void wait_for_fetches() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

template <class T, int kHead>
__global__ void __launch_bounds__(kThreads, 3) prefill_kernel(const PrefillArguments<T> a) {
  constexpr int kChunks = kHead / 8, kSteps = kHead / 16;
  constexpr uint32_t kTile = kTileBytes<kHead>, kSixteenRows = 16 * kHead * 2;
  constexpr unsigned kAll = 0xffffffffu;
  extern __shared__ __align__(128) unsigned char shared[];
  const auto shared_at = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  // The later tiles of a prompt see more: they begin first.
  const int64_t tile = gridDim.x - 1 - blockIdx.x;
  const int head = blockIdx.y, kv_head = head / (a.n_heads / a.n_kv_heads);
  const int first_row = a.tiles[2 * tile], n_rows = a.tiles[2 * tile + 1];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;

  // Every warp looks at the whole tile: where it ends, and a row that is no padding.
  const auto position_of = [&](int r) { return r < n_rows ? a.positions[first_row + r] : -1; };
  const int low = position_of(lane), high = position_of(lane + 32);
  const int last = __reduce_max_sync(kAll, max(low, high));
  if (last < 0) return;
  const unsigned low_rows = __ballot_sync(kAll, low >= 0),
                 high_rows = __ballot_sync(kAll, high >= 0);
  const int some_row = first_row + (low_rows != 0 ? __ffs(low_rows) - 1 : __ffs(high_rows) + 31);
  void* const* table = a.tables + a.table_at[some_row];

  // Of the warp: rows g and g + 8 are this lane's.
  const int rows[2] = {warp * kRows + g, warp * kRows + g + 8};
  const int positions[2] = {position_of(rows[0]), position_of(rows[1])};
  const int warp_last = __reduce_max_sync(kAll, max(positions[0], positions[1]));
  const auto or_last = [&](int position) { return position < 0 ? last : position; };
  const int warp_first = __reduce_min_sync(kAll, min(or_last(positions[0]), or_last(positions[1])));

  uint32_t q[kSteps][4];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const T* query =
        a.qkv +
        (static_cast<int64_t>(first_row + rows[i]) * (a.n_heads + 2 * a.n_kv_heads) + head) * kHead;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      q[k][i] = q[k][i + 2] = 0;
      if (positions[i] >= 0) {
        q[k][i] = *reinterpret_cast<const uint32_t*>(query + k * 16 + 2 * t);
        q[k][i + 2] = *reinterpret_cast<const uint32_t*>(query + k * 16 + 2 * t + 8);
      }
    }
  }

  float sums[2 * kSteps][4] = {};
  float largest[2] = {kNoScore, kNoScore},
        total[2] = {0.0f, 0.0f};  // total: of this lane's columns
  const int64_t keys_at = key_offset(a.layer, kv_head, a.n_kv_heads, kHead);
  const int n_blocks = last / kKvPositions + 1;
  const T* next_block = static_cast<const T*>(table[0]);
  const auto fetch_next = [&](int b) {  // block b, to its half of the shared memory
    const uint32_t to = shared_at + (b & 1) * 2 * kTile;
    fetch<T, kHead>(to, next_block + keys_at);
    fetch<T, kHead>(to + kTile, next_block + keys_at + a.n_kv_heads * kKvPositions * kHead);
    commit_fetches();
    if (b + 1 < n_blocks) next_block = static_cast<const T*>(table[b + 1]);
  };
  fetch_next(0);

  for (int b = 0; b < n_blocks; ++b) {
    // After the barrier block b has come for all threads, and all are done with block b - 1, whose
    // place block b + 1 takes.
    wait_for_fetches();
    __syncthreads();
    if (b + 1 < n_blocks) fetch_next(b + 1);
    const int begin = b * kKvPositions;
    if (begin > warp_last) continue;
    const uint32_t keys = shared_at + (b & 1) * 2 * kTile, values = keys + kTile;

    // Matrices of keys: positions 0-7 with elements 0-7 and 8-15, then positions 8-15. 16 rows
    // further the swizzle is the same.
    float s[kKvPositions / 8][4] = {};
    const int key_row = lane / 16 * 8 + lane % 8;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const uint32_t from = keys + swizzled<kChunks>(key_row, 2 * k + lane / 8 % 2);
#pragma unroll
      for (int n = 0; n < kKvPositions / 16; ++n) {
        uint32_t key[4];
        load_matrices(key, from + n * kSixteenRows);
        multiply(s[2 * n], q[k], key[0], key[1], T{});
        multiply(s[2 * n + 1], q[k], key[2], key[3], T{});
      }
    }
    if (begin + kKvPositions - 1 > warp_first) {
#pragma unroll
      for (int n = 0; n < kKvPositions / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (begin + n * 8 + 2 * t + i % 2 > positions[i / 2]) s[n][i] = -INFINITY;
        }
      }
    }

#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float next = largest[i];
#pragma unroll
      for (int n = 0; n < kKvPositions / 8; ++n) {
        next = fmaxf(next, fmaxf(s[n][2 * i], s[n][2 * i + 1]));
      }
      next = fmaxf(next, __shfl_xor_sync(kAll, next, 1));
      next = fmaxf(next, __shfl_xor_sync(kAll, next, 2));
      const float kept = exp2_fast((largest[i] - next) * a.scale), shift = next * a.scale;
      largest[i] = next;
      total[i] *= kept;
#pragma unroll
      for (int n = 0; n < kKvPositions / 8; ++n) {
        s[n][2 * i] = exp2_fast(fmaf(s[n][2 * i], a.scale, -shift));
        s[n][2 * i + 1] = exp2_fast(fmaf(s[n][2 * i + 1], a.scale, -shift));
        total[i] += s[n][2 * i] + s[n][2 * i + 1];
      }
#pragma unroll
      for (int n = 0; n < 2 * kSteps; ++n) {
        sums[n][2 * i] *= kept;
        sums[n][2 * i + 1] *= kept;
      }
    }

    // Matrices of values, transposed: elements 0-7 of positions 0-7 and 8-15, then elements 8-15.
#pragma unroll
    for (int k = 0; k < kKvPositions / 16; ++k) {
      const float(&even)[4] = s[2 * k];
      const float(&odd)[4] = s[2 * k + 1];
      const uint32_t weights[4] = {pack(even[0], even[1], T{}), pack(even[2], even[3], T{}),
                                   pack(odd[0], odd[1], T{}), pack(odd[2], odd[3], T{})};
#pragma unroll
      for (int n = 0; n < kSteps; ++n) {
        uint32_t value[4];
        load_transposed(
            value, values + swizzled<kChunks>(lane % 16, 2 * n + lane / 16) + k * kSixteenRows);
        multiply(sums[2 * n], weights, value[0], value[1], T{});
        multiply(sums[2 * n + 1], weights, value[2], value[3], T{});
      }
    }
  }

#pragma unroll
  for (int i = 0; i < 2; ++i) {
    total[i] += __shfl_xor_sync(kAll, total[i], 1);
    total[i] += __shfl_xor_sync(kAll, total[i], 2);
    if (positions[i] < 0) continue;
    const float inverse = 1.0f / total[i];
    T* out = a.out + (static_cast<int64_t>(first_row + rows[i]) * a.n_heads + head) * kHead + 2 * t;
#pragma unroll
    for (int n = 0; n < 2 * kSteps; ++n) {
      *reinterpret_cast<uint32_t*>(out + n * 8) =
          pack(sums[n][2 * i] * inverse, sums[n][2 * i + 1] * inverse, T{});
    }
  }
}

template <class T, int kHead>
void launch(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows, int32_t layer,
            const void* qkv, void* out) {
  const PrefillArguments<T> a{static_cast<const T*>(qkv),
                              static_cast<T*>(out),
                              rows.positions,
                              rows.table_at,
                              rows.tables,
                              rows.tiles,
                              layer,
                              static_cast<int>(heads.n_heads),
                              static_cast<int>(heads.n_kv_heads),
                              score_scale_log2(kHead)};
  constexpr int kBytes = 4 * kTileBytes<kHead>;
  const auto kernel = prefill_kernel<T, kHead>;
  if (kBytes > 48 * 1024) {  // more than a kernel may have unasked; the device remembers
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
          "attention_prefill: shared memory");
  }
  const dim3 grid(static_cast<unsigned>(rows.n_tiles), static_cast<unsigned>(heads.n_heads));
  kernel<<<grid, kThreads, kBytes, device.stream>>>(a);
  check_launch("attention_prefill");
}

}  // namespace

bool prefill_takes(const MoevalHeads& heads) {
  return heads.type != kDeviceF32 && (heads.d_head == 64 || heads.d_head == 128);
}

void attention_prefill(MoevalDevice& device, const MoevalHeads& heads, const MoevalRows& rows,
                       int32_t layer, const void* qkv, void* out) {
  if (rows.n_tiles == 0) return;
  const bool small = heads.d_head == 64;
  if (heads.type == kDeviceF16) {
    small ? launch<__half, 64>(device, heads, rows, layer, qkv, out)
          : launch<__half, 128>(device, heads, rows, layer, qkv, out);
  } else {
    small ? launch<bf16, 64>(device, heads, rows, layer, qkv, out)
          : launch<bf16, 128>(device, heads, rows, layer, qkv, out);
  }
}

}  // namespace moeval_cuda
