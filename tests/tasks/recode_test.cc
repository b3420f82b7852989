// ReCode's problems as shifts: what is taken from the official file, what is set right beside it,
// and which of its problems are left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "datasets/catalog.h"
#include "datasets/recode_files.h"
#include "tasks/shift.h"
#include "tasks/strict_json.h"

namespace tasks {
namespace {

using datasets::Sample;
using testing::HasSubstr;

Sample problem() {
  Sample s;
  s.id = "HumanEval/900";
  s.input = "def fib(n):\n    \"\"\"fib(n), as in books.\"\"\"\n";
  s.reference = "    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)  # fib\n";
  s.test = "def check(candidate):\n    assert candidate(3) == fib(2) + 1, 'fib'\n";
  s.entry_point = "fib";
  return s;
}

Shift shift_of(const std::string& label, const Sample& form) {
  Shift s = parse_shift(label);
  auto file = std::make_shared<datasets::Dataset>();
  file->samples = {form};
  s.forms = std::move(file);
  return s;
}

std::string why_not(const std::string& label, const Sample& form) {
  return apply_shift(shift_of(label, form), problem(), 0).why_not;
}

TEST(Recode, TakesThePromptAndUsesTheNewNameEverywhereInCode) {
  Sample form = problem();
  form.input = "def fbi(n):\n    \"\"\"fbi(n), as in books.\"\"\"\n";
  form.entry_point = "fbi";
  const Shift s = shift_of("recode.FuncRenameSwapChar:2", form);
  const auto out = apply_shift(s, problem(), 0);
  ASSERT_TRUE(out.shifted) << out.why_not;
  const Sample& now = out.shifted->sample;
  EXPECT_EQ(now.input, form.input);
  EXPECT_EQ(now.entry_point, "fbi");
  EXPECT_EQ(now.reference,
            "    if n < 2:\n        return n\n    return fbi(n - 1) + fbi(n - 2)  # fib\n");
  EXPECT_EQ(now.test, "def check(candidate):\n    assert candidate(3) == fbi(2) + 1, 'fib'\n");
  EXPECT_EQ(broken_guarantee(s, problem(), *out.shifted), "");
  EXPECT_EQ(undo_shift(*out.shifted).input, problem().input);
  EXPECT_EQ(guarantee_name(guarantee_of(s)), "program_passes");
  EXPECT_FALSE(shift_draws(s));
  // Another prompt than the file's is noticed.
  auto other = *out.shifted;
  other.sample.input += "#";
  EXPECT_NE(broken_guarantee(s, problem(), other), "");
}

TEST(Recode, TheSolutionIsIndentedWithTabsWhereThePromptIs) {
  Sample form = problem();
  form.input = "def fib(n):\n\t\"\"\"fib(n), as in books.\"\"\"\n";
  const auto out = apply_shift(shift_of("recode.tab_indent:0", form), problem(), 0);
  ASSERT_TRUE(out.shifted) << out.why_not;
  EXPECT_EQ(out.shifted->sample.reference,
            "\tif n < 2:\n\t\treturn n\n\treturn fib(n - 1) + fib(n - 2)  # fib\n");
}

TEST(Recode, EditsNeverCutACharacter) {
  Sample clean = problem(), form = problem();
  clean.input += "# \xC3\xA9";  // two characters with their first byte in common
  form.input += "# \xC3\xA8";
  const Shift s = shift_of("recode.ChangeCharCase:0", form);
  const auto out = apply_shift(s, clean, 0);
  ASSERT_TRUE(out.shifted);
  EXPECT_EQ(out.shifted->edits.at(0).before, "\xC3\xA9");
  EXPECT_EQ(broken_guarantee(s, clean, *out.shifted), "");
}

TEST(Recode, LeavesOutWhatIsNoPairAndSaysWhy) {
  Sample form = problem();
  EXPECT_EQ(why_not("recode.ChangeCharCase:0", form), "the official file leaves it as it is");
  form.input = "def fib(n):\n    \"\"\"FIB(n), as in books.\n     \" \" \"\n";
  EXPECT_EQ(why_not("recode.SynonymInsertion:0", form),
            "the official file breaks the quotes of its description");
  form.input = "def fib(n):\n    \"\"\"FIB(n)\"\"\"\n";
  EXPECT_EQ(why_not("recode.ChangeCharCase:0", form), "");
  form.test += "    assert candidate(1) == 1\n";
  EXPECT_EQ(why_not("recode.ChangeCharCase:0", form),
            "its tests are others than the official file's");
  form.id = "HumanEval/901";
  EXPECT_EQ(why_not("recode.ChangeCharCase:0", form), "the official file has no such problem");
  EXPECT_EQ(apply_shift(parse_shift("recode.ChangeCharCase:0"), problem(), 0).why_not,
            "ReCode's official files were not given");
  // One whose solution is known to fail.
  Sample clean = problem();
  clean.id = "HumanEval/91";
  form = clean;
  form.input = "def fib(n):\n    \"\"\"FIB(n)\"\"\"\n";
  EXPECT_EQ(apply_shift(shift_of("recode.OperandSwap:0", form), clean, 0).why_not,
            "its solution fails in the official file");
}

TEST(Recode, ItsLabelsNameMethodAndDraw) {
  const Shift s = parse_shift("recode.new_lines:9");
  EXPECT_EQ(s.family, ShiftFamily::recode);
  EXPECT_EQ(s.severity, 9);
  EXPECT_EQ(shift_name(s), "recode.new_lines");
  EXPECT_EQ(shift_label(s), "recode.new_lines:9");
  const auto error = [](const char* text) -> std::string {
    try {
      parse_shift(text);
    } catch (const TaskError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error("recode.new_line:0"), HasSubstr("the nearest is new_lines"));
  EXPECT_THAT(error("recode:1"), HasSubstr("ReCode has no method"));
  EXPECT_THAT(error("recode.tab_indent:1"), HasSubstr("want recode.tab_indent:draw, draw 0 to 0"));
  EXPECT_THAT(error("recode.new_lines"), HasSubstr("draw 0 to 9"));
  EXPECT_THAT(error("recode.new_lines:10"), HasSubstr("draw 0 to 9"));
  EXPECT_THAT(error("neutral.recode:1"), HasSubstr("matched to a family that adds text"));
  EXPECT_THAT(why_never(s, true, false), HasSubstr("it changes code"));
  for (const auto& name : shift_families()) EXPECT_NE(name, "recode");
}

// Of each method's first file: which problems are asked, and that each keeps the family's rules.
TEST(Recode, OfficialFormsHoldTheirGuarantee) {
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) GTEST_SKIP() << "MOEVAL_DATA is not set: no official data";
  const auto whole = datasets::load("humaneval", roots, {});
  const auto partial = datasets::load("recode", roots, {});
  std::map<std::string, int> asked, why;
  for (const auto& m : datasets::recode_methods()) {
    Shift s = parse_shift("recode." + std::string(m.name) + ":0");
    s.forms = std::make_shared<datasets::Dataset>(datasets::load_recode(m, 0, roots));
    for (const Sample& sample : (m.is_partial() ? partial : whole).samples) {
      const auto out = apply_shift(s, sample, 0);
      if (!out.shifted) {
        ++why[out.why_not];
        continue;
      }
      ++asked[s.method];
      ASSERT_EQ(broken_guarantee(s, sample, *out.shifted), "")
          << shift_label(s) << " " << sample.id;
    }
  }
  EXPECT_EQ(asked.size(), 28u);
  EXPECT_FALSE(asked.contains("FuncRenameSynonymSub"));  // its first file changes nothing
  EXPECT_EQ(asked["ButterFingersPerturbation"], 164);
  EXPECT_EQ(asked["SynonymInsertion"], 153 - 88);
  EXPECT_EQ(asked["WhitespacePerturbation"], 160 - 17);
  EXPECT_EQ(asked["split_lines"], 133 - 7);
  EXPECT_EQ(asked["tab_indent"], 164 - 3);
  EXPECT_EQ(why["the official file breaks the quotes of its description"], 88 + 88 + 17 + 28);
  EXPECT_EQ(why.size(), 3u);  // besides: as it is; its solution fails
}

}  // namespace
}  // namespace tasks
