// Owns PredictorNetwork: the stored predictor of a query's need, checked, and its inference in
// fp32.
//
// File: one safetensors file. Its __metadata__ has the key "moeval_predictor", a JSON text:
//   {"version": 1,                               2 with a fallback
//    "model_sha256": "<of the weights that it was trained for>",
//    "features": ["embedding_mean", "embedding_max", "log_tokens", ...],  (question_features.h)
//    "activation": "relu",
//    "k": [1, 2, 4, 8, 12, 16],                   budgets that it tells apart, ascending
//    "p_k": "ordinal",                            or "free"; left out: no such head
//    "rule": {"kind": "plug_in", "lambda": 0.1, "cost": [0.30, 0.34, ...]},     one cost per k
//         or {"kind": "logits"},
//    "fallback": {"detector": "mahalanobis",      or "nearest"; left out: none
//                 "kind": "full",                 or "fixed", "shrink", "cap" (fallback.h)
//                 "units": 64,                    of the last layer, the first ones: what it reads
//                 "threshold": 9.1,               a score above it is unlike
//                 "neighbours": 10,               nearest
//                 "k": 8,                         fixed, cap
//                 "prior": [0.20, 0.31, ...]}}    shrink: one mean success per k
// Tensors, all F32:
//   feature_mean, feature_scale [n_features]      optional: z = (feature - mean) / scale
//   layers.0.weight [h0, n_features], layers.0.bias [h0], layers.1...    h = activation(W z + b)
//   p_k.weight [n_k, h], p_k.bias [n_k]           ordinal: logit of p_k is o_0 + softplus(o_1) + ..
//                                                 up to its own k, so that p_k grows with k;
//                                                 free: each o_k is a logit
//   policy.weight [n_k, h], policy.bias [n_k]     for the rule "logits"
//   ood.mean [units], ood.factor [units, units]   mahalanobis: score |L^-1 (u - mean)|, L the lower
//                                                 triangle `factor`, u the units scaled to length 1
//   ood.rows [n, units]                           nearest: score the distance of u to them
// The key "moeval_training", if there is one, is a JSON object on how the file came about; it
// decides nothing.
// The rule plug_in runs argmax p_k - lambda * cost_k, the rule logits argmax of the policy head;
// ties go to the smaller k. Without hidden layers the heads read z.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/policy/fallback.h"
#include "engine/policy/policy_spec.h"
#include "engine/policy/question_features.h"
#include "kernels/cost.h"

namespace engine {

class JsonFields;

class PredictorNetwork {
 public:
  enum class Success { none, ordinal, free };
  enum class Rule { plug_in, logits };

  // Throws ModelFileError naming tensor and shapes, PolicyMismatch.
  static PredictorNetwork load(const std::filesystem::path&, const PolicyContext&);

  struct Output {
    int32_t k = 1;
    std::vector<double> p_k;  // per k of grid(); empty without the head
    double complexity = 0;    // expected number of experts needed, see below
    // With a fallback: how unlike its training the query is, and what the rule alone says.
    std::optional<double> ood_score;
    bool ood_flagged = false;
    int32_t k_without_fallback = 1;
  };
  // features: [n_features]. complexity: with p_k the mean of the smallest k that suffices,
  // k_1 + sum_i (k_{i+1} - k_i)(1 - p_{k_i}); else the mean of k under softmax(logits). Throws
  // PolicyError naming the feature or layer output that is NaN or infinite.
  Output infer(std::span<const float> features) const;

  const std::vector<Feature>& features() const { return features_; }
  const std::vector<int32_t>& grid() const { return k_; }
  const std::optional<FallbackRule>& fallback() const { return fallback_; }
  const std::string& file_sha256() const { return sha256_; }
  const std::string& training_json() const { return training_json_; }  // may be empty
  // Of one inference: a multiply-add of the layers is 2 FLOPs; pooling and activations are left
  // out as everywhere (kernels/cost.h).
  kernels::Cost cost() const;

 private:
  struct Linear {
    int64_t n_out = 0, n_in = 0;
    std::vector<float> weight, bias;  // [n_out, n_in], [n_out]
    std::vector<float> apply(std::span<const float>) const;
  };
  class Reader;

  void read_fallback(const Reader&, const JsonFields&, int64_t width);
  size_t fall_back(std::span<const float> activations, size_t usual, Output*) const;
  void check_features(std::span<const float>, const char* which) const;
  void check_outputs(std::span<const float>, const std::string& of) const;

  std::string file_;
  int64_t d_model_ = 0;
  std::vector<Feature> features_;
  std::vector<float> mean_, scale_;
  std::vector<Linear> hidden_;
  std::optional<Linear> p_k_, policy_;
  std::vector<int32_t> k_;
  Success success_ = Success::none;
  Rule rule_ = Rule::logits;
  double lambda_ = 0;
  std::vector<double> cost_;
  std::optional<FallbackRule> fallback_;
  std::string sha256_, training_json_;
};

}  // namespace engine
