// Holds a model on a GPU against the same model on the CPU, token by token:
//   model_compare MODEL TEXT_FILE TOKENS RECORD.jsonl [K..]
// Prints and records, for each element type and k: the largest and mean difference of the text's
// log-probabilities, KL divergence, agreement of the best token, and every token whose best one
// differs with how far ahead the CPU saw it. Exit code 1: fp32 is off by more than 1e-3 nat.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "kernels/elementwise.h"

namespace {

using nlohmann::json;

constexpr double kMostNats = 1e-3;  // of fp32

struct Side {
  std::vector<float> logits;
  std::vector<double> norms;
};

Side run(engine::Engine& engine, const std::vector<engine::TokenId>& tokens, int32_t k) {
  engine::ExpertBudget budget;
  budget.k = k;
  Side s{engine.logits(tokens, budget), {}};
  const int64_t vocab = engine.config().vocab;
  for (size_t i = 0; i < tokens.size(); ++i) {
    s.norms.push_back(
        kernels::log_sum_exp(s.logits.data() + static_cast<int64_t>(i) * vocab, vocab));
  }
  return s;
}

json compare(const Side& cpu, const Side& gpu, const std::vector<engine::TokenId>& tokens,
             int64_t vocab) {
  double largest = 0, sum = 0, kl = 0, kl_most = 0;
  int64_t agree = 0;
  json flips = json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* a = cpu.logits.data() + static_cast<int64_t>(i) * vocab;
    const float* b = gpu.logits.data() + static_cast<int64_t>(i) * vocab;
    if (i + 1 < tokens.size()) {
      const auto t = tokens[i + 1];
      const double d = std::fabs((static_cast<double>(a[t]) - cpu.norms[i]) -
                                 (static_cast<double>(b[t]) - gpu.norms[i]));
      largest = std::max(largest, std::isnan(d) ? INFINITY : d);
      sum += d;
    }
    const double divergence = kernels::kl_divergence(a, cpu.norms[i], b, gpu.norms[i], vocab);
    kl += divergence;
    kl_most = std::max(kl_most, divergence);
    const auto best = kernels::argmax(a, vocab), other = kernels::argmax(b, vocab);
    agree += best == other;
    if (best != other && other >= 0) {
      flips.push_back({{"position", i},
                       {"cpu", best},
                       {"gpu", other},
                       {"cpu_ahead_nats", static_cast<double>(a[best]) - a[other]}});
    }
  }
  const auto n = static_cast<double>(tokens.size());
  return {{"tokens", tokens.size()},
          {"logprob_difference_max", largest},
          {"logprob_difference_mean", sum / std::max(1.0, n - 1)},
          {"kl_mean", kl / n},
          {"kl_max", kl_most},
          {"top1_agreement", static_cast<double>(agree) / n},
          {"flips", flips}};
}

int compare_model(int argc, char** argv) {
  const std::string model = argv[1];
  const auto checkpoint = engine::Checkpoint::open(model);
  const auto tokenizer = engine::Tokenizer::load(model);
  std::ifstream in(argv[2], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto tokens = tokenizer->encode(text, true, false);
  const auto wanted = static_cast<size_t>(std::stoll(argv[3]));
  const auto most = static_cast<size_t>(checkpoint->config().max_tokens);
  tokens.resize(std::min(tokens.size(), std::min(wanted, most)));
  if (tokens.size() < 2) throw std::invalid_argument("the text has fewer than 2 tokens");
  std::ofstream record(argv[4], std::ios::app);
  std::vector<int32_t> grid;
  for (int i = 5; i < argc; ++i) grid.push_back(std::stoi(argv[i]));
  if (grid.empty()) grid = {checkpoint->config().moe.trained_k};

  const auto cpu = engine::Engine::load(*checkpoint, {});
  std::vector<Side> expected;
  for (const int32_t k : grid) expected.push_back(run(*cpu, tokens, k));
  bool near = true;
  fmt::print("{:<5} {:>3} {:>7} {:>11} {:>11} {:>10} {:>10} {:>8}\n", "type", "k", "tokens",
             "max nat", "mean nat", "KL mean", "KL max", "top-1");
  for (const auto type :
       {engine::DeviceType::f32, engine::DeviceType::f16, engine::DeviceType::bf16}) {
    engine::EngineOptions options;
    options.device = "cuda:0";
    options.device_type = type;
    const auto gpu = engine::Engine::load(*checkpoint, options);
    for (size_t i = 0; i < grid.size(); ++i) {
      json j = compare(expected[i], run(*gpu, tokens, grid[i]), tokens, gpu->config().vocab);
      const double worst = j["logprob_difference_max"];
      fmt::print("{:<5} {:>3} {:>7} {:>11.2e} {:>11.2e} {:>10.2e} {:>10.2e} {:>7.2f}%\n",
                 engine::device_type_name(type), grid[i], tokens.size(), worst,
                 j["logprob_difference_mean"].get<double>(), j["kl_mean"].get<double>(),
                 j["kl_max"].get<double>(), 100 * j["top1_agreement"].get<double>());
      near = near && (type != engine::DeviceType::f32 || worst <= kMostNats);
      j["what"] = "model_compare", j["type"] = engine::device_type_name(type), j["k"] = grid[i];
      j["family"] = gpu->config().family, j["gpu"] = gpu->device().name;
      record << j.dump() << "\n";
    }
  }
  if (!near) fmt::print("FAIL: fp32 is off by more than {} nat\n", kMostNats);
  return near ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    fmt::print(stderr, "usage: model_compare MODEL TEXT_FILE TOKENS RECORD.jsonl [K..]\n");
    return 2;
  }
  try {
    return compare_model(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "model_compare: {}\n", e.what());
    return 1;
  }
}
