// Owns the weights in a GPU's memory: one allocation, matrices of one element type, the experts of
// a layer stacked.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/model_config.h"
#include "engine/routing_trace.h"
#include "kernels/device.h"
#include "kernels/thread_pool.h"

namespace engine {

// Where a tensor lies in the allocation; bytes 0: the model has none.
struct DevicePart {
  uint64_t at = 0, bytes = 0;
};

// Experts first..first+n-1 of one width, stacked: gate, up [n * width, d_model], down
// [n * d_model, width].
struct DeviceExpertStack {
  int32_t first = 0, n = 0;
  int64_t width = 0;
  DevicePart gate, up, down;
};

// As LayerWeights, matrices of the element type, vectors fp32.
struct DeviceLayer {
  DevicePart attn_norm, ffn_norm;
  DevicePart qkv, qkv_bias;  // q, k and v stacked: [(n_heads + 2 n_kv_heads) * d_head, d_model]
  DevicePart o, q_norm, k_norm;
  DevicePart router, router_bias, shared_gate, rep_gate, rep_up, mix, activation_scale;
  DevicePart expert_means;
  std::vector<DeviceExpertStack> stacks;  // shared ones apart where their width differs
};

class DeviceWeights {
 public:
  // Lays the tensors out; nothing is allocated yet. type: kDeviceF32, kDeviceF16, kDeviceBf16.
  DeviceWeights(const ModelConfig&, int32_t type);

  uint64_t bytes() const { return total_; }
  // As Weights::bytes_used.
  uint64_t bytes_used(const RoutingTrace&) const;

  // Reads, converts and uploads every tensor; quantised ones are dequantised. Throws
  // ModelFileError, DeviceError; ModelFileError too where a value does not fit f16.
  void load(const Checkpoint&, std::shared_ptr<const kernels::Device>, kernels::ThreadPool&);

  int32_t type() const { return type_; }
  template <class T = void>
  const T* at(const DevicePart& p) const {
    return p.bytes == 0 ? nullptr : memory_.as<const T>(p.at);
  }

  DevicePart embed, head, final_norm;  // head is the embedding when tied
  std::vector<DeviceLayer> layers;

 private:
  uint64_t matrix_bytes(int64_t n_out, int64_t n_in) const;
  DevicePart take(uint64_t bytes);
  DeviceLayer lay_out_layer();

  const ModelConfig config_;
  const int32_t type_;
  uint64_t total_ = 0;
  kernels::DeviceBuffer memory_;
};

}  // namespace engine
