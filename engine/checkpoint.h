// Owns Checkpoint: one interface over GGUF files and Hugging Face folders. Tensor names are
// canonical here; the files below engine/model_file know the two dialects.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_config.h"
#include "kernels/dtype.h"

namespace engine {

// Canonical names ("{i}" = layer):
//   embed, head (absent when tied), final_norm,
//   layers.{i}.attn_norm, .q, .k, .v, .o, .q_bias, .k_bias, .v_bias, .q_norm, .k_norm,
//   layers.{i}.ffn_norm, layers.{i}.experts.{e}.gate, .up, .down (shared experts first; the block
//   of a dense model is expert 0),
//   layers.{i}.router [n_routed, d_model], layers.{i}.shared_gate [n_shared, d_model];
//   moeval_nested has .router_bias, .rep_gate, .rep_up, .mix and .expert_means besides
//   (engine/convert/README.md)
struct TensorInfo {
  std::string name;         // canonical
  std::string stored_name;  // as in the file, for messages
  kernels::Dtype dtype = kernels::Dtype::f32;
  std::vector<int64_t> shape;  // row-major [n_out, n_in] or [n]
  int64_t first_row = 0;       // of the stored tensor, when this one is a part of it
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  // path: a .gguf file, or a folder with config.json and safetensors. Checks everything that can be
  // checked without reading weights: header, bounds, that every tensor that the config asks for is
  // there with the right shape. Throws ModelFileError.
  static std::unique_ptr<Checkpoint> open(const std::filesystem::path&);

  virtual const ModelConfig& config() const = 0;
  virtual const std::filesystem::path& path() const = 0;
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  const TensorInfo* find(std::string_view canonical) const;  // nullptr if absent

  // Stored bytes of rows [first, first + n) of a tensor into dst. A 1-D tensor is one row.
  // Thread-safe. Throws ModelFileError when the file became shorter.
  virtual void read_rows(const TensorInfo&, int64_t first, int64_t n, void* dst) const = 0;

  // Files that make up the checkpoint, for hashing; sorted.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

}  // namespace engine
