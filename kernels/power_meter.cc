#include "kernels/power_meter.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

namespace kernels {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";

// What is used of NVML, as its documentation has it: every function returns 0 or an error's number.
// It is neither shut down nor unloaded: the process has it for life.
class Nvml {
 public:
  static const Nvml& get() {
    static const Nvml nvml;
    return nvml;
  }

  const std::string& why_not() const { return why_not_; }  // empty: it is there
  std::string error(int code) const { return error_string_ ? error_string_(code) : "no reason"; }

  int (*handle_by_uuid)(const char* uuid, void** device) = nullptr;
  int (*total_energy)(void* device, unsigned long long* mj) = nullptr;
  int (*driver_version)(char* version, unsigned int length) = nullptr;

 private:
  Nvml() {
    void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      why_not_ = dlerror();
      return;
    }
    int (*init)() = nullptr;
    const bool whole = find(library, "nvmlInit_v2", init) &&
                       find(library, "nvmlErrorString", error_string_) &&
                       find(library, "nvmlDeviceGetHandleByUUID", handle_by_uuid) &&
                       find(library, "nvmlDeviceGetTotalEnergyConsumption", total_energy) &&
                       find(library, "nvmlSystemGetDriverVersion", driver_version);
    if (!whole) return;
    if (const int code = init(); code != 0) why_not_ = fmt::format("nvmlInit_v2: {}", error(code));
  }

  template <class F>
  bool find(void* library, const char* name, F*& function) {
    function = reinterpret_cast<F*>(dlsym(library, name));
    if (!function) why_not_ = fmt::format("{}: no symbol {}", kLibrary, name);
    return function != nullptr;
  }

  const char* (*error_string_)(int) = nullptr;
  std::string why_not_;
};

}  // namespace

std::unique_ptr<PowerMeter> PowerMeter::open(const std::string& uuid, std::string* why_not) {
  const Nvml& nvml = Nvml::get();
  *why_not = nvml.why_not();
  if (!why_not->empty()) return nullptr;
  void* device = nullptr;
  if (const int code = nvml.handle_by_uuid(uuid.c_str(), &device); code != 0) {
    *why_not = fmt::format("NVML, {}: {}", uuid, nvml.error(code));
    return nullptr;
  }
  unsigned long long mj = 0;
  if (const int code = nvml.total_energy(device, &mj); code != 0) {
    *why_not = fmt::format("NVML, energy of {}: {}", uuid, nvml.error(code));
    return nullptr;
  }
  return std::unique_ptr<PowerMeter>(new PowerMeter(device));
}

std::optional<uint64_t> PowerMeter::energy_mj() const {
  unsigned long long mj = 0;
  if (Nvml::get().total_energy(device_, &mj) != 0) return std::nullopt;
  return mj;
}

std::string gpu_driver_version() {
  const Nvml& nvml = Nvml::get();
  std::array<char, 96> version{};  // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE is 80
  if (!nvml.why_not().empty() ||
      nvml.driver_version(version.data(), static_cast<unsigned int>(version.size())) != 0)
    return "";
  return version.data();
}

}  // namespace kernels
