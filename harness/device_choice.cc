#include "harness/device_choice.h"

#include <fmt/format.h>

#include <charconv>

#include "datasets/sha256.h"
#include "harness/exit_code.h"
#include "kernels/device_module.h"

namespace harness {

bool is_device_name(std::string_view name) {
  if (name == "cpu" || name == "auto") return true;
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return false;
  int index = -1;
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), last, index);
  return error == std::errc() && end == last && index >= 0;
}

std::unique_ptr<engine::Engine> load_engine(const engine::Checkpoint& checkpoint,
                                            const DeviceChoice& device,
                                            engine::EngineOptions options) {
  if (!is_device_name(device.name))
    throw UsageError(fmt::format("--device {}: want {}", device.name, kDeviceNames));
  options.device = device.name;
  options.device_type = device.type;
  auto engine = engine::Engine::load(checkpoint, options);
  const auto facts = engine->device();
  if (facts.device != "cpu")
    fmt::print(stderr, "computing on {} ({}), weights as {}\n", facts.device, facts.name,
               facts.type);
  else if (device.name != "cpu")
    fmt::print(stderr, "computing on the CPU: {}\n", engine->options().device_passed_over);
  return engine;
}

std::string device_label(const engine::DeviceFacts& f) {
  return f.type.empty() ? f.device : fmt::format("{} {}", f.device, f.type);
}

std::map<std::string, std::string> device_fingerprint(const engine::DeviceFacts& f) {
  if (f.device == "cpu") return {};
  return {{"device", device_label(f)},
          {"device.gpu", f.name},
          {"device.cublas", cublas_version(f.blas)},
          {"device.module", datasets::sha256_file(kernels::DeviceModule::default_path())}};
}

std::string cuda_version(int32_t v) { return fmt::format("{}.{}", v / 1000, v % 1000 / 10); }

std::string cublas_version(int32_t v) {
  return fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

}  // namespace harness
