// Owns `train`: a trained policy beside what it must be held against, all of them cross-fitted.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/policy/predictor_writer.h"
#include "engine/train/comparators.h"
#include "engine/train/outcome.h"
#include "harness/ood_study.h"
#include "harness/training_data.h"

namespace harness {

struct TrainingPlan {
  engine::train::Objective objective = engine::train::Objective::policy;
  engine::train::Options options;
  std::optional<double> target_cost;  // instead of options.lambda: wanted mean FLOPs ratio
  int folds = 5;
  int threads = 1;
  bool curve = false;  // also the policy at lambdas over a range
  bool ood = false;    // also the study of shifted questions; the data must hold them
  // For the exported predictor; the networks must have a hidden layer, and shrink the objective
  // success.
  std::optional<engine::FallbackChoice> fallback;
};

struct PolicyResult {
  std::string name, about;
  engine::train::Shares shares;  // [n, n_k]
  uint64_t own_flops = 0;        // of one decision
  engine::train::Outcome outcome;
};

// The estimate of the FLOPs that a right answer needs, against the least k from which a question is
// reliably right. Questions without such a k are left out.
struct NeedEstimate {
  int64_t n = 0;
  double mae = 0;                  // of FLOPs / FLOPs at the largest k
  double mae_constant = 0;         // the same of the best constant, the median
  std::optional<double> spearman;  // of FLOPs
};

// Questions that a fallback decides, clean ones: each scored by networks that never saw its seed
// item.
struct FlaggedShare {
  int64_t n = 0, flagged = 0;
  double threshold = 0;  // of the exported predictor
};

struct CurvePoint {
  double lambda = 0;
  engine::train::Outcome policy, oracle;
};

struct TrainingResult {
  double lambda = 0;
  std::vector<PolicyResult> policies;   // the trained one first, the oracle last
  std::optional<FlaggedShare> flagged;  // with a fallback
  NeedEstimate need;
  std::vector<CurvePoint> curve;
  std::optional<engine::train::Difference> over_plug_in;  // reward; of a policy head
  double entropy = 0, most_frequent = 0;                  // of the trained policy's k: nats; share
  int64_t clusters = 0;
  std::optional<OodStudy> ood;
  engine::PredictorContent predictor;  // trained on every row; model and features filled in
};

// P(right) from which a k counts as enough in the estimate of FLOPs.
inline constexpr double kEnough = 0.5;

// fitted: called after each of the fits(plan) that it makes. Throws UsageError: fewer seed items
// than folds; a cost that no lambda comes to.
TrainingResult train(const TrainingData&, const TrainingPlan&,
                     const std::function<void()>& fitted = {});
int64_t fits(const TrainingPlan&);

// Cross-fitted decisions of every policy but the mixture as tables, keyed task:sample. Returns the
// files. Throws InfrastructureError.
std::vector<std::filesystem::path> write_decisions(const std::filesystem::path& folder,
                                                   const TrainingData&, const TrainingResult&);

}  // namespace harness
