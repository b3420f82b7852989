// Owns the memory of a GPU that a step works in: activations, places of rows by expert, logits, and
// what comes back to the host. Laid out once, for the largest step.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/device/device_weights.h"
#include "engine/model_config.h"
#include "kernels/device.h"

namespace engine {

struct DeviceStepSizes {
  int32_t type = kDeviceBf16;
  int64_t max_rows = 0, max_tokens = 0;
};

// The record of routing of a step of m rows, as it lies in memory: one copy brings it to the host.
struct DeviceTrace {
  DeviceTrace(const ModelConfig&, int64_t m);
  uint64_t ids, margins, faults, counts;  // offsets in bytes
  uint64_t bytes;
  int64_t m;
};

class DeviceWorkspace {
 public:
  static constexpr int64_t kHeadRows = 256;  // rows whose logits are held at one time

  // Throws DeviceError.
  DeviceWorkspace(std::shared_ptr<const kernels::Device>, const ModelConfig&,
                  const DeviceStepSizes&);
  static uint64_t bytes(const kernels::Device&, const ModelConfig&, const DeviceStepSizes&);

  float* x;  // [rows, d_model], the residual stream
  void *normed, *qkv, *mixed;
  float *scores, *shared_gates;
  void *rep_gate, *rep_up;  // also of gate_first: all gates of a row
  float* weights;           // [rows, 16]
  int32_t *offsets, *active, *source, *slot;
  void *gathered, *hidden, *y;
  void* head_normed;
  float* logits;           // [kHeadRows, vocab]
  MoevalHeadFacts* facts;  // [rows]
  void* attention_scratch;
  void* trace;

  MoevalHeadFacts* host_facts() const { return host_.as<MoevalHeadFacts>(host_facts_); }
  const void* host_trace() const { return host_.data(); }
  void* host_trace() { return host_.data(); }

 private:
  struct Layout;
  void place(const Layout&);

  kernels::DeviceBuffer memory_, host_;
  uint64_t host_facts_ = 0;
};

}  // namespace engine
