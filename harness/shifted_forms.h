// Owns which shifted forms of its samples a run asks, and what is said of those that do not exist.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/run_plan.h"
#include "harness/run_spec.h"

namespace harness {

// The suite "ood" among the tasks: every shift that fits (where --shift names none) of this many
// seed items of the other tasks, or of this task where there is no other.
inline constexpr std::string_view kOodSuite = "ood";
inline constexpr int64_t kOodItems = 60;
inline constexpr std::string_view kOodTask = "mmlu_cloze";
void expand_ood(RunSpec*);

// RunSpec::shifts, read; "all" is every family at every severity, gadgets where there is a file of
// them; "recode" is not among them (harness/recode.h). Throws UsageError naming the option,
// TaskError for the file of gadgets, DataError for one of ReCode.
std::vector<tasks::Shift> parsed_shifts(const RunSpec&);

// Those for one task. Throws UsageError for a shift named by the user that fits none of its
// samples.
std::vector<tasks::Shift> shifts_of(const RunSpec&, const tasks::Task&);

// Of the chosen samples those that are shifted: RunSpec::shift_items drawn by the seed, or all.
std::vector<bool> seed_items(const RunSpec&, const PlannedSuite&);

// Of one sample, in the order of the shifts: every form is made and its guarantee checked. Those
// that the sample does not have are added to `missing`. Throws TaskError naming sample, shift and
// what is broken when a guarantee does not hold.
std::vector<Variant> shifted_forms(const std::vector<tasks::Shift>&, const datasets::Sample&,
                                   uint64_t seed, size_t suite, std::vector<MissingForm>* missing);

// "shift typos:3 on mmlu: asked of 52 of 60 samples; not of 8, fewer than 3 words may be misspelt
// (ID, ID, ID and 5 more)", one line for each shift and task; every id with `all`.
std::string describe_shifts(const RunSpec&, const RunPlan&, bool all);

}  // namespace harness
