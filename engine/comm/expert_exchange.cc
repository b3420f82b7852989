#include "engine/comm/expert_exchange.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "engine/grow.h"
#include "kernels/combine.h"

namespace engine {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

int64_t sum(const std::vector<int64_t>& v) {
  return std::accumulate(v.begin(), v.end(), int64_t{});
}

}  // namespace

ExpertExchange::ExpertExchange(int32_t n_shared, int64_t d_model, const Placement& placement,
                               Communicator& comm, kernels::ThreadPool& pool)
    : n_shared_(n_shared),
      d_model_(d_model),
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

// Counting sort of the pairs by bucket; rows ascend inside a bucket.
void ExpertExchange::plan(int64_t m, int64_t first_row, const int16_t* ids) {
  const auto bucket = [&](int64_t row, int16_t id) {
    if (id < n_shared_) return static_cast<size_t>(id);
    const auto key = static_cast<uint64_t>(first_row + row);
    return static_cast<size_t>(n_shared_) +
           static_cast<size_t>(placement_.slot_of(id - n_shared_, key));
  };
  const auto for_pairs = [&](const auto& body) {
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t j = 0; j < kMaxBudget && ids[r * kMaxBudget + j] >= 0; ++j) {
        body(r, j, bucket(r, ids[r * kMaxBudget + j]));
      }
    }
  };
  const int64_t n_buckets = int64_t{n_shared_} + placement_.n_slots();
  bucket_at_.assign(static_cast<size_t>(n_buckets + 1), 0);
  for_pairs([&](int64_t, int64_t, size_t b) { ++bucket_at_[b + 1]; });
  std::copy(bucket_at_.begin() + n_shared_ + 1, bucket_at_.end(), slot_counts_.begin());
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

void ExpertExchange::exchange_counts() {
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

// by_slot_[i]: place by (peer, slot) of the i-th row by (slot, peer); by_peer_: its inverse.
void ExpertExchange::plan_regrouping() {
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

// A shared expert that every row runs reads x as it is.
void ExpertExchange::list_shared(const float* x, int64_t m, float* sent, float* out) {
  for (int32_t s = 0; s < n_shared_; ++s) {
    const int64_t at = bucket_at_[s], rows = bucket_at_[s + 1] - at;
    if (rows == 0) continue;
    const float* from = x;
    if (rows < m) {
      kernels::gather_rows(x, d_model_, row_of_pair_.data() + at, rows, sent + at * d_model_,
                           pool_);
      from = sent + at * d_model_;
    }
    listed_.push_back({s, from, out + at * d_model_, rows});
  }
}

// x, y: rows by (slot of this rank, peer).
void ExpertExchange::list_routed(const float* x, float* y) {
  const int32_t slots = placement_.slots_per_rank();
  for (int32_t s = 0; s < slots; ++s) {
    int64_t rows = 0;
    for (int p = 0; p < comm_.size(); ++p) rows += arrived_[p * slots + s];
    if (rows == 0) continue;
    listed_.push_back({n_shared_ + placement_.expert_of(comm_.rank() * slots + s), x, y, rows});
    x += rows * d_model_;
    y += rows * d_model_;
  }
}

const std::vector<ExpertRows>& ExpertExchange::dispatch(const float* x, int64_t m,
                                                        int64_t first_row, const int16_t* ids) {
  const int64_t d = d_model_;
  plan(m, first_row, ids);
  exchange_counts();
  const int64_t pairs = bucket_at_.back(), shared = bucket_at_[n_shared_], arriving = sum(recv_);
  float* const sent = grow(sent_, pairs * d);
  float* const out = grow(out_, pairs * d);
  kernels::gather_rows(x, d, row_of_pair_.data() + shared, pairs - shared, sent + shared * d,
                       pool_);
  listed_.clear();
  list_shared(x, m, sent, out);
  // Alone, what is sent is what is received, by slot already: no row moves.
  float* const received = alone_ ? sent + shared * d : grow(received_, arriving * d);
  comm_.wait(comm_.all_to_all_v(sent + shared * d, received, {send_, recv_}, d * kFloatBytes));
  if (alone_) {
    list_routed(received, out + shared * d);
  } else {
    plan_regrouping();
    kernels::gather_rows(received, d, by_slot_.data(), arriving, grow(grouped_, arriving * d),
                         pool_);
    list_routed(grouped_.data(), grow(computed_, arriving * d));
  }
  return listed_;
}

void ExpertExchange::combine(const float* weights, int64_t m, float* y) {
  const int64_t d = d_model_, arriving = sum(recv_);
  float* const home = out_.data() + bucket_at_[n_shared_] * d;
  const float* returning = home;
  if (!alone_) {
    returning = grow(returning_, arriving * d);
    kernels::gather_rows(computed_.data(), d, by_peer_.data(), arriving, returning_.data(), pool_);
  }
  comm_.wait(comm_.all_to_all_v(returning, home, {recv_, send_}, d * kFloatBytes));
  kernels::combine_rows(out_.data(), d, pair_of_.data(), weights, m, y, pool_);
}

}  // namespace engine
