// Owns statistics of order: rank correlation and how well a score tells two classes apart. Pure
// functions; absent where one side does not vary.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace tasks {

// Ranks 1..n; ties get the mean of theirs.
std::vector<double> mid_ranks(std::span<const double>);

// Spearman's rho: Pearson's correlation of the mid ranks.
std::optional<double> spearman(std::span<const double> x, std::span<const double> y);

// Kendall's tau-b (Kendall 1945), O(n log n) as in Knight 1966:
// (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)).
std::optional<double> kendall_b(std::span<const double> x, std::span<const double> y);

// Share of the pairs (one of each class) in which the positive one has the larger score, ties half:
// the area under the ROC curve. Absent without both classes.
std::optional<double> auroc(std::span<const double> scores, const std::vector<bool>& positive);

}  // namespace tasks
