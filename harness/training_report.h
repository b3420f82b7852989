// Owns what `train` prints: every policy beside the trained one, and what to make of it.
#pragma once

#include <string>

#include "harness/commands.h"
#include "harness/training.h"

namespace harness {

std::string render_training(const TrainingData&, const TrainingPlan&, const TrainingResult&,
                            Format);

// How a predictor came about, for its file. A function of data and plan: no clock, no path.
std::string training_json(const TrainingData&, const TrainingPlan&, const TrainingResult&);

const char* objective_name(engine::train::Objective);

}  // namespace harness
