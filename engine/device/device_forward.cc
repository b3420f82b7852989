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

// Logits of n <= kHeadRows rows, and what is known of them.
void DeviceForward::run_head(const int32_t* rows, int64_t n, MoevalHeadFacts* facts) {
  const auto& ops = device_->ops();
  norm_product(sizes_.type, rows, n, weights_.final_norm, weights_.head, config_.vocab, nullptr,
               kDeviceF32, space_.head_normed, space_.logits);
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
