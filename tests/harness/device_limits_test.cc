// What is measured beside a run on a GPU: its limits, and its energy.
#include "harness/device_limits.h"

#include <gmock/gmock.h>

#include "harness/run_energy.h"
#include "kernels/power_meter.h"
#include "tests/harness/environment_guard.h"

namespace harness {
namespace {

using engine::DeviceType;
using test_support::EnvironmentGuard;
using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(DeviceLimits, TakeAnEighthOfTheFreeMemoryAtMost) {
  const DeviceLimits::Sizes whole = DeviceLimits::fitted({}, 80'000 * kMiB, DeviceType::bf16);
  EXPECT_EQ(whole.edge, 8192);
  EXPECT_EQ(whole.copy_bytes, 1024 * kMiB);
  const DeviceLimits::Sizes part = DeviceLimits::fitted({}, 1024 * kMiB, DeviceType::bf16);
  EXPECT_EQ(part.edge, 4096);  // 3 matrices of 32 MiB
  EXPECT_EQ(part.copy_bytes, 64 * kMiB);
  EXPECT_EQ(DeviceLimits::fitted({}, 1024 * kMiB, DeviceType::f32).edge, 2048);
  EXPECT_EQ(DeviceLimits::fitted({}, 0, DeviceType::f32).edge, 64);
}

TEST(DeviceLimits, AreMeasuredThroughTheTable) {
  const EnvironmentGuard module("MOEVAL_CUDA_MODULE",
                                MOEVAL_BINARY_DIR "/device_modules/libreference_device.so");
  const EnvironmentGuard bytes("MOEVAL_REFERENCE_DEVICE_BYTES", "4194304");
  for (const auto type : {DeviceType::bf16, DeviceType::f16, DeviceType::f32}) {
    DeviceLimits limits("cuda:0", type);
    EXPECT_LE(limits.sizes().edge, 256);
    const LimitRates rates = limits.measure();
    EXPECT_GT(rates.flops, 0);
    EXPECT_GT(rates.bytes, 0);
  }
  EXPECT_THROW(DeviceLimits("cuda:1", DeviceType::bf16), kernels::DeviceError);
}

TEST(RunEnergy, IsNamedWithItsSourceOrNotAtAll) {
  const std::string line = energy_line("cuda:0", 1'000, 61'000, 2);
  EXPECT_THAT(line, HasSubstr("energy 60J in 2.0 s"));
  EXPECT_THAT(line, HasSubstr("NVML"));
  EXPECT_THAT(energy_line("cuda:0", 1'000, 61'000, 0.5), HasSubstr("n/a"));
  EXPECT_THAT(energy_line("cuda:0", std::nullopt, 61'000, 2), HasSubstr("n/a"));
  EXPECT_THAT(energy_line("cuda:0", 61'000, 1'000, 2), HasSubstr("n/a"));
  EXPECT_EQ(RunEnergy(engine::DeviceFacts{}).line(), "");
}

// With a driver or without: there is no such GPU.
TEST(PowerMeter, SaysWhyItCannotRead) {
  std::string why;
  EXPECT_EQ(kernels::PowerMeter::open("GPU-none", &why), nullptr);
  EXPECT_NE(why, "");
  EXPECT_EQ(why.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace harness
