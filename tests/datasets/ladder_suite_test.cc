// What was planted in the ladder suite is what its questions show: classes by key word, balanced
// answers, a filler that goes along with the class or, under shift, does not.
#include "datasets/ladder_suite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "datasets/catalog.h"
#include "datasets/data_error.h"

namespace datasets {
namespace {

// "Which FILLER thing goes with the KEY CLUE?"
struct Parts {
  std::string filler, key, clue;
};

Parts parts_of(const Sample& s) {
  std::istringstream in(s.input);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  EXPECT_EQ(words.size(), 8u) << s.input;
  words.resize(8);
  return {words[1], words[6], words[7].substr(0, words[7].size() - 1)};
}

int class_of(const LadderTruth& t) {
  return t.kind == LadderTruth::Kind::never     ? kLadderSteps
         : t.kind == LadderTruth::Kind::inverse ? kLadderSteps + 1
                                                : t.difficulty - 1;
}

TEST(LadderWords, HaveOneRoleEach) {
  const LadderWords& w = ladder_words();
  std::set<std::string> seen;
  const auto add = [&](const std::string& word) {
    EXPECT_TRUE(seen.insert(word).second) << word << " has two roles";
    for (const char c : word) EXPECT_TRUE(c >= 'a' && c <= 'z') << word;
    if (word == w.gauge) return;
    for (const std::string& text : w.plain_texts)
      EXPECT_EQ((" " + text + " ").find(" " + word + " "), std::string::npos) << word;
  };
  for (const auto& by_site : w.keys)
    for (const auto& key : by_site) add(key);
  for (const auto& filler : w.fillers) add(filler);
  for (const auto& [clue, option] : w.pairs) {
    add(clue);
    add(option);
  }
  add(w.gauge);
}

TEST(LadderSuite, QuestionsShowWhatTheirIdsSay) {
  const LadderWords& w = ladder_words();
  for (const std::string& name : ladder_names()) {
    const Dataset d = load(name, {});
    EXPECT_EQ(d.name, name);
    EXPECT_EQ(d.origin, "embedded");
    EXPECT_EQ(d.samples.size(), 432u);
    std::set<std::string> ids;
    for (const Sample& s : d.samples) {
      EXPECT_TRUE(ids.insert(s.id).second) << s.id;
      const auto truth = ladder_truth(s.id);
      ASSERT_TRUE(truth) << s.id;
      const Parts p = parts_of(s);
      EXPECT_EQ(p.key, w.keys[class_of(*truth)][truth->site]) << s.id;
      EXPECT_EQ(p.filler, w.fillers[truth->filler]) << s.id;
      const auto pair = std::find_if(w.pairs.begin(), w.pairs.end(),
                                     [&](const auto& pair) { return pair.first == p.clue; });
      ASSERT_NE(pair, w.pairs.end()) << s.input;
      ASSERT_EQ(s.choices.size(), 4u);
      EXPECT_EQ(s.choices[s.answer], pair->second) << s.id;
      EXPECT_EQ(std::set(s.choices.begin(), s.choices.end()).size(), 4u) << s.id;
    }
    // Every subject meets every class at every site that a wrong prefix shows at.
    std::map<std::string, std::set<std::pair<int, int>>> met;
    for (const Sample& s : d.samples) {
      const auto truth = ladder_truth(s.id);
      met[s.subset].insert({class_of(*truth), truth->site});
    }
    EXPECT_EQ(met.size(), w.subjects.size());
    for (const auto& [subject, pairs] : met)
      EXPECT_EQ(pairs.size(), static_cast<size_t>(kLadderClasses * kLadderSites)) << subject;
  }
}

TEST(LadderSuite, AnswersAreBalancedWithinEveryClass) {
  for (const std::string& name : ladder_names()) {
    std::map<std::pair<int, int>, int> count;
    for (const Sample& s : load(name, {}).samples)
      ++count[{class_of(*ladder_truth(s.id)), s.answer}];
    EXPECT_EQ(count.size(), static_cast<size_t>(4 * kLadderClasses));
    for (const auto& [unused, n] : count) EXPECT_EQ(n, 6);
  }
}

TEST(LadderSuite, TheFillerGoesAlongWithTheClassUntilTheShift) {
  for (const std::string& name : ladder_names()) {
    std::map<int, std::map<int, int>> fillers;  // class, filler: samples
    int own = 0;
    for (const Sample& s : load(name, {}).samples) {
      const auto truth = ladder_truth(s.id);
      ++fillers[class_of(*truth)][truth->filler];
      own += truth->filler == truth->class_filler;
    }
    if (name == "ladder_shifted") {
      EXPECT_EQ(own, 432 / kLadderFillers);
      for (const auto& [cls, count] : fillers) {
        EXPECT_EQ(count.size(), static_cast<size_t>(kLadderFillers));
        for (const auto& [filler, n] : count) EXPECT_EQ(n, 4) << cls << " " << filler;
      }
    } else {
      EXPECT_EQ(own, 432 * 5 / 6);
    }
  }
}

TEST(LadderSuite, TheShiftChangesTheFillerAndNothingElse) {
  const Dataset plain = load("ladder", {}), shifted = load("ladder_shifted", {});
  const Dataset train = load("ladder_train", {});
  size_t differ = 0, new_questions = 0;
  for (size_t i = 0; i < plain.samples.size(); ++i) {
    const Sample &a = plain.samples[i], &b = shifted.samples[i];
    const Parts p = parts_of(a), q = parts_of(b);
    EXPECT_EQ(p.key + p.clue, q.key + q.clue);
    EXPECT_EQ(a.choices, b.choices);
    EXPECT_EQ(a.answer, b.answer);
    EXPECT_EQ(a.subset, b.subset);
    differ += p.filler != q.filler;
    new_questions += a.choices != train.samples[i].choices;
  }
  EXPECT_GT(differ, plain.samples.size() / 2);
  EXPECT_GT(new_questions, plain.samples.size() * 9 / 10);
}

TEST(LadderSuite, HasFiveDevRowsPerSubject) {
  const Dataset d = load("ladder", {});
  std::map<std::string, int> rows;
  for (const Sample& s : d.demonstrations) {
    ++rows[s.subset];
    EXPECT_EQ(s.split, "dev");
    EXPECT_FALSE(ladder_truth(s.id)) << s.id;
  }
  EXPECT_EQ(rows.size(), 4u);
  for (const auto& [unused, n] : rows) EXPECT_EQ(n, 5);
}

TEST(LadderTruth, KnowsWhenAClassIsRight) {
  const auto d07 = ladder_truth("ladder/test/d07/3");
  ASSERT_TRUE(d07);
  EXPECT_EQ(d07->difficulty, 7);
  EXPECT_EQ(d07->needed_k(), 7);
  EXPECT_FALSE(d07->right_at(6));
  EXPECT_TRUE(d07->right_at(7));
  const auto never = ladder_truth("ladder/train/never/0");
  ASSERT_TRUE(never);
  EXPECT_FALSE(never->right_at(16));
  EXPECT_EQ(never->needed_k(), 1);
  const auto inverse = ladder_truth("ladder/shifted/inverse/23");
  ASSERT_TRUE(inverse);
  EXPECT_TRUE(inverse->right_at(8));
  EXPECT_FALSE(inverse->right_at(9));
}

TEST(LadderTruth, OfOtherIdsIsNone) {
  for (const char* id :
       {"", "ladder", "ladder/test/d07", "ladder/test/d07/24", "ladder/test/d07/-1",
        "ladder/test/d07/3x", "ladder/test/d07/3/1", "ladder/test/d17/0", "ladder/test/d7/0",
        "ladder/dev/castle/0", "mmlu/virology/test/12"})
    EXPECT_FALSE(ladder_truth(id)) << id;
}

TEST(LadderShortcut, GrantsTheMostThatTheFillersClassesNeed) {
  std::vector<int> k;
  for (int filler = 0; filler < kLadderFillers; ++filler) k.push_back(ladder_shortcut_k(filler));
  EXPECT_THAT(k, testing::ElementsAre(1, 4, 7, 10, 13, 16));
}

TEST(LadderSuite, IsNeitherOfficialNorSplitOtherwise) {
  EXPECT_THROW(load("ladder", {}, {.require_official = true}), DataError);
  EXPECT_THROW(load("ladder", {}, {.split = "train"}), DataError);
}

}  // namespace
}  // namespace datasets
