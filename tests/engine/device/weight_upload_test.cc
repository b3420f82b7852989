// The way of tensors into a GPU's memory through a pinned buffer that is used again and again.
#include "engine/device/weight_upload.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>

#include "tests/support/device_module_env.h"
#include "tests/support/tiny_checkpoint.h"

namespace {

using engine::WeightUpload;
using kernels::DeviceBuffer;
using test_support::TinyCheckpoint;

class WeightUploads : public testing::Test {
 protected:
  template <class T>
  std::vector<T> download(const DeviceBuffer& from, uint64_t at, size_t n) {
    std::vector<T> values(n);
    device_->run(device_->ops().download, static_cast<void*>(values.data()),
                 static_cast<const void*>(from.as<std::byte>(at)), n * sizeof(T));
    return values;
  }
  std::vector<float> stored(const std::string& name) {
    const auto& bytes = model_.bytes(name);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  const test_support::DeviceModuleGuard module_;
  const std::shared_ptr<kernels::Device> device_ =
      kernels::Device::open(kernels::DeviceModule::load(), 0);
  kernels::ThreadPool pool_{2};
  TinyCheckpoint model_;
};

TEST_F(WeightUploads, BringMoreThanThePinnedBufferHolds) {
  constexpr uint64_t kGate = 0, kNorm = 96 * 64 * 4, kBytes = kNorm + 64 * 4;
  const DeviceBuffer to(device_, kBytes, "weights");  // as large as what is pinned
  WeightUpload upload(model_, kDeviceF32, to, device_, pool_);
  for (const std::string layer : {"layers.0.", "layers.1.", "layers.0.", "layers.1."}) {
    upload.matrix(layer + "experts.0.gate", 96, 64, kGate);
    upload.floats(layer + "ffn_norm", {64}, kNorm);
    upload.finish();
    EXPECT_EQ(download<float>(to, kGate, 96 * 64), stored(layer + "experts.0.gate"));
    EXPECT_EQ(download<float>(to, kNorm, 64), stored(layer + "ffn_norm"));
  }
}

// The 16 bits of a value's upper half, rounded up where the lower half is more than half, or half
// and the result would be odd.
uint16_t bf16_of(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  const uint32_t low = bits & 0xffffu, high = bits >> 16;
  return static_cast<uint16_t>(high + (low > 0x8000u || (low == 0x8000u && high % 2 == 1)));
}

TEST_F(WeightUploads, RoundToBf16ToTheNearestAndTiesToEven) {
  const uint32_t planted[] = {0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0xbf817fff,
                              0x00000001, 0x80000000, 0x7f7f7fff, 0x3fffffff};
  std::mt19937 random(1);
  model_.change("layers.0.q", [&](int64_t row, int64_t column, float v) {
    if (row == 0 && column < 9) return std::bit_cast<float>(planted[column]);
    return row % 2 ? v
                   : std::bit_cast<float>(
                         static_cast<uint32_t>((random() & 0x1fffffffu) | 0x20000000u));
  });
  const DeviceBuffer to(device_, 64 * 64 * 2, "weights");
  WeightUpload upload(model_, kDeviceBf16, to, device_, pool_);
  upload.matrix("layers.0.q", 64, 64, 0);
  upload.finish();
  const auto got = download<uint16_t>(to, 0, 64 * 64);
  const auto values = stored("layers.0.q");
  EXPECT_EQ(got[0], 0x3f80);
  EXPECT_EQ(got[1], 0x3f80);
  EXPECT_EQ(got[2], 0x3f82);
  EXPECT_EQ(got[3], 0x3f81);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], bf16_of(values[i])) << i;
}

}  // namespace
