// Owns which shifted forms of its samples a run asks, and what is said of those that do not exist.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/run_plan.h"
#include "harness/run_spec.h"

namespace harness {

// RunSpec::shifts, read. Throws UsageError naming the option.
std::vector<tasks::Shift> parsed_shifts(const RunSpec&);

// Throws UsageError for a shift that fits no sample of the task.
void check_shifts(const std::vector<tasks::Shift>&, const tasks::Task&);

// Of one sample, in the order of the shifts: every form is made and its guarantee checked. Those
// that the sample does not have are added to `missing`. Throws TaskError naming sample, shift and
// what is broken when a guarantee does not hold.
std::vector<Variant> shifted_forms(const std::vector<tasks::Shift>&, const datasets::Sample&,
                                   uint64_t seed, size_t suite, std::vector<MissingForm>* missing);

// "shift typos:3 on mmlu: asked of 52 of 60 samples; 8 fewer than 3 words may be misspelt: ID, ID,
// ID and 5 more", one line for each shift and suite; all ids with `all`. Empty without shifts.
std::string describe_shifts(const RunSpec&, const RunPlan&, bool all);

}  // namespace harness
