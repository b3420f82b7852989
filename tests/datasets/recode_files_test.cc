#include "datasets/recode_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "datasets/manifest.h"
#include "tests/datasets/temp_folder.h"
#include "tests/support/sanitized.h"

namespace datasets {
namespace {

using testing::HasSubstr;

const RecodeMethod& method(std::string_view name) { return *find_recode_method(name); }

TEST(RecodeFiles, AreThePublishedOnesAndEachIsPinned) {
  const PinnedDataset& pins = *find_pinned("recode");
  std::map<std::string_view, int> files;
  std::set<std::string> paths;
  for (const RecodeMethod& m : recode_methods())
    for (int draw = 0; draw < m.draws; ++draw) {
      ++files[m.folder];
      EXPECT_TRUE(paths.insert(recode_path(m, draw)).second);
      ASSERT_TRUE(pins.find(recode_path(m, draw))) << recode_path(m, draw);
      EXPECT_EQ(pins.find(recode_path(m, draw))->rows, 164);
    }
  EXPECT_EQ(recode_methods().size(), 29u);
  EXPECT_EQ(files, (std::map<std::string_view, int>{
                       {"format", 15}, {"func_name", 51}, {"natgen", 25}, {"nlaugmenter", 73}}));
  EXPECT_EQ(pins.files.size(), paths.size() + 1);
  EXPECT_EQ(find_recode_method("new_line"), nullptr);
  EXPECT_TRUE(method("tab_indent").is_partial());
  EXPECT_FALSE(method("ChangeCharCase").is_partial());
}

TEST(RecodeFiles, AMissingOrAlteredFileIsNamed) {
  const TempFolder folder;
  const auto error = [&](const LoadOptions& options) -> std::string {
    try {
      load_recode(method("new_lines"), 3, {folder.path()}, options);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error({}), HasSubstr("humaneval_new_lines_s3.jsonl.gz not found in: " +
                                   folder.path().string() + "; it comes from https://"));
  const auto file = folder.path() / "recode" / recode_path(method("new_lines"), 3);
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << R"({"task_id":"X/0","prompt":"def f():\n","entry_point":"f",)"
                      << R"("canonical_solution":"","test":"t"})";
  EXPECT_THAT(error({}),
              HasSubstr("pinned is " +
                        find_pinned("recode")->find(recode_path(method("new_lines"), 3))->sha256));
  EXPECT_THAT(error({.require_official = true, .allow_unverified = true}), HasSubstr("pinned is"));
  EXPECT_EQ(error({.allow_unverified = true}), "no error");
  const Dataset d =
      load_recode(method("new_lines"), 3, {folder.path()}, {.allow_unverified = true});
  EXPECT_EQ(d.origin, "unverified");
  EXPECT_EQ(d.samples.at(0).id, "X/0");
}

TEST(RecodeFiles, OfficialOnesHoldTheProblemsOfHumanEvalInOrder) {
  const auto roots = default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const LoadOptions official{.require_official = true};
  const Dataset whole = load("humaneval", roots, official);
  const Dataset partial = load("recode", roots, official);
  ASSERT_EQ(partial.samples.size(), 164u);
  int begun = 0;
  for (size_t i = 0; i < 164; ++i) {
    EXPECT_EQ(partial.samples[i].id, whole.samples[i].id);
    EXPECT_EQ(partial.samples[i].test, whole.samples[i].test);
    begun += partial.samples[i].input != whole.samples[i].input;
  }
  EXPECT_EQ(begun, 127);
  std::map<std::string_view, int> changed_first;
  for (const RecodeMethod& m : recode_methods())
    for (int draw = 0; draw < (test_support::kSanitized ? 1 : m.draws); ++draw) {
      const Dataset d = load_recode(m, draw, roots, official);
      ASSERT_EQ(d.samples.size(), 164u);
      int changed = 0;
      for (size_t i = 0; i < 164; ++i) {
        EXPECT_EQ(d.samples[i].id, whole.samples[i].id);
        EXPECT_EQ(d.samples[i].test, whole.samples[i].test);
        changed += d.samples[i].input != (m.is_partial() ? partial : whole).samples[i].input;
      }
      if (draw == 0) changed_first[m.name] = changed;
    }
  EXPECT_EQ(changed_first["FuncRenameSynonymSub"], 0);
  EXPECT_EQ(changed_first["FuncRenameSwapChar"], 63);
  EXPECT_EQ(changed_first["BackTranslation"], 102);
}

}  // namespace
}  // namespace datasets
