// Owns TensorTable: from the names a file uses to the canonical ones, with every shape checked
// against the config before a weight is read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/model_file/byte_source.h"
#include "engine/model_file/tensor_names.h"

namespace engine {

class TensorTable {
 public:
  // What a file says about one of its tensors.
  struct Stored {
    std::shared_ptr<const ByteSource> source;
    std::string_view stored_type;         // for messages
    std::optional<kernels::Dtype> dtype;  // nothing: a type that is not read
    const std::vector<int64_t>* shape = nullptr;
    uint64_t offset = 0;
  };
  using Lookup = std::function<std::optional<Stored>(const std::string& stored_name)>;

  // Every tensor that the config asks for. Throws ModelFileError when one is missing, has another
  // shape, or a type that is not read.
  TensorTable(const ModelConfig&, NameStyle, const std::string& file, const Lookup&);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  bool uses(const std::string& stored_name) const { return stored_.contains(stored_name); }
  void read_rows(const TensorInfo&, int64_t first, int64_t n, void* dst) const;

 private:
  void add(const WantedTensor&, NameStyle, const std::string& file, const Lookup&);

  struct Place {
    std::shared_ptr<const ByteSource> source;
    uint64_t offset = 0;
  };
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, Place> stored_;  // by stored name
};

}  // namespace engine
