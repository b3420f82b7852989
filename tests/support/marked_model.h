// Models of which one token id does harm, to see whom it reaches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/request.h"
#include "tests/support/engine_runs.h"
#include "tests/support/tiny_checkpoint.h"

namespace test_support {

inline constexpr engine::TokenId kBad = 7;

// Dimension 0 of the residual stream is nonzero for kBad alone and nothing writes to it.
inline TinyCheckpoint marked_model(int32_t n_shared) {
  TinyCheckpoint model(tiny_moe_config(12, n_shared, 4));
  model.change("embed", [](int64_t row, int64_t column, float v) {
    return column > 0 ? v : row == kBad ? 100.0f : 0.0f;
  });
  const auto first_row_zero = [](int64_t row, int64_t, float v) { return row == 0 ? 0.0f : v; };
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    model.change(layer + "o", first_row_zero);
    for (int32_t e = 0; e < 12 + n_shared; ++e) {
      model.change(layer + "experts." + std::to_string(e) + ".down", first_row_zero);
    }
  }
  return model;
}

// The router of the last layer overflows where it meets kBad; its experts do not.
inline TinyCheckpoint model_with_a_wild_router(int32_t n_shared = 2) {
  TinyCheckpoint model = marked_model(n_shared);
  model.change("layers.1.router",
               [](int64_t, int64_t column, float v) { return column == 0 ? 3e38f : v; });
  return model;
}

inline std::vector<engine::Request> healthy_requests() {
  std::vector<engine::Request> requests = with_mixed_budgets(mixed_requests(), 14, 2);
  for (engine::Request& r : requests) {
    for (auto& t : r.tokens) t = t == kBad ? 8 : t;
    for (auto& c : r.continuations) {
      for (auto& t : c) t = t == kBad ? 8 : t;
    }
    r.stop_tokens.push_back(kBad);
  }
  return requests;
}

inline engine::Request broken_at(size_t position, size_t length, int32_t k) {
  engine::Request r;
  r.tokens = random_tokens(length, 3);
  for (auto& t : r.tokens) t = t == kBad ? 8 : t;
  r.tokens[position] = kBad;
  r.continuations = {{1}, {2, 3}};
  r.budget.k = k;
  return r;
}

}  // namespace test_support
