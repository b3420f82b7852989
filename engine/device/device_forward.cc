#include "engine/device/device_forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "engine/gate_rule.h"
#include "engine/rope_table.h"

namespace engine {
namespace {

// Rows of the largest decode step that a graph is captured for; its logits are held at one time.
constexpr int64_t kGraphRows = DeviceWorkspace::kHeadRows;

// A decode step is padded to 1, 2, 3, 4, 6, 8, 12, 16, .. rows, so that few graphs serve all.
int64_t bucket(int64_t rows) {
  int64_t b = 1;
  while (b < rows) b = b < 4 ? b + 1 : (b & (b - 1)) == 0 ? b + b / 2 : b / 3 * 4;
  return b;
}

}  // namespace

uint64_t DeviceForward::workspace_bytes(const kernels::Device& device, const ModelConfig& c,
                                        const DeviceStepSizes& s) {
  const uint64_t rope = static_cast<uint64_t>(s.max_tokens * c.rope.d_rot) * sizeof(float);
  return DeviceWorkspace::bytes(device, c, s) + StepBlock::bytes(c, s.max_rows, s.max_tokens) +
         rope;
}

DeviceForward::DeviceForward(const ModelConfig& config, const DeviceWeights& weights,
                             std::shared_ptr<const kernels::Device> device, GateNorm norm,
                             const DeviceStepSizes& sizes, kernels::ThreadPool& pool)
    : config_(config),
      weights_(weights),
      device_(std::move(device)),
      pool_(pool),
      sizes_(sizes),
      heads_{sizes.type, config.n_heads, config.n_kv_heads, config.d_head},
      gate_(gate_rule(config.moe, norm)),
      space_(device_, config, sizes),
      block_(device_, config, sizes.max_rows, sizes.max_tokens),
      routing_(config, sizes.max_rows) {
  if (config.moe.router == RouterKind::exact_norm) {
    throw std::invalid_argument(
        "a router of kind exact_norm is a diagnostic that runs every expert to choose among them; "
        "it runs with --device cpu only");
  }
  // What the module's kernels hold, said before a step needs it.
  const auto refuse = [&](const char* what, int64_t is, int64_t most) {
    if (is > most) {
      throw kernels::DeviceError(
          fmt::format("{} is {}, the GPU's kernels take {} at most", what, is, most));
    }
  };
  refuse("the number of routed experts", config.moe.n_routed(), 512);
  refuse("the width of a head", config.d_head, 256);
  if (config.qk_norm != QkNorm::none) {
    refuse("the number of heads of queries and keys", config.n_heads + config.n_kv_heads, 1024);
  }
  RopeTable rope(config.rope);
  rope.ensure(sizes.max_tokens);
  const uint64_t bytes =
      static_cast<uint64_t>(sizes.max_tokens * config.rope.d_rot) * sizeof(float);
  cos_sin_ = kernels::DeviceBuffer(device_, bytes, "the table of rotary embedding");
  device_->run(device_->ops().upload, cos_sin_.data(), static_cast<const void*>(rope.cos_sin()),
               bytes);
  device_->synchronize();
}

DeviceForward::~DeviceForward() {
  for (const auto& [key, graph] : graphs_) device_->ops().release_graph(device_->handle(), graph);
}

template <class T>
T* DeviceForward::trace_at(uint64_t offset) const {
  return reinterpret_cast<T*>(static_cast<std::byte*>(space_.trace) + offset);
}

// Residual stream += attention of its norm.
void DeviceForward::attend(const DeviceLayer& w, const MoevalRows& rows, int32_t layer) {
  const auto& ops = device_->ops();
  const int32_t type = sizes_.type;
  const int64_t m = rows.m, d = config_.d_model, d_head = config_.d_head;
  const int64_t d_q = config_.n_heads * d_head, d_kv = config_.n_kv_heads * d_head;
  const int64_t stride = d_q + 2 * d_kv;
  if (layer == 0) {  // later ones come with the sum over experts of the layer before
    device_->run(ops.rms_norm, type, static_cast<const float*>(space_.x), nullptr, m, d,
                 weights_.at<float>(w.attn_norm), config_.norm_eps, space_.normed);
  }
  device_->run(ops.matmul, type, space_.normed, m, weights_.at(w.qkv), stride, d,
               weights_.at<float>(w.qkv_bias), type, 0, space_.qkv);
  const MoevalQkNorm norm{weights_.at<float>(w.q_norm), weights_.at<float>(w.k_norm),
                          config_.qk_norm == QkNorm::whole ? 1 : 0, config_.norm_eps};
  device_->run(ops.rope_and_store, &heads_, &rows, layer, space_.qkv, &norm,
               static_cast<const float*>(cos_sin_.as<float>()), config_.rope.d_rot,
               config_.rope.interleaved ? 1 : 0);
  device_->run(ops.attention, &heads_, &rows, layer, static_cast<const void*>(space_.qkv),
               space_.mixed, space_.attention_scratch);
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
      layer + 1 == config_.n_layers
          ? nullptr
          : weights_.at<float>(weights_.layers[static_cast<size_t>(layer) + 1].attn_norm);
  const MoevalDispatch dispatch = dispatch_of(layer, trace);
  const int16_t* ids = trace_at<int16_t>(trace.ids) + layer * trace.m * kMaxBudget;
  for (const DeviceExpertStack& s : w.stacks) {
    MoevalExperts e{};
    e.type = sizes_.type, e.path = kDevicePathAuto;
    e.first = s.first, e.n = s.n;
    e.d = config_.d_model, e.width = s.width;
    e.gate = weights_.at(s.gate), e.up = weights_.at(s.up), e.down = weights_.at(s.down);
    e.x = space_.normed, e.m = m;
    e.places = std::min<int64_t>(places, m * s.n);
    e.gathered = space_.gathered, e.hidden = space_.hidden, e.y = space_.y;
    device_->run(ops.experts, &e, &dispatch);
  }
  device_->run(ops.combine, sizes_.type, static_cast<const void*>(space_.y), &dispatch, ids,
               static_cast<const float*>(space_.weights), weights_.at<float>(w.expert_means), m,
               config_.d_model, space_.x, next_norm, config_.norm_eps, space_.normed);
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

// Logits of n <= kHeadRows rows, and what is known of them.
void DeviceForward::run_head(const int32_t* rows, int64_t n, MoevalHeadFacts* facts) {
  const auto& ops = device_->ops();
  device_->run(ops.rms_norm, sizes_.type, static_cast<const float*>(space_.x), rows, n,
               config_.d_model, weights_.at<float>(weights_.final_norm), config_.norm_eps,
               space_.head_normed);
  device_->run(ops.matmul, sizes_.type, static_cast<const void*>(space_.head_normed), n,
               weights_.at(weights_.head), config_.vocab, config_.d_model, nullptr, kDeviceF32, 0,
               static_cast<void*>(space_.logits));
  device_->run(ops.head_facts, static_cast<const float*>(space_.logits), n, config_.vocab, facts);
}

// A decode step holds one row of each of some sequences and asks the head for every one, for no
// single logits.
bool DeviceForward::is_decode(RaggedBatch& batch, const HeadAsks& asks) const {
  const int64_t m = batch.size();
  if (m > kGraphRows || bucket(m) > std::min(kGraphRows, sizes_.max_rows) || asks.size() != m ||
      !asks.all_tokens().empty()) {
    return false;
  }
  for (int64_t r = 0; r < m; ++r) {
    if (asks.rows()[static_cast<size_t>(r)] != r) return false;
  }
  return batch.one_row_each();
}

MoevalGraph* DeviceForward::graph_of(GraphKey key, const DeviceTrace& trace) {
  if (const auto found = graphs_.find(key); found != graphs_.end()) return found->second;
  const auto& ops = device_->ops();
  const auto [m, k] = key;
  device_->run(ops.capture_begin);
  MoevalGraph* graph = nullptr;
  try {
    run_layers(block_.rows(), m * k, trace, true);
    run_head(nullptr, m, space_.facts);
    device_->run(ops.download, space_.host_trace(), static_cast<const void*>(space_.trace),
                 trace.bytes);
    device_->run(ops.download, static_cast<void*>(space_.host_facts()),
                 static_cast<const void*>(space_.facts),
                 static_cast<uint64_t>(m) * sizeof(MoevalHeadFacts));
  } catch (...) {
    ops.capture_end(device_->handle(), &graph);  // leaves capture; the first error is the cause
    ops.release_graph(device_->handle(), graph);
    throw;
  }
  device_->run(ops.capture_end, &graph);
  graphs_.emplace(key, graph);
  return graph;
}

void DeviceForward::run(RaggedBatch& batch, const HeadAsks& asks) {
  const auto& ops = device_->ops();
  asks_ = &asks;
  whole_at_.assign(static_cast<size_t>(asks.size()), -1);
  const bool decode = is_decode(batch, asks);
  const int64_t rows = decode ? bucket(batch.size()) : batch.size();
  const DeviceTrace trace(config_, rows);
  block_.fill(batch, rows, decode);
  if (decode) {
    int32_t k = 1;
    while (k < block_.most_k()) k *= 2;
    device_->run(ops.launch, graph_of({rows, std::min(k, config_.moe.max_k())}, trace));
  } else {
    run_layers(block_.rows(), block_.places(), trace, false);
    device_->run(ops.download, space_.host_trace(), static_cast<const void*>(space_.trace),
                 trace.bytes);
  }
  run_asks(asks, decode);
  device_->synchronize();
  drain(batch, trace);
  book_launched(batch, trace, asks.size());
}

// Rows of logits of the asks that want them go to whole_host_; facts and single logits likewise.
void DeviceForward::run_asks(const HeadAsks& asks, bool logits_are_there) {
  const auto& ops = device_->ops();
  const int64_t n = asks.size(), vocab = config_.vocab;
  const auto n_tokens = static_cast<int64_t>(asks.all_tokens().size());
  int64_t whole = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (asks.wants(i) & kWantLogits) whole_at_[static_cast<size_t>(i)] = whole++;
  }
  grow(whole_host_, static_cast<uint64_t>(whole * vocab) * sizeof(float), "logits", true);
  // Rows of x; then, of each single logit, its row among the logits and its token; then the values.
  const int64_t ints = n + 2 * n_tokens;
  if (!logits_are_there) {
    grow(asked_host_, static_cast<uint64_t>(ints + n_tokens) * 4, "asks", true);
    grow(asked_, static_cast<uint64_t>(ints + n_tokens) * 4, "asks", false);
    auto* host = asked_host_.as<int32_t>();
    std::copy(asks.rows().begin(), asks.rows().end(), host);
    for (int64_t i = 0; i < n; ++i) {
      for (size_t t = asks.first_token(i); t < asks.first_token(i) + asks.tokens(i).size(); ++t) {
        host[n + static_cast<int64_t>(t)] = static_cast<int32_t>(i % DeviceWorkspace::kHeadRows);
        host[n + n_tokens + static_cast<int64_t>(t)] = asks.all_tokens()[t];
      }
    }
    device_->run(ops.upload, asked_.data(), static_cast<const void*>(host),
                 static_cast<uint64_t>(ints) * 4);
  }
  for (int64_t first = 0; first < n; first += DeviceWorkspace::kHeadRows) {
    const int64_t rows = std::min(DeviceWorkspace::kHeadRows, n - first);
    if (!logits_are_there) {
      run_head(asked_.as<int32_t>() + first, rows, space_.facts + first);
      const auto begin = static_cast<int64_t>(asks.first_token(first));
      const int64_t last = first + rows - 1;
      const auto end = static_cast<int64_t>(asks.first_token(last) + asks.tokens(last).size());
      device_->run(ops.pick, static_cast<const float*>(space_.logits), vocab,
                   static_cast<const int32_t*>(asked_.as<int32_t>() + n + begin),
                   static_cast<const int32_t*>(asked_.as<int32_t>() + n + n_tokens + begin),
                   end - begin, asked_.as<float>() + ints + begin);
    }
    for (int64_t i = first; i < first + rows; ++i) {
      const int64_t to = whole_at_[static_cast<size_t>(i)];
      if (to < 0) continue;
      device_->run(ops.download, static_cast<void*>(whole_host_.as<float>() + to * vocab),
                   static_cast<const void*>(space_.logits + (i - first) * vocab),
                   static_cast<uint64_t>(vocab) * sizeof(float));
    }
  }
  if (logits_are_there || n == 0) return;
  device_->run(ops.download, static_cast<void*>(space_.host_facts()),
               static_cast<const void*>(space_.facts),
               static_cast<uint64_t>(n) * sizeof(MoevalHeadFacts));
  if (n_tokens == 0) return;
  device_->run(ops.download, static_cast<void*>(asked_host_.as<float>() + ints),
               static_cast<const void*>(asked_.as<float>() + ints),
               static_cast<uint64_t>(n_tokens) * sizeof(float));
}

void DeviceForward::grow(kernels::DeviceBuffer& buffer, uint64_t bytes, const char* what,
                         bool pinned) {
  if (buffer.bytes() >= bytes) return;
  buffer = {};
  buffer = kernels::DeviceBuffer(
      device_, bytes + bytes / 2, what,
      pinned ? kernels::DeviceBuffer::Place::pinned : kernels::DeviceBuffer::Place::device);
}

void DeviceForward::read_heads(const HeadConsumer& consume) {
  const HeadAsks& asks = *asks_;
  const auto n_tokens = static_cast<int64_t>(asks.all_tokens().size());
  const float* asked =
      n_tokens == 0 ? nullptr : asked_host_.as<float>() + asks.size() + 2 * n_tokens;
  pool_.parallel_for(asks.size(), [&](int64_t i, int thread) {
    const MoevalHeadFacts& facts = space_.host_facts()[i];
    HeadView view;
    view.finite = facts.finite != 0;
    view.argmax = facts.argmax;
    view.log_sum_exp = facts.log_sum_exp;
    if (asked) view.asked = asked + asks.first_token(i);
    if (const int64_t at = whole_at_[static_cast<size_t>(i)]; at >= 0) {
      view.logits = whole_host_.as<float>() + at * config_.vocab;
    }
    consume(i, view, thread);
  });
}

void DeviceForward::drain(const RaggedBatch& batch, const DeviceTrace& trace) {
  const int64_t m = batch.size();
  const auto* host = static_cast<const std::byte*>(space_.host_trace());
  routing_.begin(m);
  const auto* ids = reinterpret_cast<const int16_t*>(host + trace.ids);
  const auto* margins = reinterpret_cast<const float*>(host + trace.margins);
  for (int32_t layer = 0; layer < config_.n_layers; ++layer) {
    std::memcpy(routing_.ids(layer), ids + layer * trace.m * kMaxBudget,
                static_cast<size_t>(m) * kMaxBudget * sizeof(int16_t));
    std::memcpy(routing_.margins(layer), margins + layer * trace.m,
                static_cast<size_t>(m) * sizeof(float));
  }
  const auto* faults = reinterpret_cast<const int32_t*>(host + trace.faults);
  for (int64_t r = 0; r < m; ++r) {
    if (faults[r] == 0) continue;
    routing_.faults()[r] = {static_cast<int16_t>((faults[r] - 1) / 2), (faults[r] - 1) % 2 != 0};
  }
}

}  // namespace engine
