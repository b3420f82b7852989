// Owns the backend of a GPU: what it needs is planned before anything is allocated.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/backend.h"
#include "engine/device/device_forward.h"
#include "engine/device/device_kv_store.h"
#include "engine/device/memory_plan.h"
#include "engine/tensor_reader.h"
#include "kernels/device.h"
#include "kernels/packed_matrix.h"

namespace engine {
namespace {

int device_index(const std::string& device) {
  constexpr std::string_view kPrefix = "cuda:";
  int index = -1;
  const std::string_view text = device;
  if (text.starts_with(kPrefix)) {
    const auto [end, error] =
        std::from_chars(text.data() + kPrefix.size(), text.data() + text.size(), index);
    if (error == std::errc() && end == text.data() + text.size() && index >= 0) return index;
  }
  throw std::invalid_argument(
      fmt::format("device '{}': want cpu, auto, or cuda:N as in cuda:0", device));
}

std::shared_ptr<kernels::Device> open_device(const std::string& device) {
  const int index = device_index(device);  // a name that is none is wrong without a module, too
  return kernels::Device::open(kernels::DeviceModule::load(), index);
}

int32_t type_code(DeviceType t) {
  switch (t) {
    case DeviceType::bf16:
      return kDeviceBf16;
    case DeviceType::f16:
      return kDeviceF16;
    case DeviceType::f32:
      return kDeviceF32;
  }
  return kDeviceBf16;
}

// The embedding as stored, for the features of a complexity predictor: they must be those that it
// was trained on, whatever type the GPU computes in.
kernels::PackedMatrix embedding_of(const Checkpoint& checkpoint, const ModelConfig& config,
                                   kernels::ThreadPool& pool) {
  const TensorReader reader(checkpoint);
  const TensorInfo& info = reader.matrix("embed", config.vocab, config.d_model);
  return kernels::PackedMatrix::pack(
      info.dtype, config.vocab, config.d_model,
      [&](int64_t row, void* dst) { reader.read_row(info, row, dst); }, pool);
}

class DeviceBackend final : public Backend {
 public:
  DeviceBackend(const Checkpoint& checkpoint, const ModelConfig& config, const EngineOptions& o,
                kernels::ThreadPool& pool)
      : options_(o),
        device_(open_device(o.device)),
        info_(device_->info()),
        sizes_{type_code(o.device_type), std::max<int64_t>(o.max_batch_rows, o.max_streams),
               o.max_tokens},
        heads_{sizes_.type, config.n_heads, config.n_kv_heads, config.d_head},
        weights_(config, sizes_.type),
        plan_(plan_memory(*device_, config, sizes_)),
        embed_(embedding_of(checkpoint, config, pool)) {
    weights_.load(checkpoint, device_, pool);
    forward_ =
        std::make_unique<DeviceForward>(config, weights_, device_, o.gate_norm, sizes_, pool);
    kv_pool_ = KvPool::make(
        std::make_unique<DeviceKvStore>(device_, heads_, config.n_layers, plan_.kv_limit));
  }

  Forward& forward() override { return *forward_; }
  const std::shared_ptr<KvPool>& kv_pool() const override { return kv_pool_; }
  DeviceFacts facts() const override {
    return {options_.device, info_.name,    info_.uuid, device_type_name(options_.device_type),
            info_.driver,    info_.runtime, info_.blas};
  }
  void embedding(TokenId token, float* dst) const override { embed_.row(token, dst); }
  uint64_t weight_bytes() const override { return weights_.bytes(); }
  uint64_t bytes_used(const RoutingTrace& trace) const override {
    return weights_.bytes_used(trace);
  }
  void observe_ffn(std::function<void(int32_t, const float*, int64_t)> observer) override {
    if (observer) {
      throw std::invalid_argument("inputs of feed-forward blocks are shown with --device cpu only");
    }
  }
  void explore_routers(RouterExploration* e) override {
    if (e != nullptr) throw std::invalid_argument("routers are trained with --device cpu only");
  }

 private:
  const EngineOptions options_;
  const std::shared_ptr<kernels::Device> device_;
  const MoevalDeviceInfo info_;
  const DeviceStepSizes sizes_;
  const MoevalHeads heads_;
  DeviceWeights weights_;
  const MemoryPlan plan_;
  const kernels::PackedMatrix embed_;
  std::unique_ptr<DeviceForward> forward_;
  std::shared_ptr<KvPool> kv_pool_;
};

}  // namespace

std::unique_ptr<Backend> make_device_backend(const Checkpoint& checkpoint,
                                             const ModelConfig& config, const EngineOptions& o,
                                             kernels::ThreadPool& pool) {
  return std::make_unique<DeviceBackend>(checkpoint, config, o, pool);
}

}  // namespace engine
