#include "engine/backend.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "engine/cpu_forward.h"
#include "engine/weights.h"
#include "kernels/device_module.h"

namespace engine {
namespace {

constexpr int64_t kCpuRows = 512, kDeviceRows = 4096;

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Checkpoint& checkpoint, const ModelConfig& config, const EngineOptions& o,
             kernels::ThreadPool& pool)
      : config_(config),
        weights_(load_weights(checkpoint, pool)),
        kv_pool_(KvPool::make({config.n_heads, config.n_kv_heads, config.d_head}, config.n_layers)),
        forward_(config, weights_, o.gate_norm, std::max<int64_t>(o.max_batch_rows, o.max_streams),
                 o.ranks, pool) {}

  Forward& forward() override { return forward_; }
  const std::shared_ptr<KvPool>& kv_pool() const override { return kv_pool_; }
  DeviceFacts facts() const override { return {}; }
  void embedding(TokenId token, float* dst) const override { weights_.embed.row(token, dst); }
  uint64_t weight_bytes() const override { return weights_.bytes(); }
  uint64_t bytes_used(const RoutingTrace& trace) const override {
    return weights_.bytes_used(trace, config_.moe);
  }
  void observe_ffn(std::function<void(int32_t, const float*, int64_t)> observer) override {
    forward_.observe_ffn(std::move(observer));
  }
  void explore_routers(RouterExploration* e) override { forward_.explore_routers(e); }

 private:
  const ModelConfig& config_;
  const Weights weights_;
  const std::shared_ptr<KvPool> kv_pool_;
  CpuForward forward_;
};

}  // namespace

const char* device_type_name(DeviceType t) {
  switch (t) {
    case DeviceType::bf16:
      return "bf16";
    case DeviceType::f16:
      return "f16";
    case DeviceType::f32:
      return "f32";
  }
  return "";
}

std::unique_ptr<Backend> make_cpu_backend(const Checkpoint& checkpoint, const ModelConfig& config,
                                          const EngineOptions& o, kernels::ThreadPool& pool) {
  return std::make_unique<CpuBackend>(checkpoint, config, o, pool);
}

std::unique_ptr<Backend> make_backend(const Checkpoint& checkpoint, const ModelConfig& config,
                                      EngineOptions& options, kernels::ThreadPool& pool) {
  const bool rows_named = options.max_batch_rows > 0;
  if (options.device != "cpu") {
    EngineOptions on_device = options;
    if (options.device == "auto") on_device.device = "cuda:0";
    if (!rows_named) on_device.max_batch_rows = kDeviceRows;
    try {
      if (options.ranks > 1) {
        throw kernels::DeviceError("thread ranks (--ranks) are of the CPU; --device cpu");
      }
      auto backend = make_device_backend(checkpoint, config, on_device, pool);
      options = on_device;
      return backend;
    } catch (const kernels::DeviceError& e) {
      if (options.device != "auto") throw;
      options.device_passed_over = e.what();
    } catch (const std::invalid_argument& e) {
      if (options.device != "auto") throw;
      options.device_passed_over = e.what();
    }
  }
  options.device = "cpu";
  if (!rows_named) options.max_batch_rows = kCpuRows;
  return make_cpu_backend(checkpoint, config, options, pool);
}

}  // namespace engine
