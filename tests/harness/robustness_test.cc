#include "harness/robustness.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

namespace harness {
namespace {

class Robustness : public testing::Test {
 protected:
  // One problem: right as it is, and in each draw (nothing: the file leaves it as it is).
  void problem(bool nominal, const std::vector<std::optional<bool>>& draws,
               const std::string& method = "ChangeCharCase") {
    const std::string id = "HumanEval/" + std::to_string(n_++);
    add(id, "clean", nominal);
    for (size_t i = 0; i < draws.size(); ++i)
      if (draws[i]) add(id, "recode." + method + ":" + std::to_string(i), *draws[i]);
  }
  void add(const std::string& id, const std::string& form, bool right) {
    AuditedQuery q;
    q.sample = id;
    q.form = form;
    q.right = right;
    queries_.push_back(q);
  }
  std::vector<RobustReport> reports() const {
    std::vector<const AuditedQuery*> all;
    for (const auto& q : queries_) all.push_back(&q);
    return robust_reports(all);
  }
  std::deque<AuditedQuery> queries_;
  int n_ = 0;
};

// Planted: of 100 problems 60 right as they are, 45 of these in every draw; 5 wrong ones become
// right in a draw, so 20 are answered otherwise. Ten unchanged ones say nothing.
TEST_F(Robustness, FindsWhatWasPlanted) {
  for (int i = 0; i < 45; ++i) problem(true, {true, true, true});
  for (int i = 0; i < 10; ++i) problem(true, {true, false, true});
  for (int i = 0; i < 5; ++i) problem(true, {std::nullopt, false, std::nullopt});
  for (int i = 0; i < 5; ++i) problem(false, {false, true, false});
  for (int i = 0; i < 35; ++i) problem(false, {false, false, std::nullopt});
  for (int i = 0; i < 10; ++i) problem(true, {std::nullopt, std::nullopt, std::nullopt});
  const auto all = reports();
  ASSERT_EQ(all.size(), 1u);
  const RobustReport& r = all[0];
  EXPECT_EQ(r.method, "ChangeCharCase");
  EXPECT_EQ(r.draws, 3);
  EXPECT_EQ(r.n, 100);
  EXPECT_EQ(r.forms, 3 * 60 + 5 + 2 * 35);
  EXPECT_DOUBLE_EQ(*r.nominal.value, 0.60);
  EXPECT_DOUBLE_EQ(*r.pass.value, 0.45);
  EXPECT_DOUBLE_EQ(*r.drop.value, 0.25);
  EXPECT_DOUBLE_EQ(*r.relative.value, 0.20);
  for (const auto* e : {&r.nominal, &r.pass, &r.drop, &r.relative}) {
    EXPECT_EQ(e->n, 100);
    ASSERT_TRUE(e->interval);
    EXPECT_LT(e->interval->lower, *e->value);
    EXPECT_GT(e->interval->upper, *e->value);
  }
}

TEST_F(Robustness, ASteadyModelLosesNothingAndAWrongOneHasNoDrop) {
  for (int i = 0; i < 12; ++i) problem(i % 2 == 0, {i % 2 == 0, i % 2 == 0});
  const auto steady = reports();
  EXPECT_EQ(*steady.at(0).drop.value, 0);
  EXPECT_EQ(*steady.at(0).relative.value, 0);
  queries_.clear();
  for (int i = 0; i < 12; ++i) problem(false, {false});
  const auto wrong = reports();
  EXPECT_FALSE(wrong.at(0).drop.value);
  EXPECT_EQ(*wrong.at(0).pass.value, 0);
}

TEST_F(Robustness, MethodsAreKeptApartOtherShiftsAndOrphansLeftOut) {
  problem(true, {false}, "new_lines");
  problem(true, {true}, "tab_indent");
  add("HumanEval/0", "spoof_up:1", false);
  add("HumanEval/99", "recode.new_lines:0", true);  // its clean twin is not here
  const auto all = reports();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].method, "new_lines");
  EXPECT_EQ(all[0].n, 1);
  EXPECT_EQ(*all[0].pass.value, 0);
  EXPECT_EQ(*all[1].pass.value, 1);
  // A failed query is wrong, whatever was written down.
  queries_[1].right = queries_[1].failed = true;
  EXPECT_EQ(*reports()[0].pass.value, 0);
}

}  // namespace
}  // namespace harness
