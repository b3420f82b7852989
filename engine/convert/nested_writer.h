// Owns the writing of a converted model: a folder in the format of README.md beside this file.
#pragma once

#include <atomic>
#include <filesystem>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/convert/layer_plan.h"
#include "engine/convert/options.h"

namespace engine::convert {

// What the converted model is.
ModelConfig nested_config(const Checkpoint& parent, const Options&);

// model.safetensors from the parent's dequantised weights. False when `stop` came true: no file
// then. Throws ModelFileError (a weight does not fit f16), std::system_error (the disk).
bool write_weights(const Checkpoint& parent, const Options&, const std::vector<LayerPlan>&,
                   const std::filesystem::path& file, const std::atomic<bool>& stop);

void write_config(const ModelConfig&, const std::filesystem::path& file);

// The parent's tokenizer: the JSON files of a folder as they are, or tokenizer.gguf, a GGUF file
// with the parent's metadata and no tensors, so that special tokens, chat template and
// pre-tokenizer stay exact.
void write_tokenizer(const std::filesystem::path& parent, const std::filesystem::path& folder);

}  // namespace engine::convert
