// Contracts of the ops that work on one row at a time: norms, rotary embedding, activations,
// log-softmax. All are bitwise independent of the number of rows and of threads.
#pragma once

#include <cstdint>

#include "kernels/thread_pool.h"

namespace kernels {

// y[r,i] = x[r,i] / sqrt(mean_i(x^2) + eps) * weight[i]. x, y [m, n]; may alias.
// Source: Zhang & Sennrich 2019 (RMSNorm).
void rms_norm(const float* x, int64_t m, int64_t n, const float* weight, float eps, float* y,
              ThreadPool&);

// Rotates heads in place. x [m, n_heads, d_head] with row stride; positions[m].
// cos_sin: table [max_position, d_rot/2, 2] made by rope_table. interleaved: pairs (2i, 2i+1) as in
// GGUF llama files; otherwise pairs (i, i + d_rot/2) as in Hugging Face checkpoints.
// Source: Su et al. 2021 (RoFormer).
void rope(float* x, int64_t row_stride, int64_t m, int64_t n_heads, int64_t d_head, int64_t d_rot,
          const int32_t* positions, const float* cos_sin, bool interleaved, ThreadPool&);

// h[r,i] = silu(gate[r,i]) * up[r,i]; h may alias gate. [m, n].
void swiglu(const float* gate, const float* up, int64_t m, int64_t n, float* h, ThreadPool&);

// y += x, n floats.
void add_rows(const float* x, int64_t n, float* y, ThreadPool&);

// Natural-log softmax normaliser of one row: log(sum_i exp(x[i])), max-shifted. Accumulates in
// double in a fixed order. NaN if an element is NaN; the infinity if the largest is infinite.
double log_sum_exp(const float* x, int64_t n);

// KL(softmax(p) || softmax(q)) in nats, p_norm and q_norm being the rows' log_sum_exp:
// sum_i softmax(p)_i (p_i - q_i) + q_norm - p_norm. Accumulates in double in a fixed order; finite
// where q is finite wherever p has probability.
double kl_divergence(const float* p, double p_norm, const float* q, double q_norm, int64_t n);

// Index of the largest element, the smallest index among ties; NaN never wins. -1 if all are NaN.
int64_t argmax(const float* x, int64_t n);

}  // namespace kernels
