// Contracts of the reference device's ops: those of kernels/device_table.h, where a pointer to a
// struct there is a reference here. A mistake in their arguments is a DeviceError.
#pragma once

#include "kernels/device_table.h"
#include "tests/support/reference_device/device.h"

namespace reference_device {

// transfer.cc
void upload(MoevalDevice&, void* dst, const void* host, uint64_t bytes);
void download(MoevalDevice&, void* host, const void* src, uint64_t bytes);
void zero(MoevalDevice&, void* dst, uint64_t bytes);
void copy_2d(MoevalDevice&, void* dst, const void* src, uint64_t pitch, uint64_t width,
             uint64_t height);

// dense.cc
void embed(MoevalDevice&, int32_t type, const void* table, const int32_t* tokens, int64_t m,
           int64_t d, float* x);
void rms_norm(MoevalDevice&, int32_t type, const float* x, const int32_t* rows, int64_t m,
              int64_t d, const float* weight, float eps, void* y);
void matmul(MoevalDevice&, int32_t type, const void* x, int64_t m, const void* w, int64_t n_out,
            int64_t n_in, const float* bias, int32_t y_type, int32_t accumulate, void* y);
void norm_matmul(MoevalDevice&, const MoevalNormMatmul&);
void swiglu(MoevalDevice&, int32_t type, const void* gate, const void* up, int64_t m, int64_t n,
            int32_t absolute, void* h);
void gate_scores(MoevalDevice&, int32_t type, const void* gates, const float* scale, int64_t m,
                 int64_t n_routed, int64_t width, float* scores);

// attention.cc
void rope_and_store(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer, void* qkv,
                    const MoevalQkNorm&, const float* cos_sin, int64_t d_rot, int32_t interleaved);
void attention(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer, const void* qkv,
               void* out, void* scratch);
void rope_attention(MoevalDevice&, const MoevalHeads&, const MoevalRows&, int32_t layer, void* qkv,
                    const MoevalQkNorm&, const float* cos_sin, int64_t d_rot, int32_t interleaved,
                    void* out, void* scratch);
uint64_t attention_scratch(const MoevalHeads&, int64_t max_rows);

// select.cc
void select(MoevalDevice&, const MoevalRouting&, int64_t m);

// dispatch.cc
void dispatch(MoevalDevice&, const int16_t* ids, int64_t m, const MoevalDispatch&);
void route(MoevalDevice&, const MoevalRoute&, int64_t m);
void combine(MoevalDevice&, int32_t type, const void* y, const MoevalDispatch&,
             const MoevalCombine&, int64_t m, int64_t d);

// experts.cc
void experts(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&);
void experts_combine(MoevalDevice&, const MoevalExperts&, const MoevalDispatch&,
                     const MoevalCombine&);

// head.cc
void head_facts(MoevalDevice&, const float* logits, int64_t n, int64_t vocab, MoevalHeadFacts*);
void pick(MoevalDevice&, const float* logits, int64_t vocab, const int32_t* rows,
          const int32_t* tokens, int64_t n, float* out);

}  // namespace reference_device
