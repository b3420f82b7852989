#include "engine/device/step_block.h"

#include <algorithm>
#include <cassert>

#include "engine/gate_rule.h"

namespace engine {
struct StepBlock::Layout {
  Layout(const ModelConfig& c, int64_t max_rows, int64_t max_tokens) {
    const auto rows = static_cast<uint64_t>(max_rows);
    tokens = take(rows * 4);
    positions = take(rows * 4);
    table_at = take(rows * 4);
    budget_of = take(rows * 4);
    tiles = take(rows * 8);
    selections = take(rows * static_cast<uint64_t>(c.n_layers) * sizeof(MoevalSelection));
    const auto blocks = static_cast<uint64_t>((max_tokens + kDeviceKvBlock - 1) / kDeviceKvBlock);
    tables = take(rows * blocks * sizeof(void*));
  }
  uint64_t take(uint64_t bytes) {
    const uint64_t at = total;
    total += (bytes + 255) / 256 * 256;
    return at;
  }
  uint64_t tokens, positions, table_at, budget_of, tiles, selections, tables, total = 0;
};

uint64_t StepBlock::bytes(const ModelConfig& c, int64_t max_rows, int64_t max_tokens) {
  return Layout(c, max_rows, max_tokens).total;
}

StepBlock::StepBlock(std::shared_ptr<const kernels::Device> device, const ModelConfig& config,
                     int64_t max_rows, int64_t max_tokens)
    : device_(std::move(device)),
      config_(config),
      max_rows_(max_rows),
      choosing_(static_cast<size_t>(config.n_layers)) {
  const Layout l(config, max_rows, max_tokens);
  tokens_ = l.tokens, positions_ = l.positions, table_at_ = l.table_at, budget_of_ = l.budget_of;
  tiles_ = l.tiles, selections_ = l.selections, tables_ = l.tables;
  pinned_ = kernels::DeviceBuffer(device_, l.total, "a step's rows",
                                  kernels::DeviceBuffer::Place::pinned);
  memory_ = kernels::DeviceBuffer(device_, l.total, "a step's rows");
}

// Of a budget among the different ones; a new one's selections are written.
int32_t StepBlock::budget_number(const ExpertBudget& budget) {
  for (size_t i = budgets_.size(); i-- > 0;) {
    if (budgets_[i] == &budget || *budgets_[i] == budget) return static_cast<int32_t>(i);
  }
  const auto number = static_cast<int32_t>(budgets_.size());
  budgets_.push_back(&budget);
  auto* to = host<MoevalSelection>(selections_) + number * config_.n_layers;
  for (int32_t layer = 0; layer < config_.n_layers; ++layer) {
    const int32_t k = budget.k_of(layer), shared = std::min(k, config_.moe.n_shared);
    to[layer] = {k - shared, static_cast<int32_t>(select_rule(budget.selector)), shared,
                 budget.value, budget.slope};
  }
  return number;
}

void StepBlock::add_tiles(const RaggedBatch& batch) {
  auto* tiles = host<int32_t>(tiles_);
  const auto first_block = batch.first_block();
  int64_t n = 0;
  for (int64_t r = 0; r < batch.size();) {
    int64_t end = r + 1;
    while (end < batch.size() && end - r < kDeviceKvBlock && first_block[end] == first_block[r] &&
           batch.positions()[end] == batch.positions()[end - 1] + 1) {
      ++end;
    }
    tiles[2 * n] = static_cast<int32_t>(r);
    tiles[2 * n + 1] = static_cast<int32_t>(end - r);
    ++n;
    r = end;
  }
  rows_.tiles = device<int32_t>(tiles_);
  rows_.n_tiles = n;
}

void StepBlock::fill(RaggedBatch& batch, int64_t padded_rows, bool alone) {
  const int64_t m = batch.size();
  assert(m <= padded_rows && padded_rows <= max_rows_);
  batch.index_blocks();
  const auto first_block = batch.first_block();
  budgets_.clear();
  most_k_ = 0;
  std::fill(choosing_.begin(), choosing_.end(), 0);
  int64_t k_sum = 0;
  for (int64_t r = 0; r < padded_rows; ++r) {
    const bool real = r < m;
    host<int32_t>(tokens_)[r] = real ? batch.tokens()[r] : 0;
    host<int32_t>(positions_)[r] = real ? batch.positions()[r] : -1;
    host<int32_t>(table_at_)[r] = real ? static_cast<int32_t>(first_block[r]) : 0;
    host<int32_t>(budget_of_)[r] = 0;
    if (!real) continue;
    const ExpertBudget& budget = *batch.budgets()[r];
    host<int32_t>(budget_of_)[r] = budget_number(budget);
    int32_t most = 0;
    for (int32_t layer = 0; layer < config_.n_layers; ++layer) {
      const int32_t k = budget.k_of(layer);
      most = std::max(most, k);
      choosing_[static_cast<size_t>(layer)] += k > config_.moe.n_shared;
    }
    most_k_ = std::max(most_k_, most);
    k_sum += most;
  }
  places_ = k_sum;
  rows_ = {padded_rows,
           device<int32_t>(tokens_),
           device<int32_t>(positions_),
           device<int32_t>(table_at_),
           device<void*>(tables_),
           nullptr,
           0};
  if (!alone) add_tiles(batch);
  const auto bases = batch.block_bases();
  std::copy(bases.begin(), bases.end(), host<void*>(tables_));
  const auto send = [&](uint64_t at, uint64_t bytes) {
    device_->run(device_->ops().upload, device<void>(at), static_cast<const void*>(host<void>(at)),
                 bytes);
  };
  send(0, selections_);
  send(selections_,
       budgets_.size() * static_cast<uint64_t>(config_.n_layers) * sizeof(MoevalSelection));
  send(tables_, bases.size() * sizeof(void*));
}

}  // namespace engine
