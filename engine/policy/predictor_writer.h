// Owns writing a predictor's file, as predictor_file.h reads it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/policy/fallback.h"
#include "engine/policy/question_features.h"

namespace engine {

struct PredictorContent {
  struct Linear {
    int64_t n_out = 0, n_in = 0;
    std::vector<float> weight, bias;  // [n_out, n_in], [n_out]
  };
  struct PlugIn {
    double lambda = 0;
    std::vector<double> cost;  // one per k
  };

  std::string model_sha256;
  std::vector<Feature> features;
  std::vector<int32_t> grid;
  std::vector<float> feature_mean, feature_scale;
  std::vector<Linear> hidden;
  std::optional<Linear> p_k, policy;
  bool ordinal = false;           // of p_k
  std::optional<PlugIn> plug_in;  // the rule; without it: logits
  std::optional<FallbackRule> fallback;
  // How it came about, for people; JSON text, kept under "moeval_training" beside the predictor.
  std::string training_json;
};

// The bytes of the file; a function of the content alone.
std::string predictor_bytes(const PredictorContent&);

// Whole under its name, or not there. Throws std::system_error naming the file.
void write_predictor(const std::filesystem::path&, const PredictorContent&);

}  // namespace engine
