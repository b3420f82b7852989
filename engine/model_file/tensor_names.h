// Owns the names of tensors in the two dialects: for every tensor that a config asks for, where a
// file may keep it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/model_config.h"

namespace engine {

enum class NameStyle { gguf, hugging_face };

// One place where a file may keep a canonical tensor: a stored tensor of this shape (in GGUF's
// one-dimensional form too where that holds the same elements), from this row on. Rows run over all
// but the last dimension.
struct StoredForm {
  std::string name;
  std::vector<int64_t> shape;
  int64_t first_row = 0;
};

struct WantedTensor {
  std::string canonical;
  std::vector<int64_t> shape;     // [n_out, n_in] or [n]
  std::vector<StoredForm> forms;  // the usual one first
};

// Every tensor of the model, in canonical order; one at a time, so that a config that lies about
// its size costs nothing before the first tensor that is missing.
void for_each_wanted_tensor(const ModelConfig&, NameStyle,
                            const std::function<void(const WantedTensor&)>&);

}  // namespace engine
