// Owns the meaning of the normalizer and pre_tokenizer parts of tokenizer.json. Internal to the
// readers: this header may be included by .cc files of this folder only.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/tokenizer/spec.h"

namespace engine::tokenizer {

// Fills the alphabet, the normalisation and the pre-tokenizer of spec. Throws ModelFileError naming
// the JSON pointer, the value and what is known.
void read_pipeline(const nlohmann::json& root, Spec& spec);

}  // namespace engine::tokenizer
