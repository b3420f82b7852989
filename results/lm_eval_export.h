// Owns the files of lm-eval's result format (0.4.x): results_<time>.json and one
// samples_<task>_<time>.jsonl a task. The caller gives the numbers; nothing is computed here but
// hashes. What lm-eval has no word for stands in blocks named `moeval`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "results/store_error.h"

namespace results {

struct LmEvalMetric {
  std::string name;             // acc, acc_norm, pass@1
  std::string filter = "none";  // create_test for pass@1
  double value = 0;
  std::optional<double> standard_error;  // absent: "N/A"
  bool higher_is_better = true;
};

struct LmEvalRequest {
  std::string context;
  std::string continuation;              // choose
  std::string gen_kwargs_json;           // generate: settings as a JSON object; empty for choose
  std::optional<double> logprob_nats;    // choose
  bool is_greedy = false;                // choose
  std::vector<std::string> generations;  // generate, one per repeat
};

struct LmEvalSample {
  int64_t doc_id = 0;    // zero-based in the split
  std::string doc_json;  // the item as a JSON object
  std::string target;
  std::vector<LmEvalRequest> requests;  // one per option, or one for generation
  std::vector<std::string> filtered;    // generate: what was marked, one per repeat
  std::string filter = "none";
  std::vector<std::pair<std::string, double>> metrics;  // of this item
  std::optional<double> experts;                        // mean per token and layer
  std::optional<int64_t> useful_flops, executed_flops;
  std::optional<double> latency_ms;
};

struct LmEvalTask {
  std::string name;             // mmlu_virology, humaneval
  std::string alias;            // empty: the name
  std::string version = "1.0";  // a number is written as one
  int64_t n_shot = 0;
  int64_t n_original = 0, n_effective = 0;
  std::string config_json = "{}";
  std::vector<LmEvalMetric> metrics;
  std::vector<LmEvalSample> samples;  // may be empty: no samples file
  std::string moeval_json = "{}";     // experts, FLOPs, latency, chance, n
};

struct LmEvalGroup {  // mmlu over its subjects, or over groups of them
  std::string name, alias;
  std::string version = "1.0";
  std::vector<std::string> subtasks;
  std::vector<LmEvalMetric> metrics;
  int64_t sample_count = 0;
};

struct LmEvalReport {
  std::string model_source = "moeval";
  std::string model_name;  // folder name too, made safe
  std::string model_args;
  std::optional<int64_t> model_num_parameters;
  std::string model_dtype, model_revision, model_sha;
  std::string batch_size, device = "cpu";
  std::optional<double> limit;
  std::string gen_kwargs;
  int64_t seed = 0;
  std::string git_hash;
  double date = 0;          // unix seconds
  std::string time;         // of the file names: local ISO 8601, e.g. 2026-01-31T12:34:56.789012
  std::string environment;  // one text: machine, build
  std::string tool_version;
  // pad, eos, bos: token and its id as text
  std::map<std::string, std::pair<std::string, std::string>> tokenizer_tokens;
  std::optional<int64_t> eot_token_id, max_length;
  std::optional<std::string> system_instruction, chat_template;
  bool fewshot_as_multiturn = false;
  double total_evaluation_time_s = 0;
  std::vector<LmEvalTask> tasks;
  std::vector<LmEvalGroup> groups;
  std::string moeval_json = "{}";
};

// Writes below `output` (a folder; or a name ending in .json: <stem>_<time>.json beside it).
// Returns the files written, the results first. Throws StoreError naming the file.
std::vector<std::filesystem::path> write_lm_eval_files(const std::filesystem::path& output,
                                                       const LmEvalReport&);

// Any run of "<>:/|\?*[] becomes two underscores, as lm-eval names its folders.
std::string sanitise_model_name(const std::string&);

}  // namespace results
