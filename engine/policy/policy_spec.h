// Owns PolicySpec: what a person writes after --policy, parsed, and the policy made from it.
//
//   fixed:K                 K experts per token and layer
//   trained                 as many as the checkpoint was trained with
//   layers:K0,K1,...        a number per layer; or layers:FILE, a JSON array of them
//   top_p:P[,K]             per token, the best experts until they hold more than P; at most K
//   threshold:T[,K]         per token, experts of probability T or more; at most K
//   entropy:A,B[,K]         per token, round(A + B * H(p) / log n) experts; at most K
//   predictor:FILE          from the question, by a small network (predictor_file.h)
//   table:FILE              decisions by query (table_policy.h)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/expert_policy.h"

namespace engine {

struct PolicySpec {
  std::string kind;             // a name of policy_kinds()
  std::string label;            // as written
  std::vector<double> numbers;  // P, T or A and B; k of each layer
  int32_t k = 0;                // fixed: K; selectors: at most K, 0 = all that the model runs
  std::string file;             // predictor, table, layers
};

struct PolicyKind {
  std::string_view name, form, about;
};
const std::vector<PolicyKind>& policy_kinds();

// Throws PolicyError: what is wrong, the form that is wanted, for an unknown kind the nearest one.
// Needs no model and opens no file.
PolicySpec parse_policy(std::string_view);

// What a policy is held against.
struct PolicyContext {
  MoeConfig moe;
  int32_t n_layers = 0;
  int64_t d_model = 0;
  std::string weights_sha256;  // of the model; files made for another one are refused
  std::function<void(TokenId, float*)> embedding_row;   // [d_model], for predictors
  std::function<std::string(std::string_view)> sha256;  // of a file's bytes, for config_json
};

// Throws PolicyError (k beyond the model, a selector for a dense model), PolicyMismatch (a file of
// another model), ModelFileError (a file that is wrong).
std::shared_ptr<const ExpertPolicy> make_policy(const PolicySpec&, const PolicyContext&);

}  // namespace engine
