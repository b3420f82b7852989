#include "engine/device/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/device/device_forward.h"
#include "engine/device/device_kv_store.h"
#include "engine/device/device_weights.h"

namespace engine {
namespace {

// Left to the driver, to captured graphs and to what a step asks for beside its plan.
constexpr uint64_t kReserve = uint64_t{512} << 20;
constexpr int64_t kFewRows = 256;

std::string gib(uint64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / static_cast<double>(1u << 30));
}

MemoryPlan needs_of(const kernels::Device& device, const ModelConfig& config,
                    const DeviceStepSizes& sizes) {
  const MoevalHeads heads{sizes.type, config.n_heads, config.n_kv_heads, config.d_head};
  const auto context_blocks =
      static_cast<uint64_t>((sizes.max_tokens + kDeviceKvBlock - 1) / kDeviceKvBlock);
  MemoryPlan p;
  p.weights = DeviceWeights(config, sizes.type).bytes();
  p.workspace = DeviceForward::workspace_bytes(device, config, sizes);
  p.kv_least = context_blocks * DeviceKvStore::block_bytes_of(heads, config.n_layers);
  return p;
}

// What would fit into `room` bytes: fewer rows, a shorter type, else a shorter context as well;
// empty where none of them does.
std::string advice(const kernels::Device& device, const ModelConfig& config,
                   const DeviceStepSizes& sizes, uint64_t room) {
  const auto fits = [&](const DeviceStepSizes& s) {
    const MemoryPlan p = needs_of(device, config, s);
    return p.weights + p.workspace + p.kv_least <= room;
  };
  struct Change {
    std::string text;
    DeviceStepSizes sizes;
  };
  std::vector<Change> changes{{"", sizes}};
  if (sizes.max_rows > kFewRows) {
    changes.push_back({fmt::format("--batch-rows {}", kFewRows), sizes});
    changes.back().sizes.max_rows = kFewRows;
  }
  if (sizes.type == kDeviceF32) {
    for (size_t i = 0, n = changes.size(); i < n; ++i) {
      Change c = changes[i];
      c.text += c.text.empty() ? "--device-dtype bf16" : " and --device-dtype bf16";
      c.sizes.type = kDeviceBf16;
      changes.push_back(std::move(c));
    }
  }
  for (const Change& c : changes) {
    if (fits(c.sizes)) return fmt::format("; {} would fit", c.text);
  }
  for (Change& c : changes) {
    int64_t blocks = 0, too_many = (sizes.max_tokens + kDeviceKvBlock - 1) / kDeviceKvBlock;
    while (too_many - blocks > 1) {
      const int64_t middle = (blocks + too_many) / 2;
      c.sizes.max_tokens = middle * kDeviceKvBlock;
      (fits(c.sizes) ? blocks : too_many) = middle;
    }
    if (blocks > 0) {
      return fmt::format("; {}{}a context of {} would fit", c.text, c.text.empty() ? "" : " and ",
                         blocks * kDeviceKvBlock);
    }
  }
  return "";
}

}  // namespace

MemoryPlan plan_memory(const kernels::Device& device, const ModelConfig& config,
                       const DeviceStepSizes& sizes) {
  const MoevalDeviceInfo info = device.info();
  const uint64_t reserve = std::min(kReserve, info.total_bytes / 16);
  MemoryPlan p = needs_of(device, config, sizes);
  const uint64_t need = p.weights + p.workspace + p.kv_least + reserve;
  if (need > info.free_bytes) {
    const uint64_t room = info.free_bytes - std::min(reserve, info.free_bytes);
    throw kernels::DeviceError(fmt::format(
        "the model does not fit into cuda:{}: {} weights + {} activations of {} rows + {} keys and "
        "values of one context of {} + {} reserve are {}, free are {} of {}: {} too much{}",
        device.index(), gib(p.weights), gib(p.workspace), sizes.max_rows, gib(p.kv_least),
        sizes.max_tokens, gib(reserve), gib(need), gib(info.free_bytes), gib(info.total_bytes),
        gib(need - info.free_bytes), advice(device, config, sizes, room)));
  }
  p.kv_limit = info.free_bytes - p.weights - p.workspace - reserve;
  return p;
}

}  // namespace engine
