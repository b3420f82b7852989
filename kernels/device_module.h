// Owns the loading of the module that runs ops on a GPU.
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "kernels/device_table.h"

namespace kernels {

// What a device or its module says went wrong, one line.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A loaded module; it stays loaded for the life of the process.
class DeviceModule {
 public:
  // $MOEVAL_CUDA_MODULE, or libmoeval_cuda.so beside the program.
  static std::filesystem::path default_path();

  // Throws DeviceError: the file or a library that it needs is not there (named), it is no such
  // module, or one of another version of the table.
  static std::shared_ptr<const DeviceModule> load(const std::filesystem::path& = default_path());

  const MoevalDeviceTable& table() const { return *table_; }
  const std::filesystem::path& path() const { return path_; }
  int count() const;  // GPUs; throws DeviceError when there is no driver

 private:
  DeviceModule(std::filesystem::path path, const MoevalDeviceTable* table)
      : path_(std::move(path)), table_(table) {}
  const std::filesystem::path path_;
  const MoevalDeviceTable* const table_;
};

}  // namespace kernels
