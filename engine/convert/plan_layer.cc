#include "engine/convert/plan_layer.h"

#include <algorithm>
#include <random>

#include "engine/convert/clustering.h"
#include "engine/convert/neurons.h"
#include "engine/convert/router_fit.h"

namespace engine::convert {
namespace {

void shuffle(std::vector<int32_t>& v, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[random() % i]);
}

// Groups of the routed neurons, one after another; in each, ascending ids.
void add_routed(const std::vector<int32_t>& neurons, const std::vector<int32_t>& cluster_of,
                int32_t clusters, std::vector<int32_t>& order) {
  for (int32_t e = 0; e < clusters; ++e) {
    for (size_t i = 0; i < neurons.size(); ++i) {
      if (cluster_of[i] == e) order.push_back(neurons[i]);
    }
  }
}

// b_e = W_e E[h_e], which is E[E_e(x)]. [n_experts, d_model]
std::vector<float> mean_outputs(const Expert& block, const Moments& moments,
                                const std::vector<int32_t>& order, int32_t n_experts) {
  const int64_t d = block.down.n_out(), width = block.down.n_in(), size = width / n_experts;
  std::vector<float> means(n_experts * d), row(width);
  for (int64_t i = 0; i < d; ++i) {
    block.down.row(i, row.data());
    for (int32_t e = 0; e < n_experts; ++e) {
      double sum = 0;
      for (int64_t p = e * size; p < (e + 1) * size; ++p) {
        sum += moments.mean[order[p]] * row[order[p]];
      }
      means[e * d + i] = static_cast<float>(sum);
    }
  }
  return means;
}

}  // namespace

LayerPlan plan_layer(const Expert& block, const float* x, int64_t n, int32_t layer,
                     const Options& o, kernels::ThreadPool& pool, const Stop& stop) {
  const int64_t width = block.gate.n_out(), size = width / o.n_experts;
  const Moments moments = moments_of(block, x, n, pool, stop);
  const std::vector<double> norms = write_norms(block);
  const std::vector<double> score = importance(moments, norms);
  const std::vector<int32_t> ranked = by_importance(score);
  const uint64_t seed = o.seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(layer);

  LayerPlan plan;
  const auto held = [&](int64_t first, int64_t last) {
    double sum = 0;
    for (int64_t i = first; i < last; ++i) sum += score[ranked[i]];
    return sum;
  };
  const double all = held(0, width);
  plan.shared_importance = all > 0 ? held(0, o.n_shared * size) / all : 0;

  std::vector<int32_t> routed(ranked.begin() + o.n_shared * size, ranked.end());
  for (int32_t e = 0; e < o.n_shared; ++e) {
    std::vector<int32_t> members(ranked.begin() + e * size, ranked.begin() + (e + 1) * size);
    std::sort(members.begin(), members.end());
    plan.order.insert(plan.order.end(), members.begin(), members.end());
  }
  std::vector<int32_t> cluster_of(routed.size());
  const auto in_turn = [&] {
    for (size_t i = 0; i < routed.size(); ++i) cluster_of[i] = static_cast<int32_t>(i / size);
  };
  std::vector<float> gram;
  if (o.partition == Partition::importance) {
    in_turn();
    for (int32_t e = 0; e < o.n_routed(); ++e) {
      std::sort(routed.begin() + e * size, routed.begin() + (e + 1) * size);
    }
  } else if (o.partition == Partition::random) {
    std::sort(routed.begin(), routed.end());
    shuffle(routed, seed);
    in_turn();
    for (int32_t e = 0; e < o.n_routed(); ++e) {
      std::sort(routed.begin() + e * size, routed.begin() + (e + 1) * size);
    }
  } else {
    std::sort(routed.begin(), routed.end());
  }
  const bool parameters = o.partition == Partition::parameters;
  if (parameters) gram = parameter_gram(block, routed, pool, stop);
  if (!parameters && (o.partition == Partition::coactivation || o.representatives_read() > 0)) {
    gram = coactivation_gram(block, norms, routed, x, n, o.marker_rows, o.active, pool, stop);
  }
  const auto n_routed = static_cast<int64_t>(routed.size());
  if (parameters || o.partition == Partition::coactivation) {
    cluster_of = cluster_balanced(gram, n_routed, o.n_routed(), seed, stop).of;
  }
  add_routed(routed, cluster_of, o.n_routed(), plan.order);
  if (o.representatives_read() > 0) {
    for (const int32_t i :
         representatives(gram, n_routed, cluster_of, o.n_routed(), o.representatives_read())) {
      plan.representatives.push_back(routed[i]);
    }
  }
  std::vector<float> means = mean_outputs(block, moments, plan.order, o.n_experts);
  fit_router(block, x, n, o, o.compensate ? means : std::vector<float>(means.size()), pool, stop,
             plan);
  if (o.compensate) plan.means = std::move(means);
  return plan;
}

}  // namespace engine::convert
