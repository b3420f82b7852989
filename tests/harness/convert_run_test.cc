// Conversion as a user runs it: a dense model in, an adaptive one out that names its parent.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/harness/run_fixture.h"

namespace {

using testing::HasSubstr;
using ConvertRun = RunTest;

TEST_F(ConvertRun, TheNewModelRunsAndNamesItsParentAsRunsDo) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "Line " + std::to_string(i) + " of the calibration text.\n";
  const auto calibration = folder_.write("text.txt", text).string();
  const std::string out = folder_.path() / "nested";
  const auto made = moeval({"convert", model().string(), "--out", out, "--calibration", calibration,
                            "--experts", "4", "--shared", "1", "--dtype", "f32"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("4 experts a layer (1 shared)"));

  ASSERT_EQ(moeval(run_args("mmlu", db(), {"--limit", "1"})).code, 0);
  const auto facts = nlohmann::json::parse(program::slurp(out + "/conversion.json"));
  EXPECT_EQ(facts["parent_sha256"].get<std::string>() + "\n",
            stored::rows(db(), "SELECT weights_sha256 FROM model"));

  const auto swept = moeval({"sweep", "--model", out, "--tasks", "mmlu_cloze", "--data", "embedded",
                             "--limit", "1", "--grid", "1,4", "--db", db("nested.db")});
  EXPECT_EQ(swept.code, 0) << swept.err;
  EXPECT_EQ(stored::rows(db("nested.db"), "SELECT DISTINCT k_requested FROM attempt ORDER BY 1"),
            "1\n4\n");
  const auto again =
      moeval({"convert", model().string(), "--out", out, "--calibration", calibration});
  EXPECT_NE(again.code, 0) << "what is there is not overwritten";
  EXPECT_THAT(again.err, HasSubstr("nested"));
}

}  // namespace
