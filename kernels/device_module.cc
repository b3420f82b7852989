#include "kernels/device_module.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace kernels {

namespace fs = std::filesystem;

fs::path DeviceModule::default_path() {
  if (const char* named = std::getenv("MOEVAL_CUDA_MODULE"); named && *named) return named;
  std::error_code failed;
  return fs::read_symlink("/proc/self/exe", failed).parent_path() / "libmoeval_cuda.so";
}

std::shared_ptr<const DeviceModule> DeviceModule::load(const fs::path& path) {
  std::error_code failed;
  if (!fs::exists(path, failed)) {
    const char* named = std::getenv("MOEVAL_CUDA_MODULE");
    throw DeviceError(fmt::format(
        "{} is not there: {}", path.string(),
        named && path == named
            ? "MOEVAL_CUDA_MODULE names it"
            : "this build has no CUDA module (it is built where nvcc 12.5 or newer is)"));
  }
  // Never closed: CUDA's libraries do not survive it.
  void* handle = dlopen(fs::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw DeviceError(fmt::format("{}: {}", path.string(), dlerror()));
  const auto entry = reinterpret_cast<MoevalDeviceEntry>(dlsym(handle, MOEVAL_DEVICE_ENTRY));
  if (!entry) {
    throw DeviceError(fmt::format("{}: no symbol {}: not a module of moeval", path.string(),
                                  MOEVAL_DEVICE_ENTRY));
  }
  const MoevalDeviceTable* table = entry();
  if (table->abi != MOEVAL_DEVICE_ABI || table->bytes != sizeof(MoevalDeviceTable)) {
    throw DeviceError(fmt::format(
        "{}: table version {} of {} bytes, this program wants {} of {}: build both from "
        "one commit",
        path.string(), table->abi, table->bytes, MOEVAL_DEVICE_ABI, sizeof(MoevalDeviceTable)));
  }
  return std::shared_ptr<const DeviceModule>(new DeviceModule(path, table));
}

int DeviceModule::count() const {
  int32_t n = 0;
  if (table_->count(&n) != 0) throw DeviceError(table_->last_error());
  return n;
}

}  // namespace kernels
