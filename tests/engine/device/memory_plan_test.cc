// The plan of a GPU's memory, of real shapes against memories of every size (nothing is allocated),
// and what happens when keys and values outgrow it.
#include "engine/device/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <string>

#include "engine/device/device_kv_store.h"
#include "engine/random_checkpoint.h"
#include "tests/support/device_module_env.h"
#include "tests/support/device_runs.h"

namespace {

using engine::DeviceStepSizes;
using engine::DeviceWeights;
using engine::MemoryPlan;
using engine::ModelConfig;
using kernels::Device;
using kernels::DeviceError;
using kernels::DeviceModule;
using test_support::DeviceModuleGuard;
using test_support::TinyCheckpoint;
using testing::HasSubstr;

constexpr double kGib = 1u << 30;

std::shared_ptr<Device> device_of(uint64_t bytes) {
  const DeviceModuleGuard module("reference_device", bytes);
  return Device::open(DeviceModule::load(), 0);
}

// The plan, or the message of the error.
struct Planned {
  MemoryPlan plan;
  std::string error;
};
Planned plan(const Device& device, const ModelConfig& config, const DeviceStepSizes& sizes) {
  Planned p;
  try {
    p.plan = engine::plan_memory(device, config, sizes);
  } catch (const DeviceError& e) {
    p.error = e.what();
  }
  return p;
}

bool fits(const Device& device, const ModelConfig& config, const DeviceStepSizes& sizes) {
  return plan(device, config, sizes).error.empty();
}

TEST(MemoryPlan, LeavesKeysAndValuesWhatIsLeft) {
  const ModelConfig config = engine::named_shape("olmoe");
  const DeviceStepSizes sizes{kDeviceBf16, 4096, 4096};
  const uint64_t total = uint64_t{80} << 30;
  const auto device = device_of(total);
  const Planned p = plan(*device, config, sizes);
  ASSERT_EQ(p.error, "");
  EXPECT_EQ(p.plan.weights, DeviceWeights(config, kDeviceBf16).bytes());
  EXPECT_GE(p.plan.weights, uint64_t{2} * 6'919'161'856u);  // the published number of parameters
  EXPECT_EQ(p.plan.kv_least, 4096u * 16 * 2 * 2048 * 2);    // positions, layers, k and v, bf16
  EXPECT_GT(p.plan.workspace, 0u);
  const uint64_t reserve = uint64_t{512} << 20;
  EXPECT_EQ(p.plan.kv_limit + p.plan.weights + p.plan.workspace + reserve, total);
}

TEST(MemoryPlan, CountsWhatIsFreeAndNotWhatIsThere) {
  const ModelConfig config = engine::named_shape("smollm2-135m");
  const auto device = device_of(uint64_t{4} << 30);
  const DeviceStepSizes sizes{kDeviceBf16, 512, 2048};
  const uint64_t before = plan(*device, config, sizes).plan.kv_limit;
  const kernels::DeviceBuffer taken(device, uint64_t{8} << 20, "another program");
  EXPECT_EQ(plan(*device, config, sizes).plan.kv_limit, before - (uint64_t{8} << 20));
}

// "1.00 GiB weights + 2.00 GiB activations .." read back.
TEST(MemoryPlan, SaysByHowMuchTheMemoryIsTooSmall) {
  const ModelConfig config = engine::named_shape("olmoe");
  const DeviceStepSizes sizes{kDeviceBf16, 4096, 4096};
  const std::string error = plan(*device_of(uint64_t{14} << 30), config, sizes).error;
  double numbers[6] = {};
  ASSERT_EQ(
      std::sscanf(error.c_str(),
                  "the model does not fit into cuda:0: %lf GiB weights + %lf GiB activations "
                  "of 4096 rows + %lf GiB keys and values of one context of 4096 + %lf GiB "
                  "reserve are %lf GiB, free are 14.00 GiB of 14.00 GiB: %lf GiB too much",
                  &numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4], &numbers[5]),
      6)
      << error;
  const auto number = [&](size_t i) { return numbers[i - 1]; };
  EXPECT_NEAR(number(1), static_cast<double>(DeviceWeights(config, kDeviceBf16).bytes()) / kGib,
              0.006);
  EXPECT_NEAR(number(3), 0.5, 0.006);
  EXPECT_NEAR(number(4), 0.5, 0.006);
  EXPECT_NEAR(number(1) + number(2) + number(3) + number(4), number(5), 0.03);
  EXPECT_NEAR(number(5) - 14, number(6), 0.02);
  EXPECT_EQ(error.find('\n'), std::string::npos);
  // That much more is enough, and a little less is not.
  EXPECT_TRUE(
      fits(*device_of(static_cast<uint64_t>((14 + number(6) + 0.01) * kGib)), config, sizes));
  EXPECT_FALSE(
      fits(*device_of(static_cast<uint64_t>((14 + number(6) - 0.01) * kGib)), config, sizes));
}

// What the message says would fit does; where it says nothing, nothing of that kind would.
TEST(MemoryPlan, AdvisesWhatWouldFit) {
  struct {
    const char* name;
    DeviceStepSizes sizes;
    double from_gib, to_gib;
  } const cases[] = {{"olmoe", {kDeviceF32, 4096, 4096}, 12, 32},
                     {"olmoe", {kDeviceBf16, 8192, 4096}, 12, 20},
                     {"olmoe", {kDeviceBf16, 200, 4096}, 12, 16},
                     {"smollm2-135m", {kDeviceBf16, 1024, 2048}, 0.1, 1.6},
                     {"smollm2-135m", {kDeviceF32, 256, 8192}, 0.1, 1.6}};
  std::set<std::string> seen;
  for (const auto& c : cases) {
    ModelConfig config = engine::named_shape(c.name);
    for (int i = 0; i <= 40; ++i) {
      const double size = c.from_gib + (c.to_gib - c.from_gib) * i / 40;
      const auto device = device_of(static_cast<uint64_t>(size * kGib));
      const std::string error = plan(*device, config, c.sizes).error;
      SCOPED_TRACE(std::string(c.name) + ", " + std::to_string(size) + " GiB: " + error);
      if (error.empty()) {
        seen.insert("fits");
        continue;
      }
      const size_t advice = error.find("too much; ");
      DeviceStepSizes advised = c.sizes;
      if (advice == std::string::npos) {
        seen.insert("nothing");
        EXPECT_TRUE(error.ends_with("too much"));
        advised = {kDeviceBf16, std::min<int64_t>(c.sizes.max_rows, 256), kDeviceKvBlock};
        EXPECT_FALSE(fits(*device, config, advised));
        continue;
      }
      EXPECT_TRUE(error.ends_with(" would fit")) << error;
      // The number behind some words of the advice; 0: they are not there.
      const auto behind = [&](const std::string& words) {
        const size_t at = error.find(words, advice);
        return at == std::string::npos ? 0 : std::stoll(error.substr(at + words.size()));
      };
      const int64_t rows = behind("--batch-rows "), context = behind("a context of ");
      if (rows > 0) advised.max_rows = rows;
      const bool type = error.find("--device-dtype bf16", advice) != std::string::npos;
      if (type) advised.type = kDeviceBf16;
      if (context > 0) advised.max_tokens = context;
      EXPECT_TRUE(fits(*device, config, advised));
      if (context > 0) {
        advised.max_tokens += kDeviceKvBlock;  // not one block more
        EXPECT_FALSE(fits(*device, config, advised));
      }
      seen.insert(std::string(rows > 0 ? "rows " : "") + (type ? "type " : "") +
                  (context > 0 ? "context" : ""));
    }
  }
  EXPECT_THAT(
      seen, testing::IsSupersetOf({"fits", "rows ", "type ", "rows type ", "context", "nothing"}));
}

// A GPU with room for one context beside the model, and hardly more.
uint64_t bytes_for_one_context(const TinyCheckpoint& model, int64_t rows) {
  const Planned p = plan(*device_of(uint64_t{1} << 30), model.config(),
                         {kDeviceF32, rows, model.config().max_tokens});
  const uint64_t need = p.plan.weights + p.plan.workspace + p.plan.kv_least;
  return need + need / 15 + 32;  // the reserve is a sixteenth
}

TEST(KeysAndValues, ThatOutgrowTheGpuAreAnErrorThatNamesThem) {
  const TinyCheckpoint model;
  const DeviceModuleGuard module("reference_device", bytes_for_one_context(model, 64));
  const auto gpu = test_support::load_on("cuda:0", model, {64, 8});
  std::vector<engine::Request> requests(8);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].id = i + 1;
    requests[i].tokens = test_support::random_tokens(250, i);
    requests[i].max_new_tokens = 2;
  }
  const auto one = test_support::run_one(*gpu, requests[0]);  // a context fits
  EXPECT_EQ(one.outcome, engine::Outcome::ok);
  std::string error;
  try {
    test_support::run_all(*gpu, requests);
  } catch (const DeviceError& e) {
    error = e.what();
  }
  EXPECT_THAT(error, HasSubstr("cuda:0: keys and values fill the 4 blocks of 64 positions"));
  EXPECT_THAT(error, HasSubstr("--streams"));
  // The engine is as good as new.
  test_support::expect_same(one, test_support::run_one(*gpu, requests[0]), 0);
}

TEST(KeysAndValues, AreZeroedAndCopiedByPosition) {
  const DeviceModuleGuard module;
  const auto device = Device::open(DeviceModule::load(), 0);
  const MoevalHeads heads{kDeviceF16, 4, 2, 8};
  constexpr int32_t kLayers = 3;
  const uint64_t block = engine::DeviceKvStore::block_bytes_of(heads, kLayers);
  ASSERT_EQ(block, 3u * 2 * 2 * 64 * 8 * 2);
  engine::DeviceKvStore store(device, heads, kLayers, 3 * block + block / 2);
  void* const a = store.make_block();
  void* const b = store.make_block();
  void* const c = store.make_block();
  EXPECT_EQ((std::set<void*>{a, b, c}.size()), 3u);
  EXPECT_THROW(store.make_block(), DeviceError);
  std::vector<uint16_t> values(block / 2);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(i + 1);
  device->run(device->ops().upload, a, static_cast<const void*>(values.data()), block);
  store.zero(b);
  store.copy_positions(a, b, 12);
  std::vector<uint16_t> copied(values.size());
  device->run(device->ops().download, static_cast<void*>(copied.data()),
              static_cast<const void*>(b), block);
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(copied[i], i / 8 % 64 < 12 ? values[i] : 0) << i;
  }
}

}  // namespace
