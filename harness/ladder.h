// Owns the ladder: joins the suite with planted truth (datasets) to the model that can show it
// (engine), and says what a policy must come to on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "datasets/ladder_suite.h"
#include "engine/ladder/ladder_model.h"

namespace harness {

inline constexpr const char* kLadderModel = "ladder";  // catalog name

engine::ladder::Words ladder_model_words();

// The folder of the model below `cache`; its files are written when they are absent or differ.
// Throws InfrastructureError when that fails.
std::filesystem::path ladder_model_folder(const std::filesystem::path& cache);

// Planted class of a sample: the difficulty 1..16; nothing for never, inverse and ids that are not
// of the suite.
std::optional<int> planted_k(std::string_view sample_id);

// What the construction says about a policy that grants decide(truth) experts, over the samples of
// a ladder data set. needed: LadderTruth::needed_k().
struct PlantedOutcome {
  int64_t n = 0, right = 0;
  int64_t too_few = 0, too_many = 0;  // samples with k < needed, k > needed
  int64_t sum_k = 0, sum_needed = 0;
};
PlantedOutcome planted_outcome(const datasets::Dataset&,
                               const std::function<int(const datasets::LadderTruth&)>& decide);

// Policies with a known outcome.
int oracle_k(const datasets::LadderTruth&);
int shortcut_k(const datasets::LadderTruth&);  // decides by the filler word

}  // namespace harness
