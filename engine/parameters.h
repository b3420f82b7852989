// Owns the count of a model's parameters, from its config alone.
#pragma once

#include <cstdint>

#include "engine/model_config.h"

namespace engine {

struct Parameters {
  int64_t total = 0;
  int64_t per_expert = 0;  // one routed expert over all layers; in a dense model its blocks
  int64_t dense = 0;       // everything else, shared experts included

  // Those that a token meets when k experts run, shared ones counted in k; embedding included.
  int64_t active(const MoeConfig&, int32_t k) const;
};

Parameters count_parameters(const ModelConfig&);

}  // namespace engine
