// Holds a model on a GPU against the same model on the CPU, token by token:
//   model_compare MODEL TEXT_FILE TOKENS RECORD.jsonl [K..]
// MODEL: a checkpoint, or shape:NAME[:LAYERS], bf16 weights and tokens at random.
// Prints and records, for each element type and k: the largest and mean difference of the text's
// log-probabilities, KL divergence, agreement of the best token, and every token whose best one
// differs with how far ahead the CPU saw it. Then of decode, one stream and eight: how far the
// tokens that the GPU chose one by one are from the CPU's best ones after the same tokens. Exit
// code 1: fp32 is off by more than 1e-3 nat, or 16-bit decode rarely agrees.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/engine.h"
#include "engine/random_checkpoint.h"
#include "engine/tokenizer.h"
#include "kernels/elementwise.h"

namespace {

using nlohmann::json;

constexpr double kMostNats = 1e-3;  // of fp32
// Of tokens that 16-bit decode chose, the CPU's best ones: where two experts nearly tie, rounding
// decides which one runs, and at small k that is most of the block.
constexpr double kLeastAgreement = 0.8;
constexpr size_t kOpenings = 8, kOpeningTokens = 100, kNewTokens = 64;

bool is_shape(const std::string& model) { return model.starts_with("shape:"); }

std::unique_ptr<engine::Checkpoint> open_checkpoint(const std::string& model) {
  if (!is_shape(model)) return engine::Checkpoint::open(model);
  return engine::make_random_checkpoint(engine::named_shape(model.substr(6)), kernels::Dtype::bf16,
                                        1);
}

std::vector<engine::TokenId> tokens_of(const std::string& model, const char* file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return engine::Tokenizer::load(model)->encode(text, true, false);
}

std::vector<engine::TokenId> random_tokens(int64_t vocab) {
  std::vector<engine::TokenId> tokens(2000);
  std::mt19937_64 random(1);
  for (auto& t : tokens) t = static_cast<engine::TokenId>(random() % static_cast<uint64_t>(vocab));
  return tokens;
}

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

// What the GPU writes after stretches of the text, so many at a time.
std::vector<std::vector<engine::TokenId>> write(engine::Engine& gpu,
                                                const std::vector<engine::TokenId>& tokens,
                                                int32_t k, size_t streams) {
  std::vector<std::vector<engine::TokenId>> written(kOpenings);
  const std::atomic<bool> stop{false};
  for (size_t first = 0; first < kOpenings; first += streams) {
    size_t next = first;
    gpu.run(
        [&]() -> std::optional<engine::Request> {
          if (next == std::min(first + streams, kOpenings)) return std::nullopt;
          engine::Request r;
          const size_t at = next * (tokens.size() - kOpeningTokens) / kOpenings;
          r.id = next++;
          r.tokens.assign(tokens.begin() + static_cast<int64_t>(at),
                          tokens.begin() + static_cast<int64_t>(at + kOpeningTokens));
          r.budget.k = k;
          r.max_new_tokens = kNewTokens;
          return r;
        },
        [&](engine::Completion c) {
          if (c.outcome != engine::Outcome::ok) throw std::runtime_error(c.detail);
          const size_t at = c.id * (tokens.size() - kOpeningTokens) / kOpenings;
          auto& all = written[c.id];
          all.assign(tokens.begin() + static_cast<int64_t>(at),
                     tokens.begin() + static_cast<int64_t>(at + kOpeningTokens));
          all.insert(all.end(), c.tokens.begin(), c.tokens.end());
        },
        stop);
  }
  return written;
}

json judge_decode(engine::Engine& cpu, const std::vector<std::vector<engine::TokenId>>& written,
                  int32_t k) {
  const int64_t vocab = cpu.config().vocab;
  double most = 0;
  int64_t n = 0, agree = 0;
  engine::ExpertBudget budget;
  budget.k = k;
  for (const auto& tokens : written) {
    const auto logits = cpu.logits(tokens, budget);
    for (size_t i = kOpeningTokens; i < tokens.size(); ++i, ++n) {
      const float* row = logits.data() + static_cast<int64_t>(i - 1) * vocab;
      const auto best = kernels::argmax(row, vocab);
      agree += best == tokens[i];
      const double behind = static_cast<double>(row[best]) - row[tokens[i]];
      most = std::max(most, std::isnan(behind) ? INFINITY : behind);
    }
  }
  return {{"tokens", n},
          {"behind_max_nats", most},
          {"top1_agreement", static_cast<double>(agree) / static_cast<double>(n)}};
}

int compare_model(int argc, char** argv) {
  const std::string model = argv[1];
  const auto checkpoint = open_checkpoint(model);
  auto tokens =
      is_shape(model) ? random_tokens(checkpoint->config().vocab) : tokens_of(model, argv[2]);
  const auto wanted = static_cast<size_t>(std::stoll(argv[3]));
  const auto most = static_cast<size_t>(checkpoint->config().max_tokens);
  tokens.resize(std::min(tokens.size(), std::min(wanted, most)));
  if (tokens.size() <= kOpeningTokens) {
    throw std::invalid_argument(fmt::format("{} has {} tokens, more than {} are needed", argv[2],
                                            tokens.size(), kOpeningTokens));
  }
  std::ofstream record(argv[4], std::ios::app);
  std::vector<int32_t> grid;
  for (int i = 5; i < argc; ++i) grid.push_back(std::stoi(argv[i]));
  if (grid.empty()) grid = {checkpoint->config().moe.trained_k};

  const auto cpu = engine::Engine::load(*checkpoint, {});
  std::vector<Side> expected;
  for (const int32_t k : grid) expected.push_back(run(*cpu, tokens, k));
  bool near = true, decodes = true;
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
      for (const size_t streams : {size_t{1}, kOpenings}) {
        json d = judge_decode(*cpu, write(*gpu, tokens, grid[i], streams), grid[i]);
        const double behind = d["behind_max_nats"];
        fmt::print(
            "{:<5} {:>3} {:>7} tokens decoded, {} at a time: at most {:.2e} nat behind, {:.2f}%\n",
            engine::device_type_name(type), grid[i], d["tokens"].get<int64_t>(), streams, behind,
            100 * d["top1_agreement"].get<double>());
        decodes = decodes && (type == engine::DeviceType::f32
                                  ? behind <= kMostNats
                                  : d["top1_agreement"].get<double>() >= kLeastAgreement);
        d["what"] = "model_compare decode", d["type"] = engine::device_type_name(type);
        d["k"] = grid[i], d["streams"] = streams, d["gpu"] = gpu->device().name;
        record << d.dump() << "\n";
      }
    }
  }
  if (!decodes)
    fmt::print("FAIL: decode is further from the CPU's best tokens than its type allows\n");
  if (!near) fmt::print("FAIL: fp32 is off by more than {} nat\n", kMostNats);
  return near && decodes ? 0 : 1;
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
