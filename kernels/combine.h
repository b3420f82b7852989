// Contracts of the moves of rows to their experts and back, and of the sum of what comes back.
#pragma once

#include <cstdint>

#include "kernels/thread_pool.h"

namespace kernels {

inline constexpr int64_t kMaxTerms = 16;  // places of a row in source and weights

// y[i] = x[source[i]] for i in 0..n-1; rows of d floats.
void gather_rows(const float* x, int64_t d, const int32_t* source, int64_t n, float* y,
                 ThreadPool&);

// y[r] = sum over j = 0, 1, .. of weights[r, j] * rows[source[r, j]], up to the first source of -1.
// source, weights [m, 16], rows [.., d], y [m, d]; y must not overlap rows. The first product is
// rounded, each further one is added as fma(weight, row, sum) (portable: weight * row + sum,
// rounded twice): a single row of weight 1 keeps its bits. A row without sources is 0.
void combine_rows(const float* rows, int64_t d, const int32_t* source, const float* weights,
                  int64_t m, float* y, ThreadPool&);

// y[r] += sum of means[e] over the experts e = 0..n_experts-1 that are not in ids[r], ascending,
// the sum made first; nothing is added when none is missing. ids [m, 16] ascending, then -1; means
// [n_experts, d].
void add_missing_means(const float* means, int64_t d, int64_t n_experts, const int16_t* ids,
                       int64_t m, float* y, ThreadPool&);

}  // namespace kernels
