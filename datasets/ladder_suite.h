// Owns the ladder suite: multiple-choice questions whose difficulty is planted. Each names a key
// word, which fixes its class, and a clue, which fixes the right option; a filler word goes along
// with the class but means nothing. Made in the program, the same every time.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

inline constexpr int kLadderSteps = 16;  // difficulties 1..16
inline constexpr int kLadderClasses = kLadderSteps + 2, kLadderSites = 4, kLadderFillers = 6;
inline constexpr int kLadderInverseAt = 9;  // the inverse class is right at k below this

// Words that stand for the classes (1..16, never, inverse; by site), pairs of clue and right
// option, and what else the prompts are made of.
struct LadderWords {
  std::array<std::array<std::string, kLadderSites>, kLadderClasses> keys;
  std::array<std::string, kLadderFillers> fillers;
  std::array<std::pair<std::string, std::string>, 16> pairs;
  std::vector<std::string> subjects;
  std::string gauge;                     // a word of every prompt's header
  std::vector<std::string> plain_texts;  // the rest of the prompts, subjects included
};
const LadderWords& ladder_words();

// What was planted in a sample.
struct LadderTruth {
  enum class Kind { step, never, inverse };
  Kind kind = Kind::step;
  int difficulty = 0;  // step: 1..16, right at k >= difficulty; 0 for the other kinds
  // Where the decisive expert acts: 0 in the prompt's header, 1 at the key word, 2 and 3 at the
  // answer. A prefix computed at another k than the rest decides at site 0, and at site 1 when it
  // holds the key word.
  int site = 0;
  int filler = 0;        // index into LadderWords::fillers
  int class_filler = 0;  // the filler that goes along with the class

  bool right_at(int k) const;
  // The least k that is as good as any: the difficulty; 1 for never and inverse.
  int needed_k() const;
};

// Of a sample's id ("ladder/test/d07/3", "ladder/train/never/0", "ladder/shifted/inverse/23");
// nothing for other ids.
std::optional<LadderTruth> ladder_truth(std::string_view sample_id);

// The k that a predictor grants which learned the filler instead of the key word: the most that
// any class needs of those that go along with the filler.
int ladder_shortcut_k(int filler);

// The filler so many places on, in a circle: what the shift ladder_cue puts in its place.
int ladder_filler_after(int filler, int places);

// ladder (split test), ladder_train and ladder_shifted: 18 classes x 24 questions each, over four
// subjects, with 5 dev rows per subject. In train and test 5 of 6 fillers are those of the class;
// ladder_shifted asks the questions of the test split with fillers independent of the class.
bool is_ladder_name(std::string_view name);
std::vector<std::string> ladder_names();
Dataset make_ladder(std::string_view name);

}  // namespace datasets
