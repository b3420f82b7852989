// Owns the run of one rank's rows through their experts.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/comm/expert_exchange.h"
#include "engine/model_config.h"
#include "engine/weights.h"
#include "kernels/expert_ffn.h"
#include "kernels/thread_pool.h"

namespace engine {

class ExpertRunner {
 public:
  // All must outlive this. Every rank of the group makes one with the same placement.
  ExpertRunner(const ModelConfig&, const Placement&, Communicator&, kernels::ThreadPool&);

  // x, y [m, d_model]: this rank's rows, m = 0 allowed; ids, weights [m, kMaxBudget] ascending,
  // then -1. first_row: number of row 0 in the step, over all ranks. Every rank of the group must
  // call it, for the same layer. Throws CommError.
  void run(const LayerWeights&, const float* x, int64_t m, int64_t first_row, const int16_t* ids,
           const float* weights, float* y);

 private:
  bool run_as_dense(const LayerWeights&, const float* x, int64_t m, const int16_t* ids,
                    const float* weights, float* y);

  const ModelConfig& config_;
  kernels::ThreadPool& pool_;
  const bool exchanges_;  // there is somebody to exchange rows with
  ExpertExchange exchange_;
  std::vector<kernels::ExpertGroup> groups_;
  kernels::ExpertScratch scratch_;
};

}  // namespace engine
