#include "datasets/catalog.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>
#include <string>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"
#include "datasets/manifest.h"
#include "datasets/mmlu_categories.h"
#include "datasets/sha256.h"
#include "tests/datasets/gzip.h"
#include "tests/datasets/temp_folder.h"

namespace datasets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kProblem =
    R"({"task_id":"X/0","prompt":"p","entry_point":"f","canonical_solution":"s","test":"t"})"
    "\n";

std::string error_of(std::string_view name, const std::vector<std::filesystem::path>& roots,
                     const LoadOptions& options = {}) {
  try {
    load(name, roots, options);
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Load, FallsBackToTheEmbeddedSuiteWhenNoRootHasTheData) {
  TempFolder empty;
  const Dataset d = load("mmlu", {empty.path()});
  EXPECT_EQ(d.name, "mmlu_embedded");
  EXPECT_EQ(d.origin, "embedded");
  EXPECT_TRUE(d.samples[0].id.starts_with("mmlu_embedded/"));
  EXPECT_EQ(load("humaneval", {}).name, "humaneval_embedded");
}

TEST(Load, NeverFallsBackWhenTheOfficialDataIsRequired) {
  TempFolder empty;
  EXPECT_THAT(error_of("mmlu", {empty.path()}, {.require_official = true}),
              HasSubstr("data set mmlu not found in: " + empty.path().string()));
  EXPECT_THAT(error_of("humaneval", {}, {.require_official = true}), HasSubstr("no folder given"));
  EXPECT_THAT(error_of("humaneval_embedded", {}, {.require_official = true}),
              HasSubstr("not an official data set"));
  EXPECT_THAT(error_of("humaneval_plus", {}), HasSubstr("data set humaneval_plus not found"));
}

TEST(Load, RefusesARootThatDoesNotExistInsteadOfFallingBack) {
  EXPECT_THAT(error_of("mmlu", {"/nonexistent/moeval"}),
              HasSubstr("/nonexistent/moeval: no such folder"));
}

TEST(Load, NamesTheNearestDataSet) {
  EXPECT_THAT(error_of("mmul", {}), HasSubstr("no data set is named \"mmul\"; did you mean mmlu?"));
  EXPECT_THAT(error_of("human_eval", {}), HasSubstr("did you mean humaneval?"));
  EXPECT_THAT(error_of("../x\n", {}), HasSubstr("\"../x\\x0a\""));
}

TEST(Load, RefusesUnknownSplits) {
  EXPECT_THAT(error_of("mmlu", {}, {.split = "train"}), HasSubstr("mmlu has no split 'train'"));
  EXPECT_THAT(error_of("mmlu", {}, {.split = "../test"}), HasSubstr("no split"));
  EXPECT_THAT(error_of("humaneval", {}, {.split = "dev"}), HasSubstr("only test"));
  EXPECT_THAT(error_of("mmlu_embedded", {}, {.split = "val"}), HasSubstr("only dev and test"));
}

TEST(Load, NamesFileAndBothHashesOfAFileThatIsNotAsPinned) {
  TempFolder t;
  const auto file = t.write("humaneval/data/HumanEval.jsonl", kProblem);
  const std::string error = error_of("humaneval", {t.path()});
  EXPECT_THAT(error, HasSubstr(file.string()));
  EXPECT_THAT(error, HasSubstr(sha256_hex(kProblem)));
  EXPECT_THAT(error, HasSubstr(find_pinned("humaneval")->files[0].sha256));
  EXPECT_THAT(error, HasSubstr("--allow-unverified"));
  EXPECT_THAT(error, Not(HasSubstr("\n")));
}

TEST(Load, TakesUnpinnedFilesOnlyWhenAllowedAndSaysSo) {
  for (const char* place : {"humaneval/data/HumanEval.jsonl", "humaneval/HumanEval.jsonl",
                            "data/HumanEval.jsonl", "HumanEval.jsonl"}) {
    TempFolder t;
    t.write(place, kProblem);
    const Dataset d = load("humaneval", {t.path()}, {.allow_unverified = true});
    EXPECT_EQ(d.origin, "unverified") << place;
    EXPECT_EQ(d.name, "humaneval");
    ASSERT_EQ(d.samples.size(), 1u);
    EXPECT_THAT(
        error_of("humaneval", {t.path()}, {.require_official = true, .allow_unverified = true}),
        HasSubstr("pinned"));
  }
}

TEST(Load, HashesTheUnpackedBytesSoThatPackingDoesNotMatter) {
  TempFolder plain, packed;
  plain.write("humaneval-plus/HumanEvalPlus-OriginFmt.jsonl", kProblem);
  packed.write("HumanEvalPlus-OriginFmt.jsonl.gz", gzip(kProblem));
  const LoadOptions options{.allow_unverified = true};
  const Dataset a = load("humaneval_plus", {plain.path()}, options);
  const Dataset b = load("humaneval_plus", {packed.path()}, options);
  EXPECT_EQ(a.sha256, b.sha256);
  EXPECT_EQ(a.sha256, sha256_hex(sha256_hex(kProblem)));
}

TEST(Load, UsesTheFirstRootThatHasTheData) {
  TempFolder empty, first, second;
  first.write("HumanEval.jsonl", kProblem);
  second.write("HumanEval.jsonl", "damaged");
  EXPECT_EQ(
      load("humaneval", {empty.path(), first.path(), second.path()}, {.allow_unverified = true})
          .samples.size(),
      1u);
}

class PartialMmlu : public testing::Test {
 protected:
  void SetUp() override {
    t_.write("mmlu/test/virology_test.csv", "q1,1,2,3,4,A\nq2,1,2,3,4,B\n");
    t_.write("mmlu/dev/virology_dev.csv", "d,1,2,3,4,C\n");
    t_.write("mmlu/dev/anatomy_dev.csv", "other,1,2,3,4,C\n");
  }
  TempFolder t_;
};

TEST_F(PartialMmlu, IsRefusedBecauseSubjectsAreMissing) {
  EXPECT_THAT(error_of("mmlu", {t_.path()}),
              HasSubstr("test/abstract_algebra_test.csv: missing, the manifest of mmlu lists it"));
}

TEST_F(PartialMmlu, LoadsWhenAllowedWithTheDemonstrationsOfItsSubjects) {
  const Dataset d = load("mmlu", {t_.path()}, {.allow_unverified = true});
  EXPECT_EQ(d.origin, "unverified");
  ASSERT_EQ(d.samples.size(), 2u);
  EXPECT_EQ(d.samples[1].id, "mmlu/virology/test/1");
  ASSERT_EQ(d.demonstrations.size(), 1u);
  EXPECT_EQ(d.demonstrations[0].input, "d");
}

TEST_F(PartialMmlu, NeedsTheDemonstrationsOfEverySubject) {
  t_.write("mmlu/test/marketing_test.csv", "q1,1,2,3,4,A\n");
  EXPECT_THAT(error_of("mmlu", {t_.path()}, {.allow_unverified = true}),
              HasSubstr("dev/marketing_dev.csv: missing; subject marketing needs it"));
  std::filesystem::remove_all(t_.path() / "mmlu/dev");
  EXPECT_THAT(error_of("mmlu", {t_.path()}, {.allow_unverified = true}),
              HasSubstr("dev: no such folder"));
  EXPECT_THAT(error_of("mmlu", {t_.path()}, {.split = "val", .allow_unverified = true}),
              HasSubstr("val: no such folder"));
}

TEST(ReadFile, RefusesWhatIsNoRegularFileWithoutHanging) {
  TempFolder t;
  EXPECT_THROW(read_file(t.path()), DataError);
  EXPECT_THROW(read_file(t.path() / "absent"), DataError);
  EXPECT_THROW(read_file("/dev/zero"), DataError);
  ASSERT_EQ(mkfifo((t.path() / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(read_file(t.path() / "fifo"), DataError);
  EXPECT_THROW(read_file(t.write("empty", "")), DataError);
  std::filesystem::create_symlink("loop", t.path() / "loop");
  EXPECT_THROW(read_file(t.path() / "loop"), DataError);
  const auto ten = t.write("ten", "0123456789");
  EXPECT_EQ(read_file(ten, {.max_file_bytes = 10}), "0123456789");
  EXPECT_THROW(read_file(ten, {.max_file_bytes = 9}), DataError);
}

TEST(FindInvalidUtf8, AcceptsTheBordersAndNamesTheFirstBadByte) {
  for (const char* good : {"", "a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                           "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_FALSE(find_invalid_utf8(good)) << printable(good);
  for (const char* bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE1\x80",
        "\xE1\x80\x41", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF1\x80\x80", "\xF1\x80\x80\x41",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(find_invalid_utf8(std::string("ab\xC3\xA9") + bad), 4u) << printable(bad);
  }
}

TEST(Manifest, PinsEverySubjectOfEverySplitAndTheCodeSuites) {
  const PinnedDataset* mmlu = find_pinned("mmlu");
  ASSERT_TRUE(mmlu);
  EXPECT_EQ(mmlu->split_rows,
            (std::map<std::string, int64_t>{{"dev", 285}, {"val", 1531}, {"test", 14042}}));
  for (const MmluSubject& s : mmlu_subjects())
    for (const char* split : {"dev", "val", "test"})
      EXPECT_TRUE(mmlu->find(fmt::format("{}/{}_{}.csv", split, s.name, split))) << s.name;
  std::set<std::string> paths;
  for (const PinnedDataset& d : pinned_datasets()) {
    std::map<std::string, int64_t> rows;
    for (const PinnedFile& f : d.files) {
      rows[f.split] += f.rows;
      EXPECT_EQ(f.sha256.size(), 64u);
      EXPECT_TRUE(paths.insert(d.name + "/" + f.path).second) << f.path;
    }
    EXPECT_EQ(rows, d.split_rows) << d.name;
  }
  EXPECT_EQ(paths.size(), 591u);
  EXPECT_EQ(find_pinned("humaneval")->files[0].gzip_sha256,
            "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef");
  EXPECT_EQ(find_pinned("humaneval_plus")->files[0].gzip_sha256,
            "daa7661c8189924068069b0872a440b491edb60f8bdf431d5957adc88d18bae5");
}

TEST(DatasetInfos, ListsOfficialAndEmbeddedDataSets) {
  std::vector<std::string> names;
  for (const DatasetInfo& info : dataset_infos()) {
    names.push_back(info.name);
    EXPECT_EQ(info.is_embedded,
              info.name.ends_with("_embedded") || info.name.starts_with("ladder"));
    EXPECT_GT(info.split_rows.at("test"), 0);
    EXPECT_FALSE(info.licence.empty());
  }
  EXPECT_THAT(names, ElementsAre("mmlu", "humaneval", "humaneval_plus", "mbpp", "recode", "xstest",
                                 "harmbench", "gsm8k", "gsm_plus", "bbh", "cmmlu", "mmlu_pro",
                                 "mmlu_redux", "mmlu_embedded", "humaneval_embedded", "ladder",
                                 "ladder_train", "ladder_shifted"));
}

}  // namespace
}  // namespace datasets
