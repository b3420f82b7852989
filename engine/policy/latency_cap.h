// Owns LatencyCap: a policy around another one that lowers k until the query's predicted latency
// fits. A function of stored coefficients and the query, never of a clock: the same query is capped
// the same way on every machine.
//
//   T(k) = prefill[k] * prompt tokens + decode[k] * max_new_tokens      (milliseconds)
//
// File (JSON, strict):
//   {"format": "moeval_latency/1",
//    "model_sha256": "<of the weights that were measured>",
//    "prefill_ms_per_token": {"1": 0.4, "16": 1.1},
//    "decode_ms_per_token":  {"1": 9.5, "16": 21}}
// Both name k = 1 and the largest k of the model; between two named k they are linear.
//
// The largest k that fits, not above what the inner policy wants, is run. A query that does not fit
// at k = 1 either is run at k = 1 and counts as capped. That no query at all fits is for the caller
// to find out (predicted_ms) before it runs any.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/policy/policy_spec.h"

namespace engine {

struct LatencyCoefficients {
  std::vector<double> prefill_ms, decode_ms;  // per token, at k = 1 .. max_k
  std::string file_sha256;

  // Throws ModelFileError, PolicyMismatch.
  static LatencyCoefficients load(const std::filesystem::path&, const PolicyContext&);

  double predicted_ms(int32_t k, int64_t prompt_tokens, int64_t max_new_tokens) const;
};

class LatencyCap final : public ExpertPolicy {
 public:
  LatencyCap(std::shared_ptr<const ExpertPolicy> inner, double cap_ms, LatencyCoefficients);

  std::string_view kind() const override { return inner_->kind(); }
  std::string label() const override;  // "fixed:8+cap:250ms"
  std::string config_json() const override;
  std::string origin_json() const override { return inner_->origin_json(); }
  // Sets capped and k_uncapped in every decision: false and the inner k where nothing was lowered.
  Decision decide(const QueryFeatures&) const override;

  double cap_ms() const { return cap_ms_; }
  const LatencyCoefficients& coefficients() const { return coefficients_; }

 private:
  std::shared_ptr<const ExpertPolicy> inner_;
  double cap_ms_;
  LatencyCoefficients coefficients_;
};

}  // namespace engine
