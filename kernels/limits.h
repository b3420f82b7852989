// Owns the measurement loops of this machine's limits, that a speed is printed beside: fp32
// multiply-adds in registers and a plain read of memory, with the instruction set in use.
#pragma once

#include <cstdint>

#include "kernels/thread_pool.h"

namespace kernels {

// Independent multiply-adds on every thread of the pool at once, some milliseconds of them. Returns
// the FLOPs done, for the caller to divide by the time it took.
double fma_burst(ThreadPool&);

// Reads n floats once, split among the threads; returns their sum so that the reading is needed.
float read_sum(const float* x, int64_t n, ThreadPool&);

}  // namespace kernels
