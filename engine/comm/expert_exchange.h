// Owns the way of rows to their experts and back: permute by (rank, expert), exchange, and the sum
// of what comes home.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/comm/communicator.h"
#include "engine/comm/placement.h"
#include "engine/model_config.h"
#include "kernels/thread_pool.h"

namespace engine {

// Rows that one expert must run on this rank: y [rows, d_model] from x [rows, d_model].
struct ExpertRows {
  int32_t expert = 0;  // its id in the layer, shared ones first
  const float* x = nullptr;
  float* y = nullptr;
  int64_t rows = 0;
};

// One rank's end. Routed experts are where the placement puts them; shared ones are replicated and
// stay at home. Outputs come back unsummed and are added in ascending expert id, so that a result
// depends neither on the number of ranks nor on the placement.
class ExpertExchange {
 public:
  // placement, communicator and pool must outlive this; every rank has the same placement.
  ExpertExchange(int32_t n_shared, int64_t d_model, const Placement&, Communicator&,
                 kernels::ThreadPool&);

  // Sends this rank's rows x [m, d_model], m = 0 allowed, to the experts ids [m, kMaxBudget]
  // (ascending, then -1) and returns what arrived, by expert; x and the result hold until
  // combine(). first_row: number of row 0 in the step, over all ranks. Throws CommError.
  const std::vector<ExpertRows>& dispatch(const float* x, int64_t m, int64_t first_row,
                                          const int16_t* ids);

  // After every y is written: y [m, d_model] = sum of weights [m, kMaxBudget] times the outputs of
  // the row's experts, as kernels::combine_rows adds them. Throws CommError.
  void combine(const float* weights, int64_t m, float* y);

  // Rows sent to each rank and received from it by the last dispatch, shared experts left out.
  const std::vector<int64_t>& sent_rows() const { return send_; }
  const std::vector<int64_t>& received_rows() const { return recv_; }

 private:
  void plan(int64_t m, int64_t first_row, const int16_t* ids);
  void exchange_counts();
  void plan_regrouping();
  void list_shared(const float* x, int64_t m, float* sent, float* out);
  void list_routed(const float* x, float* y);

  const int32_t n_shared_;
  const int64_t d_model_;
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
  std::vector<ExpertRows> listed_;
};

}  // namespace engine
