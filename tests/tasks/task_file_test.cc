#include "tasks/task_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tasks/definitions.h"
#include "tasks/task.h"

namespace tasks {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json built_in(std::string_view name) {
  for (const Definition& d : definitions())
    if (d.name == name) return json::parse(d.json);
  throw std::runtime_error("no such definition");
}

std::string error_of(const std::string& text) {
  try {
    parse_task_file(text, "my.json");
    return "no error";
  } catch (const TaskError& e) {
    return e.what();
  }
}

// The built-in task `name` with one change, given as a JSON merge patch.
std::string error_with(std::string_view name, const char* patch) {
  json value = built_in(name);
  value.merge_patch(json::parse(patch));
  return error_of(value.dump());
}

TEST(BuiltInTasks, AreKnownAndEachIsNamedLikeItsFile) {
  EXPECT_THAT(
      task_names(),
      ElementsAre("bbh", "cmmlu", "gsm8k", "gsm_plus", "harmbench", "humaneval",
                  "humaneval_instruct", "humaneval_partial", "humaneval_plus", "ladder",
                  "ladder_shifted", "ladder_train", "mbpp", "mmlu", "mmlu_cloze", "mmlu_lmeval",
                  "mmlu_pro", "mmlu_pro_cloze", "mmlu_redux", "mmlu_redux_cloze", "xstest"));
  for (const std::string& name : task_names()) {
    const auto task = make_task(name);
    EXPECT_EQ(task->name(), name);
    EXPECT_FALSE(task->description().empty());
    EXPECT_EQ(task->runs_code(), task->suite() == "humaneval" || task->suite() == "mbpp");
    EXPECT_EQ(task->chance().has_value(), task->is_marked() && name != "bbh");
    EXPECT_EQ(task->is_marked(), task->suite() != "safety");
  }
}

TEST(BuiltInTasks, HaveThePublishedMetricsScorersAndShots) {
  const auto row = [](const char* name) {
    const auto t = make_task(name);
    return t->dataset() + " " + t->metric() + " " + t->scorer() + " " +
           std::to_string(t->num_fewshot());
  };
  EXPECT_EQ(row("mmlu"), "mmlu acc argmax_logprob/1 5");
  EXPECT_EQ(row("mmlu_lmeval"), "mmlu acc argmax_logprob/1 0");
  EXPECT_EQ(row("mmlu_cloze"), "mmlu acc_norm argmax_logprob_per_char/1 0");
  EXPECT_EQ(row("cmmlu"), "cmmlu acc argmax_logprob/1 5");
  EXPECT_EQ(row("mmlu_pro"), "mmlu_pro acc argmax_logprob/1 0");
  EXPECT_EQ(row("mmlu_pro_cloze"), "mmlu_pro acc_norm argmax_logprob_per_char/1 0");
  EXPECT_EQ(row("mmlu_redux"), "mmlu_redux acc argmax_logprob/1 0");
  EXPECT_EQ(row("mmlu_redux_cloze"), "mmlu_redux acc_norm argmax_logprob_per_char/1 0");
  EXPECT_EQ(row("humaneval"), "humaneval pass@1 python_tests_completion/1 0");
  EXPECT_EQ(row("humaneval_instruct"), "humaneval pass@1 python_tests_before_fence/1 0");
  EXPECT_EQ(row("humaneval_plus"), "humaneval_plus pass@1 python_tests_completion/1 0");
  EXPECT_EQ(row("humaneval_partial"), "recode pass@1 python_tests_completion/1 0");
  EXPECT_EQ(row("mbpp"), "mbpp pass@1 python_tests_program/1 3");
  EXPECT_EQ(row("gsm8k"), "gsm8k exact_match gsm_strict/1 5");
  EXPECT_EQ(row("gsm_plus"), "gsm_plus exact_match gsm_plus/1 5");
  EXPECT_EQ(row("bbh"), "bbh exact_match answer_is/1 3");
}

TEST(MakeTask, ShotsCanBeChangedAndEnterTheResolvedFile) {
  const auto task = make_task("mmlu_lmeval", {5});
  EXPECT_EQ(task->num_fewshot(), 5);
  EXPECT_EQ(json::parse(task->config_json())["num_fewshot"], 5);
  EXPECT_NE(task->config_json(), make_task("mmlu_lmeval")->config_json());
  EXPECT_EQ(make_task("humaneval", {5})->num_fewshot(), 0);
  EXPECT_EQ(make_task("mbpp", {1})->num_fewshot(), 1);
  EXPECT_EQ(json::parse(make_task("mbpp", {1})->config_json())["num_fewshot"], 1);
  EXPECT_THROW(make_task("mmlu", {-1}), TaskError);
}

TEST(MakeTask, UnknownNamesAreAnsweredWithTheNearest) {
  try {
    make_task("humanevl");
    FAIL() << "no error";
  } catch (const TaskError& e) {
    EXPECT_THAT(e.what(), HasSubstr("unknown task \"humanevl\", the nearest is humaneval"));
  }
  try {
    make_task("gsm8k_platinum_cot");
    FAIL() << "no error";
  } catch (const TaskError& e) {
    EXPECT_THAT(e.what(), HasSubstr("want one of bbh, cmmlu, gsm8k, gsm_plus, harmbench"));
  }
}

class TempFile {
 public:
  explicit TempFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() /
              ("moeval_task_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
               "_" + std::to_string(reinterpret_cast<uintptr_t>(this)) + ".json")) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TempFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(MakeTask, ReadsAUsersOwnFile) {
  json value = built_in("mmlu_cloze");
  value["task"] = "my_cloze";
  value["normalise"] = "bytes";
  const TempFile file(value.dump());
  const auto task = make_task(file.path());
  EXPECT_EQ(task->name(), "my_cloze");
  EXPECT_EQ(task->scorer(), "argmax_logprob_per_byte/1");
}

TEST(MakeTask, FilesThatCannotBeReadAreNamed) {
  EXPECT_THROW(
      {
        try {
          make_task("/nonexistent/x.json");
        } catch (const TaskError& e) {
          EXPECT_STREQ(e.what(), "/nonexistent/x.json: No such file or directory");
          throw;
        }
      },
      TaskError);
  EXPECT_THROW(make_task("missing.json"), TaskError);
  EXPECT_THROW(make_task("/"), TaskError);
  const TempFile big(std::string((1 << 20) + 1, ' '));
  EXPECT_THROW(make_task(big.path()), TaskError);
}

TEST(TaskFile, DefaultsAreFilledIntoTheResolvedFile) {
  const TaskSpec spec = parse_task_file(
      R"({"task": "t", "kind": "choose", "description": "d", "dataset": "mmlu",
          "prompt": {"header": "", "item": "{{ question }}"}, "option": "{{letter}}"})",
      "my.json");
  EXPECT_EQ(spec.suite, "t");
  EXPECT_EQ(spec.separator, "\n\n");
  EXPECT_EQ(spec.truncation, Truncation::fail);
  EXPECT_FALSE(spec.chance.has_value());
  const json resolved = json::parse(spec.json);
  EXPECT_EQ(resolved["version"], 1);
  EXPECT_EQ(resolved["normalise"], "none");
  EXPECT_EQ(resolved["prompt"]["strip_question"], false);
  EXPECT_EQ(parse_task_file(spec.json, "again").json, spec.json);
}

TEST(TaskFile, UnknownKeysNameThePointerAndTheNearestKey) {
  EXPECT_EQ(error_with("mmlu", R"({"num_fewshots": 5})"),
            "my.json: /num_fewshots: unknown key, the nearest known key is \"num_fewshot\"");
  EXPECT_EQ(error_with("mmlu", R"({"prompt": {"strip": true}})"),
            "my.json: /prompt/strip: unknown key, want one of header, item, separator, "
            "strip_question, wordings");
  EXPECT_EQ(error_with("mmlu_cloze", R"({"prompt": {"wordings": [{"header": "x"}]}})"),
            "my.json: /prompt/wordings/0/item: is missing");
  EXPECT_EQ(error_with("mmlu_cloze", R"({"prompt": {"wordings": 1}})"),
            "my.json: /prompt/wordings: is a number, want an array of objects");
  EXPECT_EQ(error_with("humaneval", R"({"generation": {"max_tokens": 5}})"),
            "my.json: /generation/max_tokens: unknown key, the nearest known key is "
            "\"max_new_tokens\"");
  // A key of the other kind is unknown here.
  EXPECT_THAT(error_with("humaneval", R"({"normalise": "chars"})"),
              HasSubstr("/normalise: unknown"));
  EXPECT_THAT(error_with("mmlu", R"({"a\nb": 1})"), HasSubstr("/a\\nb: unknown key"));
}

TEST(TaskFile, WrongTypesNameThePointerAndBothTypes) {
  EXPECT_EQ(error_with("mmlu", R"({"num_fewshot": "5"})"),
            "my.json: /num_fewshot: is a string, want an integer");
  EXPECT_EQ(error_with("mmlu", R"({"num_fewshot": 5.5})"),
            "my.json: /num_fewshot: is a number, want an integer");
  EXPECT_EQ(error_with("mmlu", R"({"prompt": {"strip_question": 1}})"),
            "my.json: /prompt/strip_question: is a number, want true or false");
  EXPECT_EQ(error_with("mmlu", R"({"prompt": []})"),
            "my.json: /prompt: is an array, want an object");
  EXPECT_EQ(error_with("mmlu", R"({"option": {}})"),
            "my.json: /option: is an object, want a string");
  EXPECT_EQ(error_with("humaneval", R"({"generation": {"stops": ["a", 1]}})"),
            "my.json: /generation/stops/1: is a number, want a string");
  EXPECT_EQ(error_with("humaneval", R"({"generation": {"stops": "a"}})"),
            "my.json: /generation/stops: is a string, want an array of strings");
  EXPECT_EQ(error_of("[]"), "my.json: (whole file): is an array, want an object");
}

TEST(TaskFile, WrongValuesNameThePointerAndWhatIsAllowed) {
  EXPECT_EQ(error_with("mmlu", R"({"num_fewshot": -1})"),
            "my.json: /num_fewshot: is -1, want 0 to 1000");
  EXPECT_EQ(error_with("mmlu", R"({"num_fewshot": 18446744073709551615})"),
            "my.json: /num_fewshot: is 18446744073709551615, want 0 to 1000");
  EXPECT_EQ(error_with("mmlu", R"({"chance": 1.5})"), "my.json: /chance: is 1.5, want 0 to 1");
  EXPECT_EQ(error_with("mmlu", R"({"normalise": "char"})"),
            "my.json: /normalise: is \"char\", want one of none, chars, bytes, tokens (nearest: "
            "chars)");
  EXPECT_EQ(
      error_with("mmlu", R"({"kind": "chose"})"),
      "my.json: /kind: is \"chose\", want one of choose, code, prompt, match (nearest: choose)");
  EXPECT_EQ(error_with("mmlu", R"({"task": "My Task"})"),
            "my.json: /task: is \"My Task\", want 1 to 64 of a-z, 0-9 and _");
  EXPECT_EQ(error_with("humaneval", R"({"generation": {"stops": [""]}})"),
            "my.json: /generation/stops/0: is empty, want at least one character");
  EXPECT_EQ(error_with("humaneval", R"({"generation": {"top_p": 0}})"),
            "my.json: /generation/top_p: is 0, want 1e-06 to 1");
}

TEST(TaskFile, MissingKeysAreNamed) {
  EXPECT_EQ(error_with("mmlu", R"({"dataset": null})"), "my.json: /dataset: is missing");
  EXPECT_EQ(error_with("mmlu", R"({"prompt": {"item": null}})"),
            "my.json: /prompt/item: is missing");
  EXPECT_EQ(error_of("{}"), "my.json: /kind: is missing");
}

TEST(TaskFile, PromptMarksAreChecked) {
  EXPECT_EQ(error_with("mmlu", R"({"prompt": {"item": "{{queston}}"}})"),
            "my.json: /prompt/item: unknown field \"queston\", want one of subject, question, "
            "lettered_choices");
  EXPECT_EQ(error_with("mmlu", R"({"prompt": {"item": "a {{question"}})"),
            "my.json: /prompt/item: a mark opened with {{ is not closed: \"{{question\"");
  EXPECT_EQ(error_with("mmlu", R"({"prompt": {"item": "no question"}})"),
            "my.json: /prompt/item: has {{question}} 0 times, want once");
  EXPECT_EQ(error_with("mmlu", R"({"option": " A"})"),
            "my.json: /option: has neither {{letter}} nor {{choice}}, so all options would be "
            "equal");
  EXPECT_EQ(error_with("humaneval", R"({"prompt": {"user": "{{prompt}}"}})"),
            "my.json: /prompt/item: stands beside user or prefill, want one form");
}

TEST(TaskFile, TextThatIsNotJsonIsNamedWithItsPlace) {
  EXPECT_THAT(error_of("{\"task\": \"a\",\n \"kind\" 3}"),
              testing::AllOf(HasSubstr("my.json: not JSON: parse error at line 2, column 9"),
                             testing::Not(HasSubstr("\n"))));
  EXPECT_THAT(error_of(""), HasSubstr("my.json: not JSON"));
  EXPECT_THAT(error_of("{\"task\": \"\xff\"}"), HasSubstr("my.json: not JSON"));
  EXPECT_EQ(error_of(R"({"task": "a", "task": "b"})"),
            "my.json: the key \"task\" occurs twice in one object");
  EXPECT_EQ(error_of(std::string(100000, '[')), "my.json: is nested deeper than 8 levels");
}

}  // namespace
}  // namespace tasks
