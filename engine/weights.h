// Owns the weights in memory: matrices packed in their stored type, vectors as floats.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/model_config.h"
#include "engine/routing_trace.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"

namespace engine {

// A gated feed-forward block: down(silu(gate x) * up x). gate, up [width, d_model], down
// [d_model, width].
struct Expert {
  kernels::PackedMatrix gate, up, down;
};

// What gives every routed expert a score; empty parts where the model's router has none.
struct Router {
  kernels::PackedMatrix weight;       // [n_routed, d_model]
  std::vector<float> bias;            // [n_routed]
  kernels::PackedMatrix shared_gate;  // [n_shared, d_model]
  // representative: score += mix . |silu(rep_gate x) * rep_up x|, neurons of the routed experts.
  kernels::PackedMatrix rep_gate, rep_up;  // [n_routed * n_representatives, d_model]
  kernels::PackedMatrix mix;               // [n_routed, n_routed * n_representatives]
  // gate_first: score of expert e = activation_scale[e] . |silu(gate_e x)|.
  std::vector<float> activation_scale;  // [n_routed, d_expert]
};

struct LayerWeights {
  std::vector<float> attn_norm, ffn_norm;
  kernels::PackedMatrix q, k, v, o;
  std::vector<float> q_bias, k_bias, v_bias;  // empty when the model has none
  std::vector<float> q_norm, k_norm;          // [d_head], of all heads (QkNorm::whole), or empty
  Router router;
  std::vector<Expert> experts;  // moe.n_experts of them, shared ones first; one in a dense model
  std::vector<float> expert_means;  // [n_experts, d_model] where the model compensates
};

struct Weights {
  kernels::PackedMatrix embed, head;  // head is empty when tied
  std::vector<float> final_norm;
  std::vector<LayerWeights> layers;

  const kernels::PackedMatrix& output() const { return head.empty() ? embed : head; }
  uint64_t bytes() const;  // memory held
  // Memory of what a query used: everything but routers and experts, the experts in its trace, and
  // the routers of layers where it had something to choose; to choose by exact_norm reads every
  // routed expert of the layer, by gate_first the gate of each.
  uint64_t bytes_used(const RoutingTrace&, const MoeConfig&) const;
};

// Reads row by row into the packed form, so that the peak stays near the size of the file. Throws
// ModelFileError: a tensor is absent or of another shape, or a vector, a scale or an unquantised
// element is NaN or infinite.
Weights load_weights(const Checkpoint&, kernels::ThreadPool&);

}  // namespace engine
