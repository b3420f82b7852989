// What a question needs, and the standard tables, on planted sweeps.
#include "harness/sweep_report.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "harness/standard_tables.h"
#include "tests/harness/program.h"

namespace {

using namespace harness;

const std::vector<int32_t> kGrid = {1, 4, 16};

SweepQuestion question(const std::string& sample, std::vector<double> shares) {
  SweepQuestion q;
  q.task = "t";
  q.sample = sample;
  for (size_t i = 0; i < shares.size(); ++i) q.correct[kGrid[i]] = shares[i];
  return q;
}

TEST(SweepNeeds, AreThoseOfTheReliableCurve) {
  const auto need = [](std::vector<double> shares) { return question("s", shares).need(kGrid); };
  EXPECT_EQ(need({1, 1, 1}), Need::easy);
  EXPECT_EQ(need({0.75, 1, 0.75}), Need::easy);
  EXPECT_EQ(need({0.5, 1, 1}), Need::elastic);
  EXPECT_EQ(need({0, 0, 1}), Need::elastic);
  EXPECT_EQ(need({1, 0, 1}), Need::elastic);  // right at 1 by luck: stable from 16 on
  EXPECT_EQ(need({0.5, 0.5, 0.74}), Need::never);
  EXPECT_EQ(need({1, 0, 0}), Need::inverse);
  EXPECT_EQ(need({0, 1, 0.5}), Need::inverse);
  EXPECT_EQ(need({1, 1}), std::nullopt);  // one k is not graded
  const auto q = question("s", {1, 0, 1});
  EXPECT_EQ(q.k_first(kGrid), 1);
  EXPECT_EQ(q.k_stable(kGrid), 16);
}

Sweep planted() {
  Sweep s;
  s.grid = kGrid;
  s.run_uuid = "u";
  s.weights_sha256 = "w";
  for (int i = 0; i < 40; ++i) {
    std::vector<double> shares = {i % 4 == 0 ? 1.0 : 0.0, i % 4 <= 1 ? 1.0 : 0.0,
                                  i % 4 <= 2 ? 1.0 : 0.0};
    if (i == 39) shares = {0, 1, 0};  // inverse
    s.questions.push_back(question(std::to_string(i), shares));
  }
  s.questions.push_back(question("ungraded", {1}));
  return s;
}

std::map<int32_t, int> marginal(const KTable& t) {
  std::map<int32_t, int> out;
  for (const auto& [key, k] : t) ++out[k];
  return out;
}

TEST(StandardTables, TheOracleRunsTheLeastThatIsReliablyEnough) {
  const auto t = make_standard_tables(planted(), 1, [](auto&, auto&) { return 1; });
  EXPECT_EQ(t.oracle.size(), 40u);
  EXPECT_EQ(t.oracle.at("t:0"), 1);
  EXPECT_EQ(t.oracle.at("t:1"), 4);
  EXPECT_EQ(t.oracle.at("t:2"), 16);
  EXPECT_EQ(t.oracle.at("t:3"), 1);   // right at no k: nothing is spent on it
  EXPECT_EQ(t.oracle.at("t:39"), 4);  // inverse: the smallest right k
  EXPECT_FALSE(t.oracle.contains("t:ungraded"));
}

TEST(StandardTables, TheOthersKeepTheOraclesBudgetAndLoseItsKnowledge) {
  const auto length = [](const std::string&, const std::string& s) {
    return (std::stoi(s) * 7) % 40;
  };
  const auto t = make_standard_tables(planted(), 1, length);
  EXPECT_EQ(marginal(t.shuffled), marginal(t.oracle));
  EXPECT_EQ(marginal(t.length_only), marginal(t.oracle));
  EXPECT_EQ(t.matched_random.size(), t.oracle.size());
  EXPECT_NE(t.shuffled, t.oracle);
  EXPECT_NE(t.matched_random, t.oracle);
  int32_t last = 0;
  std::map<int, int32_t> by_length;
  for (const auto& [key, k] : t.length_only) by_length[length("t", key.substr(2))] = k;
  for (const auto& [n, k] : by_length) {
    EXPECT_GE(k, last) << n;
    last = k;
  }
  for (const auto& [key, k] : t.matched_random) EXPECT_TRUE(marginal(t.oracle).contains(k));
  const auto again = make_standard_tables(planted(), 1, length);
  EXPECT_EQ(again.shuffled, t.shuffled);
  EXPECT_EQ(again.matched_random, t.matched_random);
  EXPECT_NE(make_standard_tables(planted(), 2, length).shuffled, t.shuffled);
}

TEST(StandardTables, AreWrittenAsTables) {
  const support::TempFolder folder;
  const auto t = make_standard_tables(planted(), 1, [](auto&, auto&) { return 1; });
  const auto files = write_tables(folder.path() / "a/b", planted(), t);
  ASSERT_EQ(files.size(), 4u);
  const auto j = nlohmann::json::parse(program::slurp(files[0]));
  EXPECT_EQ(j["format"], "moeval_table/1");
  EXPECT_EQ(j["model_sha256"], "w");
  EXPECT_EQ(j["k"]["t:2"], 16);
}

}  // namespace
