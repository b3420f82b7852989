// The exported files have the keys, names and hashes of lm-eval's format.
#include "results/lm_eval_export.h"

#include <nlohmann/json.hpp>

#include "tests/results/store_fixture.h"

namespace results {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using ExportTest = StoreTest;

// Also written by hand for lm-eval's own code: results/experiments/lm_eval_export.md.
LmEvalReport planted_report() {
  LmEvalReport r;
  r.model_name = "planted/model:q4";
  r.model_args = "model=planted";
  r.model_num_parameters = 135000000;
  r.model_dtype = "q4_1";
  r.date = 1795000000.5;
  r.time = "2026-11-23T18:00:00.123456";
  r.tool_version = "0.1.0";
  r.seed = 7;
  r.tokenizer_tokens = {{"eos", {"<|im_end|>", "2"}}};
  r.moeval_json = R"({"run_uuid": "abc-1"})";
  for (const char* subject : {"anatomy", "virology"}) {
    LmEvalTask t;
    t.name = std::string("mmlu_") + subject;
    t.alias = subject;
    t.n_shot = 5;
    t.n_original = 100;
    t.n_effective = 2;
    t.config_json = R"({"task": "mmlu", "num_fewshot": 5})";
    t.metrics = {{"acc", "none", 0.5, 0.5, true}};
    t.moeval_json = R"({"chance": 0.25, "mean_k": 1.0})";
    for (int i = 0; i < 2; ++i) {
      LmEvalSample s;
      s.doc_id = i;
      s.doc_json = R"({"question": "Wh\u00e4t?", "choices": ["a", "b"], "answer": 1})";
      s.target = "1";
      for (int c = 0; c < 4; ++c) {
        LmEvalRequest q;
        q.context = "Question\nAnswer:";
        q.continuation = std::string(" ") + static_cast<char>('A' + c);
        q.logprob_nats = -1.5 - c;
        q.is_greedy = c == 0;
        s.requests.push_back(q);
      }
      s.metrics = {{"acc", i == 0 ? 1.0 : 0.0}};
      s.experts = 1;
      s.useful_flops = 123456789012;
      t.samples.push_back(s);
    }
    r.tasks.push_back(t);
  }
  LmEvalTask code;
  code.name = "humaneval";
  code.n_original = 164;
  code.n_effective = 1;
  code.metrics = {{"pass@1", "create_test", 1.0, {}, true}};
  LmEvalSample s;
  s.doc_json = R"({"task_id": "HumanEval/0"})";
  s.target = "check(f)";
  s.filter = "create_test";
  LmEvalRequest q;
  q.context = "def f():\n";
  q.gen_kwargs_json = R"({"until": ["\nclass"], "max_gen_toks": 1024})";
  q.generations = {"    return 1"};
  s.requests = {q};
  s.filtered = {"def f():\n    return 1"};
  s.metrics = {{"pass@1", 1.0}};
  code.samples = {s};
  r.tasks.push_back(code);
  LmEvalGroup g;
  g.name = "mmlu";
  g.subtasks = {"mmlu_anatomy", "mmlu_virology"};
  g.metrics = {{"acc", "none", 0.5, 0.25, true}};
  g.sample_count = 4;
  r.groups = {g};
  return r;
}

TEST_F(ExportTest, ResultsAndSamplesLieWhereLmEvalPutsThem) {
  const auto files = write_lm_eval_files(folder_ / "out", planted_report());
  ASSERT_EQ(files.size(), 4u);
  const auto folder = folder_ / "out" / "planted__model__q4";
  EXPECT_EQ(files[0], folder / "results_2026-11-23T18-00-00.123456.json");
  EXPECT_EQ(files[1], folder / "samples_mmlu_anatomy_2026-11-23T18-00-00.123456.jsonl");
  const auto named = write_lm_eval_files(folder_ / "night.json", planted_report());
  EXPECT_EQ(named[0], folder_ / "night_2026-11-23T18-00-00.123456.json");
}

TEST_F(ExportTest, ResultsHaveTheKeysOfLmEval) {
  const auto files = write_lm_eval_files(folder_, planted_report());
  const json j = json::parse(bytes_of(files[0]));
  for (const char* key : {"results",
                          "groups",
                          "group_subtasks",
                          "configs",
                          "versions",
                          "n-shot",
                          "higher_is_better",
                          "n-samples",
                          "config",
                          "git_hash",
                          "date",
                          "pretty_env_info",
                          "transformers_version",
                          "lm_eval_version",
                          "upper_git_hash",
                          "tokenizer_pad_token",
                          "tokenizer_eos_token",
                          "tokenizer_bos_token",
                          "eot_token_id",
                          "max_length",
                          "task_hashes",
                          "model_source",
                          "model_name",
                          "model_name_sanitized",
                          "system_instruction",
                          "system_instruction_sha",
                          "fewshot_as_multiturn",
                          "chat_template",
                          "chat_template_sha",
                          "total_evaluation_time_seconds",
                          "moeval"})
    EXPECT_TRUE(j.contains(key)) << key;
  EXPECT_EQ(j["results"]["mmlu_anatomy"]["acc,none"], 0.5);
  EXPECT_EQ(j["results"]["mmlu_anatomy"]["sample_len"], 2);
  EXPECT_EQ(j["results"]["humaneval"]["pass@1,create_test"], 1.0);
  EXPECT_EQ(j["results"]["humaneval"]["pass@1_stderr,create_test"], "N/A");
  EXPECT_EQ(j["groups"]["mmlu"]["acc_stderr,none"], 0.25);
  EXPECT_EQ(j["groups"]["mmlu"]["sample_count"]["acc,none"], 4);
  EXPECT_EQ(j["group_subtasks"]["mmlu"], json({"mmlu_anatomy", "mmlu_virology"}));
  EXPECT_EQ(j["n-samples"]["mmlu_virology"]["original"], 100);
  EXPECT_EQ(j["higher_is_better"]["humaneval"]["pass@1"], true);
  EXPECT_EQ(j["versions"]["mmlu"], 1.0);
  EXPECT_EQ(j["moeval"]["tasks"]["mmlu_anatomy"]["chance"], 0.25);
}

TEST_F(ExportTest, SamplesHaveTextResponsesAndHashesOfTheirBytes) {
  const auto files = write_lm_eval_files(folder_, planted_report());
  std::ifstream in(files[1]);
  std::string line;
  int n = 0;
  while (std::getline(in, line)) {
    const json j = json::parse(line);
    EXPECT_EQ(j["doc_id"], n++);
    EXPECT_EQ(j["arguments"]["gen_args_2"]["arg_1"], " C");
    EXPECT_EQ(j["resps"][1], json::array({json::array({"-2.5", "False"})}));
    EXPECT_EQ(j["filtered_resps"][0], json({"-1.5", "True"}));
    EXPECT_EQ(j["metrics"], json({"acc"}));
    // python3: sha256(json.dumps(doc, indent=2, ensure_ascii=False)), sha256("1")
    EXPECT_EQ(j["doc_hash"], "bead3bbcf1e546b203b86907f10793a06f3130d3776f930797626462a54c6fe1");
    EXPECT_EQ(j["target_hash"], "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
    EXPECT_EQ(j["moeval"]["useful_flops"], 123456789012);
    EXPECT_TRUE(j["moeval"]["latency_ms"].is_null());
  }
  EXPECT_EQ(n, 2);
  const json code = json::parse(bytes_of(files[3]));
  EXPECT_EQ(code["resps"], json::array({json::array({"    return 1"})}));
  EXPECT_EQ(code["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"], 1024);
}

TEST_F(ExportTest, WhatCannotBeWrittenIsNamed) {
  std::ofstream(folder_ / "file") << "x";
  EXPECT_THAT(
      message_of<StoreError>([&] { write_lm_eval_files(folder_ / "file", planted_report()); }),
      HasSubstr("file"));
  LmEvalReport bad = planted_report();
  bad.tasks[0].samples[0].doc_json = "[1";
  EXPECT_THAT(message_of<StoreError>([&] { write_lm_eval_files(folder_, bad); }),
              HasSubstr("item 0"));
}

// For the recorded check with lm-eval's own code: MOEVAL_EXPORT_TO=folder keeps the files.
TEST_F(ExportTest, PlantedReportIsKeptOnRequest) {
  const char* folder = std::getenv("MOEVAL_EXPORT_TO");
  if (folder == nullptr) GTEST_SKIP() << "MOEVAL_EXPORT_TO is not set";
  EXPECT_EQ(write_lm_eval_files(folder, planted_report()).size(), 4u);
}

}  // namespace
}  // namespace results
