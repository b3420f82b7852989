// Owns Gadgets: texts that move a predictor's decision, found by harness/gadget_search.h, and their
// file (JSON).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "tasks/shift.h"

namespace harness {

// Tokens of a gadget at each severity.
inline constexpr std::array<int, tasks::kMostSeverity> kGadgetTokens = {5, 10, 20};

// A gadget beside what it did. Means over the questions that it was searched on, and over others.
struct Gadget {
  std::string text;
  int64_t tokens = 0;                // of the text alone
  double k_before = 0, k_after = 0;  // searched on
  double other_k_before = 0, other_k_after = 0;
};

inline constexpr uint64_t kMostSeed = uint64_t{1} << 53;  // what JSON readers keep
struct Gadgets {
  std::string model_sha256, predictor_sha256;
  std::string tasks;  // that the questions came from
  uint64_t seed = 0;
  int64_t questions = 0, other_questions = 0;
  std::array<Gadget, tasks::kMostSeverity> up, down;

  const Gadget& of(const tasks::Shift&) const;
};

bool is_gadget(tasks::ShiftFamily);

std::string gadgets_json(const Gadgets&);
// Throws tasks::TaskError, one line naming file, place and what is wanted: texts hold printable
// ASCII only, as the search finds them.
Gadgets read_gadgets(const std::filesystem::path&);

}  // namespace harness
