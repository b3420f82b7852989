// The loading of a module of GPU ops, and the memory of a device: errors are one line that names
// the cause.
#include "kernels/device_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/device.h"
#include "tests/support/device_module_env.h"
#include "tests/support/temp_folder.h"

namespace {

using kernels::Device;
using kernels::DeviceBuffer;
using kernels::DeviceError;
using kernels::DeviceModule;
using test_support::device_module;
using test_support::DeviceModuleGuard;
using test_support::EnvironmentGuard;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const DeviceError& e) {
    EXPECT_THAT(e.what(), Not(HasSubstr("\n")));
    return e.what();
  }
  return "no error";
}

std::string load_error(const std::filesystem::path& path) {
  return error_of([&] { DeviceModule::load(path); });
}

TEST(DeviceModule, IsTheOneThatTheEnvironmentNamesOrTheOneBesideTheProgram) {
  {
    const EnvironmentGuard named("MOEVAL_CUDA_MODULE", "/somewhere/module.so");
    EXPECT_EQ(DeviceModule::default_path(), "/somewhere/module.so");
    EXPECT_THAT(
        error_of([] { DeviceModule::load(); }),
        AllOf(HasSubstr("/somewhere/module.so is not there"), HasSubstr("MOEVAL_CUDA_MODULE")));
  }
  const auto beside = std::filesystem::canonical("/proc/self/exe").parent_path();
  for (const std::optional<std::string>& value : {std::optional<std::string>(), {""}}) {
    const EnvironmentGuard none("MOEVAL_CUDA_MODULE", value);
    EXPECT_EQ(DeviceModule::default_path(), beside / "libmoeval_cuda.so");
  }
}

TEST(DeviceModule, ThatIsNotThereOrIsNoneIsAnError) {
  const support::TempFolder folder;
  EXPECT_THAT(load_error(folder.path() / "none.so"),
              AllOf(HasSubstr((folder.path() / "none.so").string()), HasSubstr("is not there")));
  const auto text = folder.write("text.so", "this is no library\n");
  EXPECT_THAT(load_error(text), HasSubstr(text.string()));
  EXPECT_THAT(load_error(folder.path()), HasSubstr(folder.path().string()));
  EXPECT_THAT(load_error(text / "below"), HasSubstr("text.so"));  // a file is no folder
  EXPECT_THAT(load_error(device_module("broken_device_no_entry")),
              AllOf(HasSubstr("libbroken_device_no_entry.so: no symbol moeval_device_table"),
                    HasSubstr("not a module of moeval")));
}

TEST(DeviceModule, OfAnotherVersionIsAnErrorThatSaysBoth) {
  const std::string wanted = std::to_string(MOEVAL_DEVICE_ABI);
  EXPECT_THAT(load_error(device_module("broken_device_wrong_abi")),
              AllOf(HasSubstr("libbroken_device_wrong_abi.so: table version " +
                              std::to_string(MOEVAL_DEVICE_ABI + 1)),
                    HasSubstr("wants " + wanted), HasSubstr("build both from one commit")));
}

TEST(DeviceModule, IsFoundByARelativePath) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(device_module("").parent_path());
  const std::string error = load_error("libreference_device.so");
  std::filesystem::current_path(before);
  EXPECT_EQ(error, "no error");
}

TEST(DeviceModule, WithoutADriverSaysWhatTheDriverSays) {
  const auto module = DeviceModule::load(device_module("broken_device_no_devices"));
  const auto says = HasSubstr("CUDA driver version is insufficient");
  EXPECT_THAT(error_of([&] { module->count(); }), says);
  EXPECT_THAT(error_of([&] { Device::open(module, 0); }), says);
}

class DeviceTest : public testing::Test {
 protected:
  std::shared_ptr<Device> open() { return Device::open(DeviceModule::load(), 0); }
  static uint64_t free_bytes(const Device& device) { return device.info().free_bytes; }

  const DeviceModuleGuard module_{"reference_device", 1 << 20};
};

TEST_F(DeviceTest, OfAnotherIndexIsAnError) {
  const auto module = DeviceModule::load();
  EXPECT_EQ(module->count(), 1);
  EXPECT_EQ(module->path(), device_module("reference_device"));
  EXPECT_EQ(error_of([&] { Device::open(module, 3); }),
            "there is no cuda:3: the driver reports 1 GPU");
  EXPECT_THAT(error_of([&] { Device::open(module, -1); }), HasSubstr("there is no cuda:-1"));
}

TEST_F(DeviceTest, SaysWhatItIsAndWhichOpFailed) {
  const auto device = open();
  EXPECT_EQ(device->index(), 0);
  EXPECT_STREQ(device->info().name, "reference device (CPU)");
  EXPECT_EQ(device->info().total_bytes, 1u << 20);
  int32_t host = 0;
  EXPECT_THAT(error_of([&] {
                device->run(device->ops().upload, static_cast<void*>(&host),
                            static_cast<const void*>(&host), sizeof host);
              }),
              AllOf(HasSubstr("cuda:0: "), HasSubstr("upload")));
}

TEST_F(DeviceTest, GivesMemoryBackWithItsOwner) {
  const auto device = open();
  const uint64_t all = free_bytes(*device);
  {
    DeviceBuffer a(device, 1000, "a");
    EXPECT_FALSE(a.empty());
    EXPECT_EQ(a.bytes(), 1000u);
    EXPECT_EQ(free_bytes(*device), all - 1000);
    void* const data = a.data();

    DeviceBuffer b(std::move(a));
    EXPECT_EQ(b.data(), data);
    EXPECT_TRUE(a.empty());  // NOLINT: what a moved-from buffer is
    EXPECT_EQ(a.bytes(), 0u);
    EXPECT_EQ(free_bytes(*device), all - 1000);

    DeviceBuffer c(device, 500, "c");
    c = std::move(b);  // what c had is freed
    EXPECT_EQ(c.data(), data);
    EXPECT_EQ(free_bytes(*device), all - 1000);
    DeviceBuffer& same = c;
    c = std::move(same);
    EXPECT_EQ(c.data(), data);
    EXPECT_EQ(c.bytes(), 1000u);
    c = DeviceBuffer();
    EXPECT_TRUE(c.empty());
    EXPECT_EQ(free_bytes(*device), all);
  }
  EXPECT_EQ(free_bytes(*device), all);
}

TEST_F(DeviceTest, NamesTheMemoryThatIsNotThere) {
  const auto device = open();
  EXPECT_EQ(error_of([&] { DeviceBuffer(device, 2 << 20, "the weights"); }),
            "cuda:0: 2097152 bytes for the weights: device memory: out of memory");
  EXPECT_EQ(free_bytes(*device), 1u << 20);
  const DeviceBuffer nothing(device, 0, "nothing");
  EXPECT_TRUE(nothing.empty());
}

TEST_F(DeviceTest, MovesBytesThroughPinnedMemory) {
  const auto device = open();
  const DeviceBuffer pinned(device, 400, "a", DeviceBuffer::Place::pinned),
      memory(device, 400, "b");
  EXPECT_EQ(free_bytes(*device), (1u << 20) - 400);  // the host's is not the device's
  std::iota(pinned.as<int32_t>(), pinned.as<int32_t>() + 100, 5);
  const auto& ops = device->ops();
  device->run(ops.upload, memory.data(), static_cast<const void*>(pinned.data()), uint64_t{400});
  std::fill_n(pinned.as<int32_t>(), 100, 0);
  device->run(ops.download, pinned.data(), static_cast<const void*>(memory.as<void>(200)),
              uint64_t{200});
  device->synchronize();
  EXPECT_EQ(pinned.as<int32_t>()[0], 55);
  EXPECT_EQ(*pinned.as<int32_t>(196), 104);
}

TEST_F(DeviceTest, OutlivesItsOtherOwnersWhileMemoryIsHeld) {
  DeviceBuffer kept;
  {
    const auto device = open();
    kept = DeviceBuffer(device, 100, "kept");
  }
  EXPECT_FALSE(kept.empty());
  kept = DeviceBuffer();
}

}  // namespace
