// Owns the options of a conversion, checked against the parent, and its errors.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "engine/model_config.h"
#include "kernels/dtype.h"

namespace engine::convert {

// How neurons that no shared expert holds come together.
enum class Partition : uint8_t {
  coactivation,  // active on the same tokens
  parameters,    // alike in their weights
  random,
  importance  // in order of importance, no grouping
};

// How a token's experts are chosen.
enum class RouterFit : uint8_t {
  ridge,         // regression of the log norm of what leaving the expert out would lose
  cmoe,          // activation of the expert's representative neuron (Pei et al. 2025)
  gate_first,    // mass of the expert's gates, computed for every expert (1/3 of the block)
  exact_norm,    // that loss itself, computed by running every expert: a diagnostic
  static_order,  // always experts of lower id first: a static mask
};

const char* partition_name(Partition);
const char* router_fit_name(RouterFit);

struct Options {
  int32_t n_experts = 16;
  int32_t n_shared = 2;
  Partition partition = Partition::coactivation;
  RouterFit router = RouterFit::ridge;
  bool compensate = true;
  uint64_t seed = 0;
  kernels::Dtype dtype = kernels::Dtype::f32;  // of matrices; or f16. Vectors stay f32

  int64_t window = 512;           // tokens that attend to each other during calibration
  int32_t active = 64;            // neurons per token that count as active
  int64_t marker_rows = 16384;    // calibration rows that markers are taken from, at most
  int32_t n_representatives = 2;  // per routed expert; cmoe reads one
  double ridge_lambda = 1e-3;

  int32_t n_routed() const { return n_experts - n_shared; }
  // Neurons per routed expert that the model's router reads.
  int32_t representatives_read() const {
    if (router == RouterFit::ridge) return n_representatives;
    return router == RouterFit::cmoe ? 1 : 0;
  }
};

// Options that cannot be, or that this parent cannot be converted with.
class OptionError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// The folder holds the beginnings of another conversion.
class OtherConversion : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws OptionError, or ModelFileError when the parent is no dense model. width: of its block.
void check_options(const Options&, const ModelConfig& parent, int64_t width,
                   const std::string& file);

}  // namespace engine::convert
