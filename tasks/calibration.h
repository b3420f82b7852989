// Owns how well stated probabilities fit what happened: Brier score, expected calibration error,
// the reliability table. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tasks {

// Mean of (p - y)^2, y in [0, 1] (Brier 1950). Absent without values.
std::optional<double> brier(std::span<const double> p, std::span<const double> y);

struct ReliabilityBin {
  int64_t n = 0;
  double stated = 0, happened = 0;  // means
};

// Bins of equal mass: bin b of `n_bins` begins at rank ceil(b n / n_bins) of the stated
// probabilities; equal ones never part, so bins may be fewer.
std::vector<ReliabilityBin> reliability(std::span<const double> p, std::span<const double> y,
                                        int n_bins);

// sum_b n_b / n |stated_b - happened_b| (Naeini et al. 2015; equal mass as in Nguyen, O'Connor
// 2015). Biased upwards for few values. Absent without values.
inline constexpr int kCalibrationBins = 15;
std::optional<double> expected_calibration_error(std::span<const double> p,
                                                 std::span<const double> y,
                                                 int n_bins = kCalibrationBins);

}  // namespace tasks
