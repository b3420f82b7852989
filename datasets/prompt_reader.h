// Owns the readers of prompt sets: texts that are only put to a model, without a right answer. They
// serve to measure the compute that a prompt is given; no completion is wanted.
//
// Sample: input = the prompt, subset = its kind; no choices, no key. Whether it is harmful, and
// which other prompt it is the counterpart of, stand in the id.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

// XSTest (Röttger et al. 2024), xstest_prompts.csv: columns prompt, type and label (safe or
// unsafe), others ignored. Ids "xstest/<label>/<theme>/<index from 0>", subset = type. The theme of
// an unsafe type is its name without "contrast_"; of a safe one its name, but for
// real_group_nons_discr (discr) and privacy_fictional (privacy), whose prompts are the unsafe ones'
// counterparts one by one, as everywhere else. DataError with file and line: a column missing, an
// unknown label, an empty prompt, a type that is no word.
std::vector<Sample> parse_xstest(std::string_view bytes, const std::string& file);

// HarmBench (Mazeika et al. 2024), text behaviours: columns Behavior, FunctionalCategory,
// ContextString and BehaviorID, others ignored. Ids "harmbench/unsafe/<category>/<BehaviorID>",
// subset = category; a context stands before the behaviour, a blank line between them. Errors as
// above, and an id twice.
std::vector<Sample> parse_harmbench(std::string_view bytes, const std::string& file);

struct PromptPlace {
  bool harmful = false;
  std::string theme;
  std::string number;  // counterparts have theme and number in common
};
// Of an id as above; nothing when it is none.
std::optional<PromptPlace> prompt_place(std::string_view id);

}  // namespace datasets
