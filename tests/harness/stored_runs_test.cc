#include "harness/stored_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/planted_run.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace harness;
using testing::HasSubstr;

TEST(BoardInputs, ATaskThatWasNotBegunIsPlannedAllTheSame) {
  const support::TempFolder folder;
  const auto db = folder.path() / "a.db";
  planted::store(db, {.uuid = "stopped",
                      .tasks = {{"first_task", 8}, {"later_task", 6}},
                      .repeats = 2,
                      .stored = 10});
  const auto store = results::ResultStore::open(db, results::ResultStore::Mode::read);
  const auto inputs = board_inputs(*store, "stopped");
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_EQ(inputs[0].planned, 16);
  EXPECT_EQ(inputs[0].done, 10);
  EXPECT_EQ(inputs[1].task, "later_task");
  EXPECT_EQ(inputs[1].planned, 12);
  EXPECT_EQ(inputs[1].done, 0);
  EXPECT_EQ(inputs[1].policy, "fixed:4");
  std::vector<BoardRow> rows;
  for (const auto& in : inputs) rows.push_back(make_row(in));
  EXPECT_THAT(render_board(rows, Format::table, false), HasSubstr("interrupted 0/12"));
}

}  // namespace
