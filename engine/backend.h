// Owns Backend: where a model runs. It holds the weights, the memory of keys and values, and the
// forward pass.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/checkpoint.h"
#include "engine/engine_options.h"
#include "engine/forward.h"
#include "engine/kv_cache.h"
#include "engine/router_exploration.h"
#include "engine/tokenizer.h"
#include "kernels/thread_pool.h"

namespace engine {

// What a run says of the place where it computed.
struct DeviceFacts {
  std::string device = "cpu";  // cpu, cuda:N
  std::string name;            // of the GPU
  std::string uuid;
  std::string type;                           // element type on the GPU
  int32_t driver = 0, runtime = 0, blas = 0;  // versions as CUDA counts them
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Forward& forward() = 0;
  virtual const std::shared_ptr<KvPool>& kv_pool() const = 0;
  virtual DeviceFacts facts() const = 0;
  // Row of the embedding matrix as stored, dequantised, to dst [d_model].
  virtual void embedding(TokenId, float* dst) const = 0;
  virtual uint64_t weight_bytes() const = 0;
  virtual uint64_t bytes_used(const RoutingTrace&) const = 0;
  // As Engine::observe_ffn. Throws std::invalid_argument where it cannot be done.
  virtual void observe_ffn(std::function<void(int32_t layer, const float* x, int64_t m)>) = 0;
  // As Engine::explore_routers. Throws std::invalid_argument where it cannot be done.
  virtual void explore_routers(RouterExploration*) = 0;
};

// options are whole: no zeros. config, and what it was read from, must outlive the backend. Throw
// ModelFileError; of a GPU: kernels::DeviceError.
std::unique_ptr<Backend> make_cpu_backend(const Checkpoint&, const ModelConfig&,
                                          const EngineOptions&, kernels::ThreadPool&);
// device: cuda:N.
std::unique_ptr<Backend> make_device_backend(const Checkpoint&, const ModelConfig&,
                                             const EngineOptions&, kernels::ThreadPool&);

// By options.device; max_batch_rows 0 is made the backend's default.
std::unique_ptr<Backend> make_backend(const Checkpoint&, const ModelConfig&, EngineOptions& options,
                                      kernels::ThreadPool&);

}  // namespace engine
