// Owns what is learned: the likelihood of success at each k, and the value of a policy with its
// exact gradient and with REINFORCE's. Of one query each; gradients are by the network's outputs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace engine::train {

// ordinal: logit of p_k is o_0 + softplus(o_1) + ... + softplus(o_k), so that p_k grows with k.
// free: each o_k is a logit. (engine/policy/predictor_file.h)
enum class Head { ordinal, free };

// What the exported rule is: argmax p_k - lambda cost_k, or the policy head by either gradient.
enum class Objective { success, policy, reinforce };

std::vector<double> success_probabilities(Head, std::span<const double> outputs);

// Mean over the seen k of -(y log p_k + (1 - y) log(1 - p_k)), y in [0, 1]. seen: [n_k] or empty =
// all. Writes its derivative to d_outputs.
double success_loss(Head, std::span<const double> outputs, std::span<const double> y,
                    std::span<const uint8_t> seen, std::span<double> d_outputs);

std::vector<double> softmax(std::span<const double> logits);

// J = sum_k pi_k r_k + beta H(pi), pi = softmax(z). Writes dJ/dz_k = pi_k (r_k - sum_j pi_j r_j)
// - beta pi_k (log pi_k + H).
double policy_value(std::span<const double> logits, std::span<const double> reward, double beta,
                    std::span<double> d_logits);

// Of one draw k: (r - baseline) d log pi_k / dz, plus the entropy's gradient, which needs no draw
// (Williams 1992). Its mean over k ~ pi is policy_value's gradient, whatever the baseline.
void reinforce_gradient(std::span<const double> logits, size_t drawn, double reward,
                        double baseline, double beta, std::span<double> d_logits);

}  // namespace engine::train
