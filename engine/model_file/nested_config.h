// Owns config.json of the family moeval_nested, both ways. For .cc files below engine/ only.
// Format: engine/convert/README.md.
#pragma once

#include <string>

#include "engine/model_config.h"

namespace engine {

class JsonFields;

// The same config gives the same bytes; floats keep their exact values.
std::string nested_config_json(const ModelConfig&);

// Not validated. Throws ModelFileError.
ModelConfig read_nested_config(const JsonFields&);

}  // namespace engine
