// Owns the way of a tensor from a checkpoint into a GPU's memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/tensor_reader.h"
#include "kernels/device.h"
#include "kernels/thread_pool.h"

namespace engine {

// Rows are read and converted by all threads into a pinned buffer.
class WeightUpload {
 public:
  WeightUpload(const Checkpoint&, int32_t type, const kernels::DeviceBuffer& to,
               std::shared_ptr<const kernels::Device>, kernels::ThreadPool&);

  // To byte `at` of the target. Throw ModelFileError, DeviceError.
  void matrix(const std::string& name, int64_t n_out, int64_t n_in, uint64_t at);
  void floats(const std::string& name, const std::vector<int64_t>& shape, uint64_t at);
  void finish();

 private:
  std::byte* room(uint64_t bytes);  // in the pinned buffer
  void send(const std::byte* from, uint64_t bytes, uint64_t at);

  const TensorReader reader_;
  const int32_t type_;
  const kernels::DeviceBuffer& to_;
  const std::shared_ptr<const kernels::Device> device_;
  kernels::ThreadPool& pool_;
  kernels::DeviceBuffer pinned_;
  uint64_t used_ = 0;
};

}  // namespace engine
