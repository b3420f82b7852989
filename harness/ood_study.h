// Owns the study of questions that a predictor was not made for: how well they are recognised, and
// what it brings to decide them otherwise, at equal mean FLOPs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/policy/fallback.h"
#include "engine/train/cross_fit.h"
#include "engine/train/ood_score.h"
#include "harness/training_data.h"
#include "tasks/bootstrap.h"

namespace harness {

// How well one detector tells the questions under one shift from the clean ones.
struct Detection {
  engine::OodDetector detector = engine::OodDetector::mahalanobis;
  tasks::Estimate auroc;       // by seed items, clean ones included
  double false_positives = 0;  // share of clean questions flagged where 95% of these are
  double flagged = 0;          // share above the threshold
};

// What a fallback brings under one shift, beside deciding as ever.
struct FallbackGain {
  engine::OodDetector detector = engine::OodDetector::mahalanobis;
  engine::Fallback fallback = engine::Fallback::none;
  tasks::Estimate regret_saved;  // of lambda-regret, a question; above 0 = the fallback is better
};

struct ShiftStudy {
  std::string shift;
  int64_t n = 0, clusters = 0;
  double regret = 0, cost = 0;  // without a fallback
  std::vector<Detection> detections;
  std::vector<FallbackGain> gains;  // of the fallbacks whose cost is matched
};

struct FallbackRow {
  engine::OodDetector detector = engine::OodDetector::mahalanobis;
  engine::Fallback fallback = engine::Fallback::none;
  bool matched = false;  // else the flagged questions alone cost more
  bool cheaper = false;  // it cannot spend as much: its regret is not at equal FLOPs
  double lambda = 0, cost = 0, regret_clean = 0, regret_shifted = 0;
  tasks::Estimate regret_saved;  // clean and shifted questions half and half
};

struct OodStudy {
  double lambda = 0;
  int64_t clean = 0, shifted = 0, clusters = 0;
  int64_t left_out = 0;                // shifted ones that are not graded at every k
  std::vector<FallbackRow> fallbacks;  // `none` first
  std::vector<ShiftStudy> shifts;
};

// By the plug-in of the cross-fitted success models at lambda: every question, clean or shifted, is
// scored and decided by networks that never saw its seed item. The fallbacks' own lambdas are such
// that clean and shifted questions, half and half, cost on average what they cost without a
// fallback, detectors included.
OodStudy study_ood(const TrainingData&, const engine::train::CrossFit&, double lambda, double mu);

std::string render_ood(const OodStudy&, bool markdown);
std::string ood_json(const OodStudy&);

}  // namespace harness
