#include "engine/expert_runner.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "engine/grow.h"
#include "kernels/combine.h"

namespace engine {
namespace {

kernels::ExpertGroup group_of(const Expert& e, const float* x, float* y, int64_t rows) {
  return {&e.gate, &e.up, &e.down, x, y, rows};
}

int64_t sum(const std::vector<int64_t>& v) {
  return std::accumulate(v.begin(), v.end(), int64_t{});
}

}  // namespace

ExpertRunner::ExpertRunner(const ModelConfig& config, const Placement& placement,
                           Communicator& comm, kernels::ThreadPool& pool)
    : config_(config),
      placement_(placement),
      comm_(comm),
      pool_(pool),
      alone_(comm.size() == 1),
      slot_counts_(static_cast<size_t>(placement.n_slots())),
      arrived_(static_cast<size_t>(placement.n_slots())),
      send_(static_cast<size_t>(comm.size())),
      recv_(static_cast<size_t>(comm.size())) {
  assert(placement.ranks() == comm.size());
}

// One expert of weight 1 for every row, and nobody to exchange with: no row needs to move.
bool ExpertRunner::run_as_dense(const LayerWeights& w, const float* x, int64_t m,
                                const int16_t* ids, const float* weights, float* y) {
  if (!alone_ && placement_.n_slots() > 0) return false;
  for (int64_t r = 0; r < m; ++r) {
    const int64_t at = r * kMaxBudget;
    if (ids[at] != ids[0] || ids[at] < 0 || ids[at + 1] >= 0 || weights[at] != 1) return false;
  }
  if (m > 0) {
    const kernels::ExpertGroup group = group_of(w.experts[ids[0]], x, y, m);
    kernels::expert_ffn({&group, 1}, scratch_, pool_);
  }
  return true;
}

// Counting sort of the pairs by bucket; rows ascend inside a bucket.
void ExpertRunner::plan(int64_t m, int64_t first_row, const int16_t* ids) {
  const int32_t n_shared = config_.moe.n_shared;
  const auto bucket = [&](int64_t row, int16_t id) {
    if (id < n_shared) return static_cast<size_t>(id);
    const auto key = static_cast<uint64_t>(first_row + row);
    return static_cast<size_t>(n_shared + placement_.slot_of(id - n_shared, key));
  };
  const auto for_pairs = [&](const auto& body) {
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t j = 0; j < kMaxBudget && ids[r * kMaxBudget + j] >= 0; ++j) {
        body(r, j, bucket(r, ids[r * kMaxBudget + j]));
      }
    }
  };
  bucket_at_.assign(static_cast<size_t>(n_shared + placement_.n_slots() + 1), 0);
  for_pairs([&](int64_t, int64_t, size_t b) { ++bucket_at_[b + 1]; });
  std::copy(bucket_at_.begin() + n_shared + 1, bucket_at_.end(), slot_counts_.begin());
  std::partial_sum(bucket_at_.begin(), bucket_at_.end(), bucket_at_.begin());
  next_.assign(bucket_at_.begin(), bucket_at_.end());
  grow(row_of_pair_, bucket_at_.back());
  std::fill_n(grow(pair_of_, m * kMaxBudget), m * kMaxBudget, -1);
  for_pairs([&](int64_t r, int64_t j, size_t b) {
    const int64_t pair = next_[b]++;
    row_of_pair_[pair] = static_cast<int32_t>(r);
    pair_of_[r * kMaxBudget + j] = static_cast<int32_t>(pair);
  });
}

void ExpertRunner::exchange_counts() {
  comm_.wait(comm_.all_to_all(slot_counts_, arrived_));
  const int64_t slots = placement_.slots_per_rank();
  for (int64_t p = 0; p < comm_.size(); ++p) {
    const auto part = [&](const std::vector<int64_t>& v) {
      return std::accumulate(v.begin() + p * slots, v.begin() + (p + 1) * slots, int64_t{});
    };
    send_[p] = part(slot_counts_);
    recv_[p] = part(arrived_);
  }
}

// A shared expert that every row runs reads x as it is.
void ExpertRunner::add_shared_groups(const LayerWeights& w, const float* x, int64_t m, float* sent,
                                     float* out) {
  const int64_t d = config_.d_model;
  for (int32_t s = 0; s < config_.moe.n_shared; ++s) {
    const int64_t at = bucket_at_[s], rows = bucket_at_[s + 1] - at;
    if (rows == 0) continue;
    const float* from = x;
    if (rows < m) {
      kernels::gather_rows(x, d, row_of_pair_.data() + at, rows, sent + at * d, pool_);
      from = sent + at * d;
    }
    groups_.push_back(group_of(w.experts[s], from, out + at * d, rows));
  }
}

// x, y: rows by (slot of this rank, peer).
void ExpertRunner::add_routed_groups(const LayerWeights& w, const float* x, float* y) {
  const int64_t d = config_.d_model;
  const int32_t slots = placement_.slots_per_rank();
  for (int32_t s = 0; s < slots; ++s) {
    int64_t rows = 0;
    for (int p = 0; p < comm_.size(); ++p) rows += arrived_[p * slots + s];
    if (rows == 0) continue;
    const int32_t expert = placement_.expert_of(comm_.rank() * slots + s);
    groups_.push_back(group_of(w.experts[config_.moe.n_shared + expert], x, y, rows));
    x += rows * d;
    y += rows * d;
  }
}

// by_slot_[i]: place by (peer, slot) of the i-th row by (slot, peer); by_peer_: its inverse.
void ExpertRunner::plan_regrouping() {
  const int64_t slots = placement_.slots_per_rank(), total = sum(recv_);
  grow(by_slot_, total);
  grow(by_peer_, total);
  int64_t i = 0;
  for (int64_t s = 0; s < slots; ++s) {
    int64_t peer_at = 0;
    for (int64_t p = 0; p < comm_.size(); ++p) {
      const auto of_peer = arrived_.begin() + p * slots;
      const int64_t from = peer_at + std::accumulate(of_peer, of_peer + s, int64_t{});
      for (int64_t r = 0; r < of_peer[s]; ++r, ++i) {
        by_slot_[i] = static_cast<int32_t>(from + r);
        by_peer_[from + r] = static_cast<int32_t>(i);
      }
      peer_at += recv_[p];
    }
  }
}

void ExpertRunner::run(const LayerWeights& w, const float* x, int64_t m, int64_t first_row,
                       const int16_t* ids, const float* weights, float* y) {
  const MoeConfig& moe = config_.moe;
  const int64_t d = config_.d_model, row_bytes = d * static_cast<int64_t>(sizeof(float));
  if (!run_as_dense(w, x, m, ids, weights, y)) {
    plan(m, first_row, ids);
    const int64_t pairs = bucket_at_.back(), shared = bucket_at_[moe.n_shared];
    exchange_counts();
    const int64_t arriving = sum(recv_);
    float* const sent = grow(sent_, pairs * d);
    float* const out = grow(out_, pairs * d);
    kernels::gather_rows(x, d, row_of_pair_.data() + shared, pairs - shared, sent + shared * d,
                         pool_);
    // Alone, rows stay where they are: what is sent is what is received, by slot already.
    float* const received = alone_ ? sent + shared * d : grow(received_, arriving * d);
    float* const grouped = alone_ ? received : grow(grouped_, arriving * d);
    float* const computed = alone_ ? out + shared * d : grow(computed_, arriving * d);
    float* const returning = alone_ ? computed : grow(returning_, arriving * d);
    comm_.wait(comm_.all_to_all_v(sent + shared * d, received, {send_, recv_}, row_bytes));
    if (!alone_) {
      plan_regrouping();
      kernels::gather_rows(received, d, by_slot_.data(), arriving, grouped, pool_);
    }
    groups_.clear();
    add_shared_groups(w, x, m, sent, out);
    add_routed_groups(w, grouped, computed);
    kernels::expert_ffn(groups_, scratch_, pool_);
    if (!alone_) {
      kernels::gather_rows(computed, d, by_peer_.data(), arriving, returning, pool_);
    }
    comm_.wait(comm_.all_to_all_v(returning, out + shared * d, {recv_, send_}, row_bytes));
    kernels::combine_rows(out, d, pair_of_.data(), weights, m, y, pool_);
  }
  if (moe.compensate) {
    kernels::add_missing_means(w.expert_means.data(), d, moe.n_experts, ids, m, y, pool_);
  }
}

}  // namespace engine
