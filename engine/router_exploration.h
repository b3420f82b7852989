// Owns RouterExploration: the routers of a model while they are trained. What they learned is added
// to the model's own scores; while they draw, a row's experts are sampled instead of the best ones.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace engine {

class RouterExploration {
 public:
  // One row's choice in one layer.
  struct Choice {
    int32_t layer = 0;
    std::vector<float> x;        // the router's input [d_model]
    std::vector<float> scores;   // without noise [n_routed]
    std::vector<int16_t> order;  // drawn experts, the first one first; routed experts count from 0
  };

  // temperature: of the draws. A low one lets small differences of scores decide, so that what is
  // learned leaves the experts' weights nearly as they are.
  RouterExploration(int32_t n_layers, int64_t n_routed, int64_t d_model, double temperature = 0.1);
  double temperature() const { return temperature_; }

  // What a layer's router learned, [n_routed, d_model]: added to its weights. Zero at first.
  std::span<float> learned(int32_t layer);
  std::span<const float> learned(int32_t layer) const;

  // Rows that are routed from now on draw their experts without replacement, with probabilities
  // proportional to exp(score / temperature) among those left (Plackett-Luce), and are kept; k >=
  // n_routed leaves nothing to draw. Noise is of the seed, the layer and the order in which rows
  // come, so one request at a time is the same whatever ran before.
  void begin_drawing(uint64_t seed);
  void end_drawing() { drawing_ = false; }
  const std::vector<Choice>& choices() const { return choices_; }  // since begin_drawing()

  // For ExpertRouter. x [m, d_model], scores [m, n_routed]. Adds what was learned.
  void add_learned(int32_t layer, const float* x, int64_t m, float* scores) const;
  bool is_drawing() const { return drawing_; }
  // Noisy scores, whose k best are the draw (Gumbel top-k: Kool et al. 2019, arXiv:1903.06059),
  // until the next call. k [m].
  const float* draw(int32_t layer, const float* x, int64_t m, const float* scores,
                    std::span<const int32_t> k);

 private:
  int64_t n_routed_, d_model_;
  double temperature_;
  std::vector<std::vector<float>> learned_;
  bool drawing_ = false;
  uint64_t noise_ = 0;
  std::vector<Choice> choices_;
  std::vector<float> noisy_;
};

}  // namespace engine
