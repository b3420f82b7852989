// Owns the account of what a step on the GPU launched, counted from shapes and from the rows that
// the dispatch op counted on the device: an account that passes neither the trace nor the cost
// model. Rows that pad a step or a tile are not counted; neither are scores of rows that have
// nothing to choose.
#include "engine/device/device_forward.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"

namespace engine {

void DeviceForward::book_launched(const RaggedBatch& batch, const DeviceTrace& trace,
                                  int64_t head_rows) {
  const ModelConfig& c = config_;
  const MoeConfig& moe = c.moe;
  const int64_t m = batch.size(), d = c.d_model;
  const int64_t d_q = c.n_heads * c.d_head, d_kv = c.n_kv_heads * c.d_head;
  const auto dtype = static_cast<kernels::Dtype>(sizes_.type);  // the codes are the same
  const auto product = [&](int64_t rows, int64_t n_out, int64_t n_in) {
    return rows == 0 ? kernels::Cost{} : kernels::matmul_cost(rows, n_out, n_in, dtype);
  };
  const auto book = [&](Part part, const kernels::Cost& cost) {
    launched_.add_executed(part, cost);
  };
  kernels::Cost scores;
  for (int64_t r = 0; r < m; ++r) {
    scores +=
        kernels::attention_cost({c.n_heads, c.n_kv_heads, c.d_head}, batch.positions()[r] + 1);
  }
  const auto* counts = reinterpret_cast<const int32_t*>(
      static_cast<const std::byte*>(space_.host_trace()) + trace.counts);
  for (int32_t layer = 0; layer < c.n_layers; ++layer, counts += moe.n_experts) {
    book(Part::attention, scores);
    book(Part::attention, product(m, d_q + 2 * d_kv, d));
    book(Part::attention, product(m, d, d_q));
    const int64_t choosing = block_.choosing_rows(layer), routed = moe.n_routed();
    if (moe.router == RouterKind::gate_first) {
      book(Part::router, product(choosing, routed * moe.d_expert, d));
    } else if (moe.router != RouterKind::none) {
      book(Part::router, product(choosing, routed, d));
    }
    if (moe.router == RouterKind::representative) {
      const int64_t neurons = routed * moe.n_representatives;
      book(Part::router, product(choosing, 2 * neurons, d));
      book(Part::router, product(choosing, routed, neurons));
    }
    if (moe.shared_gate) book(Part::router, product(m, moe.n_shared, d));
    for (int32_t e = 0; e < moe.n_experts; ++e) {
      const int64_t width = e < moe.n_shared ? moe.d_shared : moe.d_expert;
      book(Part::experts, product(counts[e], 2 * width, d));
      book(Part::experts, product(counts[e], d, width));
    }
  }
  for (int64_t first = 0; first < head_rows; first += DeviceWorkspace::kHeadRows) {
    const int64_t rows = std::min(DeviceWorkspace::kHeadRows, head_rows - first);
    book(Part::head, product(rows, c.vocab, d));
  }
}

}  // namespace engine
