#include "engine/device/device_workspace.h"

#include <algorithm>

namespace engine {
namespace {

uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

DeviceTrace::DeviceTrace(const ModelConfig& c, int64_t rows) : m(rows) {
  const auto n = static_cast<uint64_t>(c.n_layers) * static_cast<uint64_t>(rows);
  ids = 0;
  margins = aligned(n * kMaxBudget * sizeof(int16_t));
  faults = margins + aligned(n * sizeof(float));
  counts = faults + aligned(static_cast<uint64_t>(rows) * sizeof(int32_t));
  bytes = counts + static_cast<uint64_t>(c.n_layers) * static_cast<uint64_t>(c.moe.n_experts) *
                       sizeof(int32_t);
}

struct DeviceWorkspace::Layout {
  Layout(const kernels::Device& device, const ModelConfig& c, const DeviceStepSizes& s) {
    const auto rows = static_cast<uint64_t>(s.max_rows), size = uint64_t{s.type ? 2u : 4u};
    const auto d = static_cast<uint64_t>(c.d_model);
    const auto d_q = static_cast<uint64_t>(c.n_heads * c.d_head);
    const auto d_kv = static_cast<uint64_t>(c.n_kv_heads * c.d_head);
    const MoeConfig& moe = c.moe;
    const auto routed = static_cast<uint64_t>(moe.n_routed());
    const auto experts = static_cast<uint64_t>(moe.n_experts);
    const auto width = static_cast<uint64_t>(std::max(moe.d_expert, moe.d_shared));
    const auto places = rows * static_cast<uint64_t>(moe.max_k());
    const auto head_rows = static_cast<uint64_t>(DeviceWorkspace::kHeadRows);
    uint64_t scored = 0;  // values of a row that a router computes before its scores
    if (moe.router == RouterKind::representative) {
      scored = routed * static_cast<uint64_t>(moe.n_representatives);
    }
    if (moe.router == RouterKind::gate_first) scored = routed * static_cast<uint64_t>(moe.d_expert);
    const MoevalHeads heads{s.type, c.n_heads, c.n_kv_heads, c.d_head};
    x = take(rows * d * 4);
    normed = take(rows * d * size);
    qkv = take(rows * (d_q + 2 * d_kv) * size);
    mixed = take(rows * d_q * size);
    scores = take(rows * routed * 4);
    shared_gates = take(rows * static_cast<uint64_t>(moe.n_shared) * 4);
    rep_gate = take(rows * scored * size);
    rep_up = take(rows * scored * size);
    weights = take(rows * kMaxBudget * 4);
    offsets = take((experts + 1) * 4);
    active = take(experts * 4);
    source = take(places * 4);
    slot = take(rows * kMaxBudget * 4);
    gathered = take(places * d * size);
    hidden = take(2 * places * width * size);  // the paths through cuBLAS hold gate and up apart
    y = take(places * d * size);
    head_normed = take(head_rows * d * size);
    logits = take(head_rows * static_cast<uint64_t>(c.vocab) * 4);
    facts = take(rows * sizeof(MoevalHeadFacts));
    attention = take(device.ops().attention_scratch(device.handle(), &heads, s.max_rows));
    trace = take(DeviceTrace(c, s.max_rows).bytes);
  }
  uint64_t take(uint64_t bytes) {
    const uint64_t at = total;
    total += aligned(bytes);
    return at;
  }
  uint64_t x, normed, qkv, mixed, scores, shared_gates, rep_gate, rep_up, weights, offsets, active,
      source, slot, gathered, hidden, y, head_normed, logits, facts, attention, trace;
  uint64_t total = 0;
};

uint64_t DeviceWorkspace::bytes(const kernels::Device& device, const ModelConfig& c,
                                const DeviceStepSizes& s) {
  return Layout(device, c, s).total;
}

void DeviceWorkspace::place(const Layout& l) {
  const auto at = [&](uint64_t offset) { return memory_.as<void>(offset); };
  const auto floats = [&](uint64_t offset) { return memory_.as<float>(offset); };
  const auto ints = [&](uint64_t offset) { return memory_.as<int32_t>(offset); };
  x = floats(l.x);
  normed = at(l.normed), qkv = at(l.qkv), mixed = at(l.mixed);
  scores = floats(l.scores), shared_gates = floats(l.shared_gates);
  rep_gate = at(l.rep_gate), rep_up = at(l.rep_up);
  weights = floats(l.weights);
  offsets = ints(l.offsets), active = ints(l.active), source = ints(l.source), slot = ints(l.slot);
  gathered = at(l.gathered), hidden = at(l.hidden), y = at(l.y);
  head_normed = at(l.head_normed);
  logits = floats(l.logits);
  facts = memory_.as<MoevalHeadFacts>(l.facts);
  attention_scratch = at(l.attention);
  trace = at(l.trace);
}

DeviceWorkspace::DeviceWorkspace(std::shared_ptr<const kernels::Device> device,
                                 const ModelConfig& c, const DeviceStepSizes& s) {
  const Layout l(*device, c, s);
  memory_ = kernels::DeviceBuffer(device, l.total, "activations");
  place(l);
  host_facts_ = aligned(DeviceTrace(c, s.max_rows).bytes);
  host_ = kernels::DeviceBuffer(
      device, host_facts_ + static_cast<uint64_t>(s.max_rows) * sizeof(MoevalHeadFacts),
      "a step's results", kernels::DeviceBuffer::Place::pinned);
  // Attention counts arrivals in its scratch and leaves them at 0; rows that are padding leave
  // whatever was there, which must at least be numbers.
  device->run(device->ops().zero, memory_.data(), l.total);
  device->synchronize();
}

}  // namespace engine
