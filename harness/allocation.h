// Owns what a policy's grants came to beside what the questions needed: classes, regrets, what was
// gained over static k. Definitions: research note adaptive-moe.md, section 4; the classes are
// those of the view v_misallocation.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/sweep_report.h"
#include "tasks/bootstrap.h"

namespace harness {

// One answered query of a policy's run.
struct AuditedQuery {
  std::string task, sample, subject;
  std::string form = "clean";  // how it was asked: "clean", "option_order:1", "typos:2"
  const SweepQuestion* need = nullptr;
  int64_t attempt_id = 0;
  bool failed = false;  // no answer and no grant: counts as wrong, and nowhere else
  bool right = false;
  double k = 0;          // mean over tokens and layers
  bool uniform = false;  // every token and layer ran k
  bool capped = false;
  std::optional<double> k_uncapped, complexity;
  // Of a policy with a fallback.
  std::optional<double> ood_score, k_without_fallback;
  bool ood_flagged = false;
  double flops = 0;                // useful, the predictor's own included
  std::map<int32_t, double> p_k;   // predicted P(right | k)
  std::optional<double> gold_nll;  // nats
  int64_t prompt_tokens = 0;
};

// Indices of the queries of each seed item: what intervals are drawn over.
std::map<std::string, std::vector<size_t>> by_seed_item(const std::vector<const AuditedQuery*>&);

enum class Allocation { exact, over, under, capped, boundary, lucky, unstable, hopeless };
inline constexpr std::array kAllocations = {
    Allocation::exact,    Allocation::over,  Allocation::under,    Allocation::capped,
    Allocation::boundary, Allocation::lucky, Allocation::unstable, Allocation::hopeless};
const char* allocation_name(Allocation);
inline constexpr std::array kNeeds = {Need::easy, Need::elastic, Need::never, Need::inverse};

// The query's need must be known at every k of the grid.
Allocation classify(const AuditedQuery&, const std::vector<int32_t>& grid);

// Whether what was granted is a k of the grid, for every token and layer.
bool was_swept(const AuditedQuery&, const std::vector<int32_t>& grid);

struct StaticPoint {
  int32_t k = 0;
  double accuracy = 0, cost = 0;  // share reliably right; FLOPs / FLOPs at the largest k
};

struct AllocationReport {
  int64_t n = 0, n_stable = 0;  // queries; with a stable k
  int ways = 0;                 // in which the sweep asked a question, the fewest
  double k_min = 0, k_max = 0;  // of the grants
  // Grants that the sweep does not know. If there are none, right means reliably right in the sweep
  // at the k granted; else the run's own single answers are held against the sweep's answers to the
  // query as it is, so that both sides are as lucky.
  int64_t n_not_swept = 0;
  std::map<Need, int64_t> needs;
  std::map<Allocation, int64_t> classes;
  int64_t count(Need need) const { return needs.contains(need) ? needs.at(need) : 0; }
  int64_t count(Allocation a) const { return classes.contains(a) ? classes.at(a) : 0; }
  std::vector<StaticPoint> statics;
  // Shares of 1, intervals by seed item. cost: FLOPs over those of the largest k, sums.
  tasks::Estimate accuracy, mean_k, cost;
  tasks::Estimate cost_per_query;   // mean over queries of FLOPs over those of the largest k
  tasks::Estimate under, over;      // of the questions with a stable k
  tasks::Estimate under_by_cap;     // the part of `under` that the cap caused
  tasks::Estimate waste;            // FLOPs above F(k_stable), of the largest k's; all questions
  tasks::Estimate futile;           // of the FLOPs above the smallest k's: spent on `never`
  tasks::Estimate inverse_harm;     // wrong, and some smaller k right
  tasks::Estimate accuracy_regret;  // best k less the granted one
  tasks::Estimate full_regret;      // the largest k less the granted one
  tasks::Estimate lambda_regret;    // best reward less the granted one's
  tasks::Estimate gain;             // accuracy above static k and their mixtures at equal FLOPs
  tasks::Estimate gap_closed;       // gain over what an oracle gains at equal FLOPs
  tasks::Estimate violations;       // adjacent k where the larger is wrong and the smaller right
  // The same if a question's ways were independent draws with the share seen at each k (add-half
  // smoothed): what noise alone makes. Needs several ways.
  std::optional<double> violations_of_noise;
};

// Over queries whose need is known at every k. lambda: accuracy that the full FLOPs are worth.
AllocationReport allocation_report(const std::vector<const AuditedQuery*>&,
                                   const std::vector<int32_t>& grid, double lambda);

// Best reward less the granted one's, of each query; right is what it is in the report over all.
std::vector<double> lambda_regrets(const std::vector<const AuditedQuery*>&,
                                   const std::vector<int32_t>& grid, double lambda);

}  // namespace harness
