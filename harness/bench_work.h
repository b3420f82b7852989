// Owns the work that the speed of a model is measured on: prefill, decode, mixed budgets, and the
// shapes of MMLU and HumanEval.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace harness {

struct BenchSettings {
  std::vector<int32_t> grid = {1, 2, 4, 8, 16};  // budgets; beyond the model's most: clipped
  int64_t prompt_tokens = 512;                   // of a prefill
  int32_t new_tokens = 32;                       // of a decoding stream
  int32_t streams = 16;                          // that decode together; the engine's most
  int rounds = 6;
  std::vector<std::string> only;  // names of cases; empty = all
};

// One kind of work at one budget.
struct BenchCase {
  std::string name;     // of bench_case_names()
  std::string variant;  // "k=8"; "prefix once", "whole"; "mixed 4,12", "fixed 8"; "16 streams"
  double k = 0;         // mean budget of its queries
  int32_t streams = 1;  // that decode together
  int64_t tokens = 0;   // prefill, mixed_prefill, mmlu: read; the others: written
  std::function<void()> run;
};

std::vector<std::string> bench_case_names();

// The cases of a model, which must outlive this.
class BenchWork {
 public:
  // Throws UsageError: an unknown case, a prompt that the model cannot hold.
  BenchWork(engine::Engine&, const BenchSettings&);
  BenchWork(const BenchWork&) = delete;
  BenchWork& operator=(const BenchWork&) = delete;
  const std::vector<BenchCase>& cases() const { return cases_; }

 private:
  bool wants(const char* name) const;
  engine::Request request(int64_t n_tokens, uint64_t seed, int32_t k) const;
  std::shared_ptr<const engine::Prefix> prefix(const engine::Request&);
  void add_prefill(int32_t k);
  void add_decode(const char* name, std::string variant, std::vector<int32_t> budgets);
  void add_mixed(int32_t max_k);
  void add_mmlu();
  void add_code(int32_t streams);

  engine::Engine& engine_;
  const BenchSettings settings_;
  std::array<std::shared_ptr<const engine::Prefix>, engine::kMaxBudget + 1> prefixes_;
  std::vector<BenchCase> cases_;
};

}  // namespace harness
