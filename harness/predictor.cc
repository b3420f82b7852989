#include "harness/predictor.h"

#include "datasets/sha256.h"

namespace harness {

std::shared_ptr<const engine::PredictorPolicy> load_predictor(const std::string& file,
                                                              const LoadedModel& model) {
  engine::PolicyContext context;
  const auto& c = model.engine->config();
  context.moe = c.moe;
  context.n_layers = c.n_layers;
  context.d_model = c.d_model;
  context.weights_sha256 = model.weights_sha256;
  context.sha256 = [](std::string_view bytes) { return datasets::sha256_hex(std::string(bytes)); };
  context.embedding_row = [&model](engine::TokenId token, float* row) {
    model.engine->embedding(token, row);
  };
  return engine::PredictorPolicy::load(file, "predictor:" + file, context);
}

}  // namespace harness
