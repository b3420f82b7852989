// Owns which kernel runs attention over paged keys and values, and the rotary embedding before it.
#pragma once

#include "kernels/cuda/context.cuh"
#include "kernels/cuda/kv_address.h"

namespace moeval_cuda {

// Norm and rotary embedding of a layer, as MoevalDeviceTable::rope_and_store has them.
struct Rope {
  MoevalQkNorm norm;
  const float* cos_sin;
  int64_t d_rot;
  bool interleaved;
};

// As in kernels/device_table.h.
void rope_and_store(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer, void* qkv,
                    const Rope&);
void attention(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer, const void* qkv,
               void* out, void* scratch);
void rope_attention(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer, void* qkv,
                    const Rope&, void* out, void* scratch);
uint64_t attention_scratch(const MoevalDevice&, const MoevalHeads&, int64_t max_rows);

// Throws DeviceError: what no kernel turns.
void check_rope(const MoevalHeads&, const Rope&);

// The kernels that attention() chooses from. The scratch is zeroed once, before its first use, and
// is as good as zeroed after each.
bool prefill_takes(const MoevalHeads&);
void attention_prefill(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer,
                       const void* qkv, void* out);
bool decode_takes(const MoevalHeads&);
inline constexpr int kMaxDecodeGroup = 16;  // query heads of a KV head
// rope null: qkv and the KV blocks are as rope_and_store leaves them.
void attention_decode(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer,
                      const void* qkv, const Rope* rope, void* out, void* scratch);
void attention_plain(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer,
                     const void* qkv, void* out);

// log2(e) / sqrt(d_head): scores are kept in units of which exp2 makes weights.
float score_scale_log2(int64_t d_head);

// 2^x of a score's distance to the largest; 0 of -inf.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Below every score; finite, so that a distance to it is a number. Masked scores are -inf.
constexpr float kNoScore = -1e30f;

}  // namespace moeval_cuda
