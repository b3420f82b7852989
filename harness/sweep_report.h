// Owns the table of a sweep: every task at every k, and the shares of questions by what they need.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/commands.h"
#include "results/queries.h"
#include "results/result_store.h"
#include "tasks/metrics.h"

namespace harness {

// From this share of its variants on, a question counts as reliably right: guesses do not.
constexpr double kReliable = 0.75;

// What a question needs, by its reliable correctness y_k over the grid (research note
// adaptive-moe.md, section 4): easy: right at every k; elastic: right from some larger k on;
// never: right at no k; inverse: wrong at the largest k, right at a smaller one.
enum class Need { easy, elastic, never, inverse };
const char* need_name(Need);

// Option orders and wordings are ways to ask one question; under a shift it is another question.
struct SweepQuestion {
  std::string task, sample, cluster;
  std::string shift = "clean";          // or name:severity, with its seed when it draws
  std::map<int32_t, double> correct;    // k -> share of the graded ways that were right
  std::map<int32_t, int> graded;        // k -> ways
  std::map<int32_t, double> as_is;      // k -> share right of the query as it is, one way only
  std::map<int32_t, double> flops;      // k -> useful FLOPs, mean over the ways that counted them
  std::map<int32_t, double> gold_nll;   // k -> nats, mean over the ways that have it
  std::map<int32_t, double> as_is_nll;  // the same of the query as it is
  bool reliable(int32_t k) const;
  // Known when every k of the grid is graded.
  std::optional<Need> need(const std::vector<int32_t>& grid) const;
  // Smallest k from which every larger one is right too; smallest right k. Empty: none.
  std::optional<int32_t> k_stable(const std::vector<int32_t>& grid) const;
  std::optional<int32_t> k_first(const std::vector<int32_t>& grid) const;
  // The same of the query as it is: luck counts, but alike for questions asked in one way only.
  std::optional<int32_t> k_stable_as_is(const std::vector<int32_t>& grid) const;
};

struct SweepCell {
  std::string task, shift;
  int32_t k = 0;
  std::optional<double> chance;
  int64_t n = 0, attempts = 0, failed = 0;  // graded questions; attempts stored
  std::optional<double> accuracy;           // mean over questions of the mean over variants
  std::optional<tasks::Interval>
      interval;  // 95%: Wilson's, or (several variants) bootstrap over questions
  std::optional<double> gold_nll, margin;  // nats, means over attempts
  std::optional<double> flops, mean_k;     // useful FLOPs and experts per attempt
};

struct Sweep {
  std::string run_uuid, status, model, weights_sha256;
  std::vector<int32_t> grid;
  std::vector<SweepCell> cells;  // by task, then shift, then k
  std::vector<SweepQuestion> questions;
};

// Orders and wordings are ways to ask one question; a shift proper makes another one.
bool is_other_question(const std::string& shift_family);

// What tells the questions of one sample apart: "clean" for a way to ask it as it is, else
// "typos:2", "typos:2 seed 7".
std::string question_shift(const results::StoredAttempt&);

// Throws UsageError when the run is no sweep.
Sweep read_sweep(const results::ResultStore&, const std::string& run_uuid);

std::string render_sweep(const Sweep&, Format);

}  // namespace harness
