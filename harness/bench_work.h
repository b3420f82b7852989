// Owns the work that the speed of a model is measured on: prefill, decode, mixed budgets, and the
// shapes of MMLU and HumanEval.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace harness {

struct BenchSettings {
  std::vector<int32_t> grid = {1, 2, 4, 8, 16};  // budgets; beyond the model's most: clipped
  int64_t prompt_tokens = 512;                   // of a prefill
  int32_t new_tokens = 32;                       // of a decoding stream
  int32_t streams = 16;                          // that decode together; the engine's most
  int64_t mmlu_questions = 32;                   // MMLU: 14,042 in 57 subjects
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
  std::function<void()> warm_up = {};  // in place of run in the untimed round, where that is long
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
  std::shared_ptr<const engine::Prefix> prefix(const engine::Request&, uint64_t stream);
  void add_prefill(int32_t k);
  void add_decode(const char* name, std::string variant, std::vector<int32_t> budgets);
  void add_mixed(int32_t max_k);
  void run_mmlu_subject(int64_t subject, int64_t n_questions, bool prefix_once);
  void add_mmlu();
  void add_code(int32_t streams);

  engine::Engine& engine_;
  const BenchSettings settings_;
  // By budget and stream: streams of one prompt would all run the same experts.
  std::map<std::pair<int32_t, uint64_t>, std::shared_ptr<const engine::Prefix>> prefixes_;
  std::vector<BenchCase> cases_;
};

}  // namespace harness
