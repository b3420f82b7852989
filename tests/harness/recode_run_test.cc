// ReCode's forms through the program, on made-up files in the official layout.
#include <map>
#include <nlohmann/json.hpp>

#include "tests/harness/policy_run_fixture.h"

namespace {

using nlohmann::json;
using testing::HasSubstr;

class RecodeRun : public PolicyRunTest {
 protected:
  static constexpr int kProblems = 4;

  // add_0 to add_3, and the same with the first line of the solution in the prompt. Draw 0 of
  // ChangeCharCase changes all but one description, draw 1 one; FuncRenameCamelCase and new_lines
  // all.
  void SetUp() override {
    PolicyRunTest::SetUp();
    std::string whole, partial, case0, case1, camel, lines;
    for (int i = 0; i < kProblems; ++i) {
      const auto n = std::to_string(i);
      const std::string head = "def add_" + n + "(x):\n", begun = "    y = x + " + n + "\n";
      const std::string doc = "    \"\"\"Add " + n + " to x.\"\"\"\n", end = "    return y\n";
      const std::string loud = "    \"\"\"ADD " + n + " TO X.\"\"\"\n";
      whole += line(i, head + doc, begun + end);
      partial += line(i, head + doc + begun, end);
      case0 += line(i, head + (i == 0 ? doc : loud), begun + end);
      case1 += line(i, head + (i == 1 ? loud : doc), begun + end);
      camel += line(i, "def Add" + n + "(x):\n" + doc, begun + end, "Add" + n);
      lines += line(i, head + doc + "\n" + begun, end);
    }
    const std::string perturbed = "recode/perturbed_finalized/humaneval/full/";
    put("humaneval/data/HumanEval.jsonl", whole);
    put("recode/nominal/humaneval_partial.jsonl", partial);
    put(perturbed + "nlaugmenter/humaneval_ChangeCharCase_s0.jsonl", case0);
    put(perturbed + "nlaugmenter/humaneval_ChangeCharCase_s1.jsonl", case1);
    put(perturbed + "func_name/humaneval_FuncRenameCamelCase_s0.jsonl", camel);
    put(perturbed + "format/humaneval_new_lines_s0.jsonl", lines);
  }
  static std::string line(int i, const std::string& prompt, const std::string& solution,
                          const std::string& name = "") {
    const std::string own = "add_" + std::to_string(i);
    return json{{"task_id", "HumanEval/" + std::to_string(i)},
                {"prompt", prompt},
                {"canonical_solution", solution},
                {"entry_point", name.empty() ? own : name},
                {"test", "def check(candidate):\n    assert candidate(1) == " +
                             std::to_string(i + 1) + "\n"}}
               .dump() +
           "\n";
  }
  void put(const std::string& path, const std::string& text) const {
    const auto file = folder_.path() / "data" / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::vector<std::string> asked(const std::string& command, const std::string& tasks,
                                 const std::string& shift,
                                 std::vector<std::string> more = {}) const {
    std::vector<std::string> out = {command, "--model", moe(),  "--tasks",
                                    tasks,   "--data",  data(), "--allow-unverified",
                                    "--db",  db()};
    if (!shift.empty()) out.insert(out.end(), {"--shift", shift});
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  std::string data() const { return (folder_.path() / "data").string(); }
};

constexpr const char* kShifts =
    "recode.ChangeCharCase:0,recode.ChangeCharCase:1,recode.FuncRenameCamelCase,recode.new_lines:0";

TEST_F(RecodeRun, FormsAreAskedBesideTheirTwinsAndAudited) {
  const std::vector<std::string> brief = {"--max-new-tokens", "2"};
  auto more = brief;
  more.insert(more.end(), {"--grid", "2,16"});
  auto r = moeval(asked("sweep", "humaneval,humaneval_partial", kShifts, more));
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("shift recode.ChangeCharCase:0 on humaneval: asked of 3 of 4 "
                               "samples; not of 1, the official file leaves it as it is "
                               "(HumanEval/0)"));
  more = brief;
  more.insert(more.end(), {"--policy", "fixed:2"});
  r = moeval(asked("run", "humaneval,humaneval_partial", kShifts, more));
  ASSERT_EQ(r.code, 0) << r.err;
  const auto counts = stored::rows(
      db(),
      "SELECT task, shift, severity, count(*) FROM v_attempt JOIN run USING(run_id) WHERE kind = "
      "'policy' GROUP BY 1, 2, 3");
  EXPECT_EQ(counts,
            "humaneval\tclean\t0\t4\n"
            "humaneval\trecode.ChangeCharCase\t0\t3\n"
            "humaneval\trecode.ChangeCharCase\t1\t1\n"
            "humaneval\trecode.FuncRenameCamelCase\t0\t4\n"
            "humaneval_partial\tclean\t0\t4\n"
            "humaneval_partial\trecode.new_lines\t0\t4\n");
  // The row says which file it was; whether the solution passes is not checked as it runs.
  EXPECT_EQ(stored::rows(db(),
                         "SELECT count(*) FROM shift WHERE family = 'recode' AND "
                         "json_extract(config_json, '$.data_sha256') IS NOT NULL"),
            "4\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT count(*) FROM query WHERE label_preserved IS NOT NULL AND "
                         "shift_id IN (SELECT shift_id FROM shift WHERE family = 'recode')"),
            "0\n");
  const auto j = json::parse(moeval({"audit", "--db", db(), "--format", "json"}).out);
  ASSERT_EQ(j["tasks"].size(), 2u);
  const json& task = j["tasks"][0];
  ASSERT_EQ(task["shifts"].size(), 3u);
  std::map<std::string, int> pairs;
  for (const json& d : task["shifts"]) {
    EXPECT_EQ(d["k_drift"]["value"], 0) << d["shift"];
    pairs[d["shift"]] = d["n"];
  }
  EXPECT_EQ(pairs, (std::map<std::string, int>{{"recode.ChangeCharCase:0", 3},
                                               {"recode.ChangeCharCase:1", 1},
                                               {"recode.FuncRenameCamelCase:0", 4}}));
  ASSERT_EQ(task["robustness"].size(), 2u);
  EXPECT_EQ(task["robustness"][0]["method"], "ChangeCharCase");
  EXPECT_EQ(task["robustness"][0]["n"], 3);
  EXPECT_EQ(task["robustness"][0]["draws"], 2);
  EXPECT_EQ(task["robustness"][0]["forms"], 4);
  EXPECT_EQ(j["tasks"][1]["shifts"][0]["n"], 4);
  EXPECT_THAT(moeval({"audit", "--db", db()}).out, HasSubstr("in every form (RP)"));
  // Marked again with the same files; with others not.
  const std::vector<std::string> rescore = {"rescore", "--db", db(),
                                            "--data",  data(), "--allow-unverified"};
  EXPECT_EQ(moeval(rescore).code, 0);
  EXPECT_EQ(moeval({"leaderboard", "--db", db()}).code, 0);
  put("recode/perturbed_finalized/humaneval/full/format/humaneval_new_lines_s0.jsonl",
      line(0, "def add_0(x):\n\n\n", ""));
  r = moeval(rescore);
  EXPECT_EQ(r.code, 7) << r.err;
  EXPECT_THAT(r.err, HasSubstr("shift recode.new_lines:0: its official file has sha256"));
}

TEST_F(RecodeRun, OneFormIsShownWithItsEdits) {
  const std::vector<std::string> show = {
      "task",    "show", "humaneval", "--doc", "3",      "--data", data(), "--allow-unverified",
      "--model", moe(),  "--format",  "json",  "--shift"};
  auto args = show;
  args.push_back("recode.FuncRenameCamelCase:0");
  auto r = moeval(args);
  ASSERT_EQ(r.code, 0) << r.err;
  const auto j = json::parse(r.out);
  EXPECT_EQ(j["prompt"], "def Add3(x):\n    \"\"\"Add 3 to x.\"\"\"\n");
  EXPECT_EQ(j["guarantee"], "program_passes");
  EXPECT_EQ(j["edits"].size(), 2u);
  args.back() = "recode.ChangeCharCase";
  r = moeval(args);
  EXPECT_EQ(r.code, 3) << r.err;  // draws 2 to 4 have no files here
  EXPECT_THAT(r.err, HasSubstr("humaneval_ChangeCharCase_s2.jsonl.gz not found in"));
}

TEST_F(RecodeRun, WhatDoesNotFitIsRefused) {
  const auto refused = [&](const std::string& tasks, const std::string& shift, int code) {
    const auto r = moeval(asked("run", tasks, shift, {"--dry-run"}));
    EXPECT_EQ(r.code, code) << r.err;
    return r.err;
  };
  EXPECT_THAT(refused("humaneval", "recode.new_lines:0", 2),
              HasSubstr("cannot be applied to humaneval: it changes prompts that hold half of the "
                        "solution: ask humaneval_partial"));
  EXPECT_THAT(refused("humaneval_partial", "recode.ChangeCharCase:0", 2),
              HasSubstr("it changes HumanEval's own prompts: ask humaneval"));
  EXPECT_THAT(refused("humaneval", "recode.ChangeCharCases:0", 2),
              HasSubstr("the nearest is ChangeCharCase"));
  EXPECT_THAT(refused("humaneval", "recode", 3), HasSubstr("not found in"));
  // Without --allow-unverified only the pinned files are taken.
  const auto r = moeval({"run", "--model", moe(), "--tasks", "humaneval_partial", "--data", data(),
                         "--dry-run", "--db", db()});
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("humaneval_partial.jsonl: sha256"));
}

}  // namespace
