// Owns what the whole-program tests share: a tiny model, a folder, and the stored table as text.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/harness/program.h"
#include "tests/harness/stored_table.h"
#include "tests/support/tiny_model_folder.h"

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    // Nothing of the user's: no official data, no cached model.
    setenv("MOEVAL_CACHE", (folder_.path() / "cache").c_str(), 1);
    unsetenv("MOEVAL_DATA");
    support::write_tiny_model(model());
  }

  // A mixture of 16 experts beside the dense model.
  std::filesystem::path moe() const {
    const auto path = folder_.path() / "tiny_moe";
    if (!std::filesystem::exists(path)) support::write_tiny_model(path, {.n_experts = 16});
    return path;
  }

  std::filesystem::path model() const { return folder_.path() / "tiny"; }
  std::string db(const std::string& name = "run.db") const { return folder_.path() / name; }
  program::Result moeval(const std::vector<std::string>& args) const {
    return program::run(folder_.path(), args);
  }
  // moeval run on the tiny model and the built-in suites.
  std::vector<std::string> run_args(const std::string& tasks, const std::string& database,
                                    std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"run",    "--model",  model(), "--tasks", tasks,
                                     "--data", "embedded", "--db",  database};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }

  // Everything stored about the attempts but times, ids, chain values and which session it was.
  static std::string table(const std::string& database, bool compute_shares = true) {
    const std::string shares =
        compute_shares ? ", a.prefix_tokens, a.prefix_sha256, a.executed_attention_flops, "
                         "a.executed_experts_flops, a.executed_head_flops"
                       : "";
    return stored::rows(
               database,
               "SELECT a.ordinal, t.name, s.source_key, a.repeat_ix, a.try_ix, a.seed, a.status, "
               "a.status_detail, a.finish_reason, a.k_requested, a.k_mean, a.prompt_tokens, "
               "a.output_tokens, a.useful_attention_flops, a.useful_experts_flops, "
               "a.useful_head_flops, printf('%!.17g', a.reference_logprob_nats), "
               "a.reference_tokens, x.body, "
               "v.scorer, v.outcome, v.answer, v.correct, v.score, printf('%!.17g', "
               "v.margin_nats), "
               "printf('%!.17g', v.gold_nll_nats), v.detail" +
                   shares +
                   " FROM attempt a JOIN query q USING(query_id) JOIN sample s USING(sample_id) "
                   "JOIN task t USING(task_id) JOIN verdict v USING(attempt_id) LEFT JOIN text x "
                   "ON x.text_id = a.output_text_id ORDER BY a.ordinal, a.try_ix") +
           stored::rows(
               database,
               "SELECT a.ordinal, o.option_ix, printf('%!.17g', o.logprob_nats), o.n_tokens FROM "
               "attempt_option o JOIN attempt a USING(attempt_id) ORDER BY 1, 2");
  }

  support::TempFolder folder_;
};
