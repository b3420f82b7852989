// Owns the forward pass on a GPU: the same layers as CpuForward, put on a stream, their routing and
// what was asked of the head drained once per step. Decode steps are captured in graphs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/device/device_weights.h"
#include "engine/device/device_workspace.h"
#include "engine/device/step_block.h"
#include "engine/expert_budget.h"
#include "engine/forward.h"
#include "engine/model_config.h"
#include "kernels/select_experts.h"
#include "kernels/thread_pool.h"

namespace engine {

class DeviceForward final : public Forward {
 public:
  // All must outlive this. Throws DeviceError; std::invalid_argument as ExpertRouter.
  DeviceForward(const ModelConfig&, const DeviceWeights&, std::shared_ptr<const kernels::Device>,
                GateNorm, const DeviceStepSizes&, kernels::ThreadPool&);
  ~DeviceForward() override;
  // Memory of the GPU that it takes.
  static uint64_t workspace_bytes(const kernels::Device&, const ModelConfig&,
                                  const DeviceStepSizes&);

  void run(RaggedBatch&, const HeadAsks&) override;
  void read_heads(const HeadConsumer&) override;
  const StepRouting& routing() const override { return routing_; }
  const ComputeLedger& launched() const override { return launched_; }

 private:
  // A captured decode step is of so many rows, each running at most so many experts.
  using GraphKey = std::pair<int64_t, int32_t>;

  void run_layers(const MoevalRows&, int64_t places, const DeviceTrace&, bool all_layers_choose);
  static bool norms_ahead(int64_t m);
  void norm_product(int32_t type, const int32_t* rows, int64_t m, const DevicePart& norm,
                    const DevicePart& w, int64_t n_out, const float* bias, int32_t y_type,
                    void* normed, void* y);
  void attend(const DeviceLayer&, const MoevalRows&, int32_t layer);
  void route(const DeviceLayer&, const MoevalRows&, int32_t layer, const DeviceTrace&, bool choose);
  void feed_forward(const DeviceLayer&, int64_t m, int64_t places, int32_t layer,
                    const DeviceTrace&);
  void score(const DeviceLayer&, int64_t m);
  void run_head(const int32_t* rows, int64_t n, MoevalHeadFacts* facts);
  void run_asks(const HeadAsks&, bool logits_are_there);
  void grow(kernels::DeviceBuffer&, uint64_t bytes, const char* what, bool pinned);
  MoevalGraph* graph_of(GraphKey, const DeviceTrace&);
  bool is_decode(RaggedBatch&, const HeadAsks&) const;
  MoevalDispatch dispatch_of(int32_t layer, const DeviceTrace&) const;
  void drain(const RaggedBatch&, const DeviceTrace&);
  void book_launched(const RaggedBatch&, const DeviceTrace&, int64_t head_rows);
  template <class T>
  T* trace_at(uint64_t offset) const;

  const ModelConfig& config_;
  const DeviceWeights& weights_;
  const std::shared_ptr<const kernels::Device> device_;
  kernels::ThreadPool& pool_;
  const DeviceStepSizes sizes_;
  const MoevalHeads heads_;
  const kernels::GateRule gate_;
  DeviceWorkspace space_;
  StepBlock block_;
  kernels::DeviceBuffer cos_sin_;
  StepRouting routing_;
  ComputeLedger launched_;
  std::map<GraphKey, MoevalGraph*> graphs_;

  const HeadAsks* asks_ = nullptr;
  // Single logits and whole rows that were asked for; grown to the largest step.
  kernels::DeviceBuffer asked_, asked_host_, whole_host_;
  std::vector<int64_t> whole_at_;  // of each ask: its row in whole_host_, or -1
};

}  // namespace engine
