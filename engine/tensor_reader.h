// Owns the checked reading of a checkpoint's tensors by canonical name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/checkpoint.h"

namespace engine {

// All throw ModelFileError: a tensor is absent or of another shape, its rows do not fill the blocks
// of its type, or a scale or an unquantised element is NaN or infinite.
class TensorReader {
 public:
  explicit TensorReader(const Checkpoint&);  // must outlive this

  // The tensor, of the shape that the model wants.
  const TensorInfo& require(const std::string& name, const std::vector<int64_t>& shape) const;
  const TensorInfo& matrix(const std::string& name, int64_t n_out, int64_t n_in) const;

  // Stored bytes of one row of a matrix. May be called from many threads.
  void read_row(const TensorInfo&, int64_t row, void* dst) const;
  // The same, expanded to n_in floats; stored: scratch of row_bytes.
  void read_row(const TensorInfo&, int64_t row, std::vector<std::byte>& stored, float* dst) const;

  std::vector<float> vector(const std::string& name, int64_t n) const;
  std::vector<float> floats(const std::string& name, int64_t rows, int64_t n) const;

 private:
  const Checkpoint& checkpoint_;
  std::unordered_map<std::string_view, const TensorInfo*> by_name_;  // tens of thousands of experts
};

}  // namespace engine
