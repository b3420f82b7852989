// Owns the run of one rank's rows through their experts: permute by (rank, expert), exchange, the
// experts that live here, exchange back, sum at home.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/comm/communicator.h"
#include "engine/comm/placement.h"
#include "engine/model_config.h"
#include "engine/weights.h"
#include "kernels/expert_ffn.h"
#include "kernels/thread_pool.h"

namespace engine {

// Routed experts run where the placement puts them; shared ones are replicated and run at home.
// Expert outputs come back unsummed and are added in ascending expert id, so that the result does
// not depend on ranks or placement.
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
  void plan(int64_t m, int64_t first_row, const int16_t* ids);
  void exchange_counts();
  void add_shared_groups(const LayerWeights&, const float* x, int64_t m, float* sent, float* out);
  void add_routed_groups(const LayerWeights&, const float* x, float* y);
  void plan_regrouping();

  const ModelConfig& config_;
  const Placement& placement_;
  Communicator& comm_;
  kernels::ThreadPool& pool_;
  const bool alone_;

  // Pairs (row, expert) of this rank, shared experts first, then routed ones by slot: where each
  // bucket begins, the row of each pair, and the pair of each row's j-th expert.
  std::vector<int64_t> bucket_at_, next_;
  std::vector<int32_t> row_of_pair_, pair_of_;
  // Rows by slot: ours to each slot, and each rank's to our slots [ranks, slots_per_rank].
  std::vector<int64_t> slot_counts_, arrived_;
  std::vector<int64_t> send_, recv_;  // rows by peer
  // Received rows come by (peer, slot); experts want them by (slot, peer).
  std::vector<int32_t> by_slot_, by_peer_;
  std::vector<float> sent_, received_, grouped_, computed_, returning_, out_;
  std::vector<kernels::ExpertGroup> groups_;
  kernels::ExpertScratch scratch_;
};

}  // namespace engine
