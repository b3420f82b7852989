// Owns what the neurons of a dense gated block do on calibration rows: their activations, moments,
// importance, and which of them are active together.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/convert/stop.h"
#include "engine/weights.h"
#include "kernels/thread_pool.h"

namespace engine::convert {

inline constexpr int64_t kChunkRows = 512;

// Hidden activations h = silu(gate x) * up x of rows x [n, d_model], kChunkRows at a time:
// consume(first row, rows, h [rows, width]). Throws Stopped, as everything here that takes a Stop.
using HiddenConsumer = std::function<void(int64_t first, int64_t rows, const float* h)>;
void for_hidden(const Expert&, const float* x, int64_t n, kernels::ThreadPool&,
                const HiddenConsumer& consume, const Stop& = {});

struct Moments {
  std::vector<double> mean, variance;  // [width]
};
Moments moments_of(const Expert&, const float* x, int64_t n, kernels::ThreadPool&,
                   const Stop& = {});

// Euclidean norms of the columns of down, what a neuron writes to: [width].
std::vector<double> write_norms(const Expert&);

// s_j = variance_j * |down_j|^2: the mean square of what is lost when the mean stands for the
// neuron. Source: FLAP (An et al. 2023), weighted input feature variance.
std::vector<double> importance(const Moments&, const std::vector<double>& write_norms);

// Neurons from the most important on, ties to the lower id.
std::vector<int32_t> by_importance(const std::vector<double>& importance);

// Inner products of the markers of `neurons` [n, n]. The marker of a neuron has a one for each row
// of x where its |h_j| * |down_j| is among the `active` largest of these neurons, divided by the
// root of the number of ones. A neuron that never is has zeros. Rows are an even sample of x, at
// most max_rows.
std::vector<float> coactivation_gram(const Expert&, const std::vector<double>& write_norms,
                                     const std::vector<int32_t>& neurons, const float* x,
                                     int64_t n_rows, int64_t max_rows, int32_t active,
                                     kernels::ThreadPool&, const Stop& = {});

// The same for the weights: inner products of the unit vectors of gate_j and up_j together.
std::vector<float> parameter_gram(const Expert&, const std::vector<int32_t>& neurons,
                                  kernels::ThreadPool&, const Stop& = {});

}  // namespace engine::convert
