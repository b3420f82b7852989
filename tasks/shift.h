// Owns shifts: changes of a sample that keep its right answer, each with a log that undoes it and a
// guarantee that is checked in code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace tasks {

enum class ShiftFamily {
  typos,           // misspelt words
  layout,          // blanks, letter case, line ends
  option_order,    // options rotated by `severity` places
  option_symbols,  // other labels than A, B, C, ...
  distractors,     // sentences before the question that have nothing to do with it
  padding,         // pages of them, set apart
  wrapper,         // "template": a request around the question, its stem in other words
  script,          // letters of another script that look the same, accents
  code_mix,        // everyday words in another language
  code_surface,    // a function's layout, name and description
  spoof_up,        // the question looks harder than it is
  spoof_down,      // it looks easier
  gadget_up,       // tokens before it that make a predictor ask for more
  gadget_down,     // for less
  ladder_cue,      // another meaningless word in a question of the ladder suite
  recode,          // a HumanEval problem as an official file of ReCode changes it
  neutral          // content-free text, as long as what `matched` adds: a control
};
inline constexpr int kMostSeverity = 3;
inline constexpr std::string_view kGadgetGap = "\n\n";  // between a gadget and the question

struct Shift {
  ShiftFamily family = ShiftFamily::typos;
  int severity = 1;                                // 1..kMostSeverity; of recode the file's draw
  ShiftFamily matched = ShiftFamily::distractors;  // counts for neutral only
  std::string text;                                // of a gadget; it comes from a file
  std::string method;                              // of recode: "ButterFingersPerturbation"
  std::shared_ptr<const datasets::Dataset> forms;  // of recode: its file's problems
  friend bool operator==(const Shift&, const Shift&) = default;
};

// "typos", "template", ...; of neutral with what it is matched to: "neutral.padding".
std::string shift_name(const Shift&);
std::string shift_label(const Shift&);  // "typos:2"
// "family:severity", "recode.METHOD:draw"; "neutral:2" is matched to distractors; the text of a
// gadget and the forms of recode are left empty.
// Throws TaskError, one line.
Shift parse_shift(std::string_view);
std::vector<std::string> shift_families();   // that change any data set: all but recode
std::string_view shift_about(const Shift&);  // what its severities do, one line

// What the check of a family establishes about every shifted sample.
enum class Guarantee {
  words_close,        // protected tokens untouched, each other word one slip away; log undoes it
  same_folded_text,   // equal but for letter case and white space; protected tokens untouched
  key_remapped,       // the same options in another order, the key with its option
  symbols_bijective,  // one label an option, all different; texts and key untouched
  item_verbatim,      // the item byte for byte at the end of what was added, which is apart from it
  closed_synonyms,    // verbatim in a wrapper, but for stem phrases of a closed list
  meaningless_word,   // one word that is known to mean nothing is another one
  script_invertible,  // a fixed map of characters gives the original
  glossary,           // a closed glossary, read backwards, gives the original
  program_passes      // the reference solution must pass (tests run it); examples keep their values
};
std::string_view guarantee_name(Guarantee);
Guarantee guarantee_of(const Shift&);
// Counts up when the same seed gives other bytes than before.
int shift_version(const Shift&);
// False where nothing is drawn: then the seed changes no byte.
bool shift_draws(const Shift&);

// One replacement in one field of the sample; `at` is a byte offset in the field as it was.
struct Edit {
  enum class Field { input, choice, answer, symbol, reference, test, entry_point };
  Field field = Field::input;
  size_t index = 0;  // of the choice or symbol
  size_t at = 0;
  std::string before, after;
  std::string rule;  // "swap", "rename", ...
};

struct Shifted {
  datasets::Sample sample;
  std::vector<Edit> edits;  // by field, index and place; they do not overlap
};

struct ShiftOutcome {
  std::optional<Shifted> shifted;
  std::string why_not;  // in words, when it cannot be applied to this sample
};

// Whether it changes letters of the item itself, not only what stands around it.
bool edits_question(const Shift&);

// The shift of one sample: a function of its arguments alone, the same on every platform.
ShiftOutcome apply_shift(const Shift&, const datasets::Sample&, uint64_t seed);

// The sample before the shift, by the log. Throws TaskError when the log does not fit the sample.
datasets::Sample undo_shift(const Shifted&);

// Empty when the family's guarantee holds and the log leads back to the original; else what is
// broken.
std::string broken_guarantee(const Shift&, const datasets::Sample& original, const Shifted&);

// Why the shift fits no sample of such a task; empty when it may.
std::string why_never(const Shift&, bool has_lettered_options, bool runs_code);

}  // namespace tasks
