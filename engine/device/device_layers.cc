// Owns what a layer of a step puts on the stream: attention, the choice of experts, their products.
#include <algorithm>

#include "engine/device/device_forward.h"

namespace engine {

template <class T>
T* DeviceForward::trace_at(uint64_t offset) const {
  return reinterpret_cast<T*>(static_cast<std::byte*>(space_.trace) + offset);
}

// Does the sum over experts norm the next layer's rows? It has whole rows at hand; a single row is
// summed by many blocks, and normed by each block of the product that reads it.
bool DeviceForward::norms_ahead(int64_t m) { return m > 1; }

// y = norm of rows of the residual stream times w.
void DeviceForward::norm_product(int32_t type, const int32_t* rows, int64_t m,
                                 const DevicePart& norm, const DevicePart& w, int64_t n_out,
                                 const float* bias, int32_t y_type, void* normed, void* y) {
  const MoevalNormMatmul product{type,
                                 y_type,
                                 space_.x,
                                 rows,
                                 m,
                                 config_.d_model,
                                 n_out,
                                 weights_.at<float>(norm),
                                 config_.norm_eps,
                                 normed,
                                 weights_.at(w),
                                 bias,
                                 y};
  device_->run(device_->ops().norm_matmul, &product);
}

// Residual stream += attention of its norm.
void DeviceForward::attend(const DeviceLayer& w, const MoevalRows& rows, int32_t layer) {
  const auto& ops = device_->ops();
  const int32_t type = sizes_.type;
  const int64_t m = rows.m, d = config_.d_model, d_head = config_.d_head;
  const int64_t d_q = config_.n_heads * d_head, d_kv = config_.n_kv_heads * d_head;
  const int64_t stride = d_q + 2 * d_kv;
  if (layer == 0 || !norms_ahead(m)) {
    norm_product(type, nullptr, m, w.attn_norm, w.qkv, stride, weights_.at<float>(w.qkv_bias), type,
                 space_.normed, space_.qkv);
  } else {
    device_->run(ops.matmul, type, static_cast<const void*>(space_.normed), m, weights_.at(w.qkv),
                 stride, d, weights_.at<float>(w.qkv_bias), type, 0, space_.qkv);
  }
  const MoevalQkNorm norm{weights_.at<float>(w.q_norm), weights_.at<float>(w.k_norm),
                          config_.qk_norm == QkNorm::whole ? 1 : 0, config_.norm_eps};
  device_->run(ops.rope_attention, &heads_, &rows, layer, space_.qkv, &norm,
               static_cast<const float*>(cos_sin_.as<float>()), config_.rope.d_rot,
               config_.rope.interleaved ? 1 : 0, space_.mixed, space_.attention_scratch);
  device_->run(ops.matmul, type, static_cast<const void*>(space_.mixed), m, weights_.at(w.o), d,
               d_q, nullptr, kDeviceF32, 1, static_cast<void*>(space_.x));
}

// Scores of all rows: a step's rows are few or choose nearly all.
void DeviceForward::score(const DeviceLayer& w, int64_t m) {
  const auto& ops = device_->ops();
  const int32_t type = sizes_.type;
  const MoeConfig& moe = config_.moe;
  const int64_t d = config_.d_model, routed = moe.n_routed();
  const auto product = [&](const void* x, const void* weight, int64_t n_out, int64_t n_in,
                           const float* bias, int32_t y_type, bool accumulate, void* y) {
    device_->run(ops.matmul, type, x, m, weight, n_out, n_in, bias, y_type, accumulate ? 1 : 0, y);
  };
  if (moe.router == RouterKind::gate_first) {
    const DeviceExpertStack& s = w.stacks.back();
    const auto skip =
        static_cast<uint64_t>(moe.n_shared - s.first) * s.gate.bytes / static_cast<uint64_t>(s.n);
    product(space_.normed, weights_.at({s.gate.at + skip, 1}), routed * moe.d_expert, d, nullptr,
            type, false, space_.rep_gate);
    device_->run(ops.gate_scores, type, static_cast<const void*>(space_.rep_gate),
                 weights_.at<float>(w.activation_scale), m, routed, moe.d_expert, space_.scores);
    return;
  }
  product(space_.normed, weights_.at(w.router), routed, d, weights_.at<float>(w.router_bias),
          kDeviceF32, false, space_.scores);
  if (moe.router != RouterKind::representative) return;
  const int64_t neurons = routed * moe.n_representatives;
  product(space_.normed, weights_.at(w.rep_gate), neurons, d, nullptr, type, false,
          space_.rep_gate);
  product(space_.normed, weights_.at(w.rep_up), neurons, d, nullptr, type, false, space_.rep_up);
  device_->run(ops.swiglu, type, static_cast<const void*>(space_.rep_gate),
               static_cast<const void*>(space_.rep_up), m, neurons, 1, space_.rep_gate);
  product(space_.rep_gate, weights_.at(w.mix), routed, neurons, nullptr, kDeviceF32, true,
          space_.scores);
}

MoevalDispatch DeviceForward::dispatch_of(int32_t layer, const DeviceTrace& trace) const {
  const int32_t n = config_.moe.n_experts;
  return {n,
          trace_at<int32_t>(trace.counts) + layer * n,
          space_.offsets,
          space_.active,
          space_.source,
          space_.slot};
}

// From the residual stream to the places of rows by expert; the normed rows stay in normed.
void DeviceForward::route(const DeviceLayer& w, const MoevalRows& rows, int32_t layer,
                          const DeviceTrace& trace, bool choose) {
  const auto& ops = device_->ops();
  const MoeConfig& moe = config_.moe;
  MoevalRouting r{};
  r.positions = rows.positions;
  r.budget_of = block_.budget_of();
  r.selections = block_.selections();
  r.layer = layer, r.n_layers = config_.n_layers;
  r.n_shared = moe.n_shared, r.n_routed = moe.n_routed();
  r.gate_rule = static_cast<int32_t>(gate_), r.trained_k = moe.trained_k - moe.n_shared;
  r.scores = space_.scores;
  r.shared_gates = moe.shared_gate ? space_.shared_gates : nullptr;
  r.input = space_.normed, r.type = sizes_.type, r.d = config_.d_model;
  r.ids = trace_at<int16_t>(trace.ids) + layer * trace.m * kMaxBudget;
  r.weights = space_.weights;
  r.margins = trace_at<float>(trace.margins) + layer * trace.m;
  r.faults = trace_at<int32_t>(trace.faults);
  const MoevalDispatch dispatch = dispatch_of(layer, trace);
  if (choose && moe.router == RouterKind::linear && !moe.shared_gate) {
    const MoevalRoute whole{r,
                            dispatch,
                            space_.x,
                            weights_.at<float>(w.ffn_norm),
                            config_.norm_eps,
                            weights_.at(w.router),
                            weights_.at<float>(w.router_bias),
                            space_.normed,
                            space_.scores};
    device_->run(ops.route, &whole, rows.m);
    return;
  }
  device_->run(ops.rms_norm, sizes_.type, static_cast<const float*>(space_.x), nullptr, rows.m,
               config_.d_model, weights_.at<float>(w.ffn_norm), config_.norm_eps, space_.normed);
  if (choose) score(w, rows.m);
  if (moe.shared_gate) {
    device_->run(ops.matmul, sizes_.type, static_cast<const void*>(space_.normed), rows.m,
                 weights_.at(w.shared_gate), static_cast<int64_t>(moe.n_shared), config_.d_model,
                 nullptr, kDeviceF32, 0, static_cast<void*>(space_.shared_gates));
  }
  device_->run(ops.select, &r, rows.m);
  device_->run(ops.dispatch, r.ids, rows.m, &dispatch);
}

void DeviceForward::feed_forward(const DeviceLayer& w, int64_t m, int64_t places, int32_t layer,
                                 const DeviceTrace& trace) {
  const auto& ops = device_->ops();
  const float* next_norm =
      layer + 1 == config_.n_layers || !norms_ahead(m)
          ? nullptr
          : weights_.at<float>(weights_.layers[static_cast<size_t>(layer) + 1].attn_norm);
  const MoevalDispatch dispatch = dispatch_of(layer, trace);
  const int16_t* ids = trace_at<int16_t>(trace.ids) + layer * trace.m * kMaxBudget;
  const MoevalCombine to{ids,          space_.weights, weights_.at<float>(w.expert_means),
                         space_.x,     next_norm,      config_.norm_eps,
                         space_.normed};
  for (const DeviceExpertStack& s : w.stacks) {
    MoevalExperts e{};
    e.type = sizes_.type, e.path = kDevicePathAuto;
    e.first = s.first, e.n = s.n;
    e.d = config_.d_model, e.width = s.width;
    e.gate = weights_.at(s.gate), e.up = weights_.at(s.up), e.down = weights_.at(s.down);
    e.x = space_.normed, e.m = m;
    e.places = std::min<int64_t>(places, m * s.n);
    e.gathered = space_.gathered, e.hidden = space_.hidden, e.y = space_.y;
    if (w.stacks.size() == 1) {
      device_->run(ops.experts_combine, &e, &dispatch, &to);
      return;
    }
    device_->run(ops.experts, &e, &dispatch);
  }
  device_->run(ops.combine, sizes_.type, static_cast<const void*>(space_.y), &dispatch, &to, m,
               config_.d_model);
}

void DeviceForward::run_layers(const MoevalRows& rows, int64_t places, const DeviceTrace& trace,
                               bool all_layers_choose) {
  const auto& ops = device_->ops();
  device_->run(ops.zero, static_cast<void*>(trace_at<int32_t>(trace.faults)),
               static_cast<uint64_t>(rows.m) * sizeof(int32_t));
  device_->run(ops.embed, sizes_.type, weights_.at(weights_.embed), rows.tokens, rows.m,
               config_.d_model, space_.x);
  for (int32_t layer = 0; layer < config_.n_layers; ++layer) {
    const DeviceLayer& w = weights_.layers[static_cast<size_t>(layer)];
    attend(w, rows, layer);
    const bool choose =
        config_.moe.n_routed() > 0 && (all_layers_choose || block_.choosing_rows(layer) > 0);
    route(w, rows, layer, trace, choose);
    feed_forward(w, rows.m, places, layer, trace);
  }
}

}  // namespace engine
