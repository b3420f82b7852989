// Owns the way from a data set's name to its samples: finds the official files, holds them against
// the pinned hashes, or falls back to the suite that is built into the program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/recode_files.h"
#include "datasets/sample.h"

namespace datasets {

struct LoadOptions {
  std::string split = "test";     // MMLU: dev, val or test; the others have test only
  bool require_official = false;  // no embedded suite, no unpinned file: origin will be "official"
  // Accept files whose SHA-256 is not pinned, and a folder with some of the subjects only; origin
  // is then "unverified". Ignored with require_official.
  bool allow_unverified = false;
};

// What `load` can name.
struct DatasetInfo {
  std::string name;
  std::string licence;
  std::string source;                         // where to get it
  std::map<std::string, int64_t> split_rows;  // of the official or the embedded files
  bool is_embedded = false;
};

// mmlu, humaneval, humaneval_plus, mbpp, recode, xstest, harmbench, gsm8k, gsm_plus, bbh, cmmlu,
// mmlu_pro, mmlu_redux
// (official); mmlu_embedded, humaneval_embedded, ladder, ladder_train, ladder_shifted (in the
// program).
std::vector<DatasetInfo> dataset_infos();

// Looks for the data set's files in each root in turn; the first that has them is used:
//   mmlu           ROOT/mmlu, ROOT/mmlu/data, ROOT/data or ROOT itself with {dev,val,test}/*.csv
//   humaneval      HumanEval.jsonl[.gz] in ROOT/humaneval/data, ROOT/humaneval, ROOT/data or ROOT
//   humaneval_plus HumanEvalPlus-OriginFmt.jsonl[.gz] in ROOT/humaneval-plus, ROOT/humaneval_plus
//                  or ROOT
//   mbpp           mbpp.jsonl[.gz] in ROOT/mbpp or ROOT
//   recode         humaneval_partial.jsonl[.gz] in ROOT/recode/nominal, ROOT/nominal or ROOT: the
//                  problems that ReCode's changes of code begin with
//   xstest         xstest_prompts.csv in ROOT/xstest or ROOT
//   harmbench      harmbench_behaviors_text_all.csv in ROOT/harmbench/behavior_datasets,
//                  ROOT/harmbench, ROOT/behavior_datasets or ROOT
//   gsm8k          {test,train}.jsonl[.gz] in ROOT/gsm8k or ROOT/grade_school_math/data
//   gsm_plus       gsmplus_testmini.jsonl[.gz] in ROOT/gsm-plus, ROOT/gsm_plus or ROOT; GSM8K's
//                  training file as above in the same root
//   bbh            bbh/*.json and cot-prompts/*.txt in ROOT/bbh, ROOT/BIG-Bench-Hard or ROOT
//   cmmlu          ROOT/cmmlu, ROOT/cmmlu/data, ROOT/data or ROOT itself with {dev,test}/*.csv
//   mmlu_pro       test.jsonl[.gz] in ROOT/mmlu-pro or ROOT/mmlu_pro
//   mmlu_redux     mmlu_*.csv in ROOT/mmlu-redux/mmlu_redux, ROOT/mmlu_redux or ROOT
// Found nowhere: of mmlu and humaneval the embedded suite (Dataset::name "mmlu_embedded", sample
// ids "mmlu_embedded/...", "Embedded/N", origin "embedded"), unless require_official. DataError:
// unknown name (with the nearest) or split; a root that does not exist; files missing, damaged, or
// with another SHA-256 than pinned (both are named).
Dataset load(std::string_view name, const std::vector<std::filesystem::path>& search_roots,
             const LoadOptions& = {});

// The problems of one of ReCode's perturbed files, ROOT/recode/PATH[.gz] or ROOT/PATH[.gz] of
// recode_path(). DataError as above.
Dataset load_recode(const RecodeMethod&, int draw,
                    const std::vector<std::filesystem::path>& search_roots,
                    const LoadOptions& = {});

// The folder in environment variable MOEVAL_DATA, if set and not empty.
std::vector<std::filesystem::path> default_search_roots();

}  // namespace datasets
