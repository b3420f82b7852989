// The readers of GSM8K, GSM-Plus and BIG-Bench Hard against the real files.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "datasets/bbh_reader.h"
#include "datasets/catalog.h"
#include "datasets/input_bytes.h"
#include "datasets/text_sets.h"

namespace datasets {
namespace {

class OfficialText : public testing::Test {
 protected:
  void SetUp() override {
    roots_ = default_search_roots();
    if (roots_.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  }
  Dataset official(const char* name) { return load(name, roots_, {.require_official = true}); }
  std::vector<std::filesystem::path> roots_;
};

TEST_F(OfficialText, Gsm8kHasItsCountsAndCommas) {
  const Dataset d = official("gsm8k");
  EXPECT_EQ(d.origin, "official");
  EXPECT_EQ(d.samples.size(), 1319u);
  ASSERT_EQ(d.demonstrations.size(), 5u);
  EXPECT_EQ(d.demonstrations[0].target, "72");
  EXPECT_EQ(d.samples[0].target, "18");
  int commas = 0, negative = 0;
  for (const Sample& s : d.samples) {
    commas += s.reference.find(',', s.reference.find("####")) != std::string::npos;
    negative += s.target.starts_with('-');
  }
  EXPECT_EQ(commas, 14);
  EXPECT_EQ(negative, 2);
}

TEST_F(OfficialText, GsmPlusHasEightKindsOf300) {
  const Dataset d = official("gsm_plus");
  ASSERT_EQ(d.samples.size(), 2400u);
  EXPECT_EQ(d.demonstrations.size(), 5u);
  std::map<std::string, int> kinds;
  int fractions = 0;
  for (const Sample& s : d.samples) {
    ++kinds[s.subset];
    fractions += s.target.find('/') != std::string::npos;
    EXPECT_EQ(s.target == "None", s.subset == "critical_thinking") << s.id;
    EXPECT_NE(s.reference.find("####"), std::string::npos) << s.id;
  }
  EXPECT_EQ(kinds.size(), 8u);
  for (const auto& [kind, n] : kinds) EXPECT_EQ(n, 300) << kind;
  EXPECT_EQ(fractions, 7);
}

TEST_F(OfficialText, BbhHasItsTasksAndThreeDemonstrationsEach) {
  const Dataset d = official("bbh");
  EXPECT_EQ(d.samples.size(), 6511u);
  EXPECT_EQ(d.instructions.size(), 27u);
  std::map<std::string, int> rows, shown;
  for (const Sample& s : d.samples) ++rows[s.subset];
  for (const Sample& s : d.demonstrations) ++shown[s.subset];
  EXPECT_EQ(rows.size(), 27u);
  for (const auto& [task, n] : rows) {
    EXPECT_EQ(n, task == "causal_judgement"      ? 187
                 : task == "penguins_in_a_table" ? 146
                 : task == "snarks"              ? 178
                                                 : 250);
    EXPECT_EQ(shown[task], 3) << task;
  }
}

TEST_F(OfficialText, BbhPromptsAreTheFilesByteForByte) {
  const Dataset d = official("bbh");
  const auto folder = find_text_set("bbh", roots_[0]);
  ASSERT_TRUE(folder);
  for (const auto& [task, instruction] : d.instructions) {
    std::string text = instruction;
    for (const Sample& s : d.demonstrations)
      if (s.subset == task) text += "\n\nQ: " + s.input + std::string(kBbhThink) + s.reference;
    const std::string file = read_file(*folder / "cot-prompts" / (task + ".txt"));
    EXPECT_EQ(text, file.substr(file.find("-----\n") + 6)) << task;
  }
}

}  // namespace
}  // namespace datasets
