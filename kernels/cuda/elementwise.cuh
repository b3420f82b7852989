// Contracts of the ops that work on one row at a time: MoevalDeviceTable::embed to swiglu, and
// head_facts, pick.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

void embed(MoevalDevice&, int32_t type, const void* table, const int32_t* tokens, int64_t m,
           int64_t d, float* x);
void rms_norm(MoevalDevice&, int32_t type, const float* x, const int32_t* rows, int64_t m,
              int64_t d, const float* weight, float eps, void* y);
void swiglu(MoevalDevice&, int32_t type, const void* gate, const void* up, int64_t m, int64_t n,
            bool absolute, void* h);
void gate_scores(MoevalDevice&, int32_t type, const void* gates, const float* scale, int64_t m,
                 int64_t n_routed, int64_t width, float* scores);
void head_facts(MoevalDevice&, const float* logits, int64_t n, int64_t vocab, MoevalHeadFacts*);
void pick(MoevalDevice&, const float* logits, int64_t vocab, const int32_t* rows,
          const int32_t* tokens, int64_t n, float* out);
// y[r, j] (+)= bias[j] after a product that could not add it; y [m, n] of y_type.
void add_bias(MoevalDevice&, int32_t y_type, const float* bias, int64_t m, int64_t n, void* y);

}  // namespace moeval_cuda
