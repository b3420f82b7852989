// Owns RouterLearner: layer routers that learn from the outcomes of drawn experts, by REINFORCE
// (Williams 1992) over draws without replacement (Plackett-Luce).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/router_exploration.h"

namespace engine::train {

// Derivative of log P(order) by scores / temperature: P draws order[0], order[1], ... each with
// probability softmax(scores / temperature) among those not yet drawn.
std::vector<double> draw_gradient(std::span<const float> scores, std::span<const int16_t> order,
                                  double temperature);

class RouterLearner {
 public:
  // Changes what `exploration` learned; it must outlive this.
  RouterLearner(RouterExploration& exploration, int32_t n_layers, int64_t n_routed, int64_t d_model,
                double rate);

  // One query: its choices, and by how much its reward was above what was expected of it.
  void add(std::span<const RouterExploration::Choice>, double advantage);
  // Ascends the mean over the choices added since the last step. Of each input dimension by its
  // mean square so far, so that what few tokens carry is learned as fast as what all do.
  void step();

 private:
  struct LayerState {
    std::vector<double> gradient, mean_square;
    int64_t rows = 0, all_rows = 0;
  };
  RouterExploration& exploration_;
  const int64_t n_routed_, d_model_;
  const double rate_;
  std::vector<LayerState> layers_;
};

}  // namespace engine::train
