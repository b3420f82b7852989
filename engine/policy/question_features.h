// Owns the numbers that a predictor may read off a question: its frozen token embeddings, pooled,
// and its surface. A function of the question's span alone.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "engine/policy/expert_policy.h"

namespace engine {

enum class Feature : uint8_t {
  embedding_mean,  // [d_model]
  embedding_max,   // [d_model]
  log_tokens,      // log(1 + tokens)
  log_bytes,       // log(1 + bytes)
  word_bytes,      // mean bytes of words between blanks
  digits,          // the rest: shares of the bytes
  upper_case,
  blanks,    // space, tab, line feed, carriage return
  newlines,  // line feeds
  code,      // one of {}[]()<>=;_#
  latex,     // one of \ $ ^
  non_ascii
};

// Names as in a predictor's file; nullptr when there is no such feature.
const char* feature_name(Feature);
const Feature* find_feature(std::string_view name);
std::vector<std::string_view> feature_names();

// How many numbers a feature is.
int64_t feature_width(Feature, int64_t d_model);

// The features one after the other. embedding_row writes [d_model]. Of a question without tokens
// or bytes everything is 0.
std::vector<float> question_features(std::span<const Feature>, const QueryFeatures&,
                                     int64_t d_model,
                                     const std::function<void(TokenId, float*)>& embedding_row);

}  // namespace engine
