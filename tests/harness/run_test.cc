// The main job through the program: rows, invariants, repetition, and what the other commands make
// of a stored run.
#include "tests/harness/run_fixture.h"

namespace {

using testing::Test;

TEST_F(RunTest, EveryQueryBecomesARow) {
  const auto r = moeval(
      run_args("mmlu_cloze,mmlu,humaneval", db(), {"--limit", "1", "--max-new-tokens", "8"}));
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(stored::rows(db(),
                         "SELECT t.name, count(*), count(useful_attention_flops), "
                         "count(latency_us), count(v.outcome) FROM attempt JOIN query "
                         "USING(query_id) JOIN sample USING(sample_id) JOIN task t "
                         "USING(task_id) JOIN verdict v USING(attempt_id) GROUP BY 1"),
            "humaneval\t1\t1\t1\t1\nmmlu\t10\t10\t10\t10\nmmlu_cloze\t10\t10\t10\t10\n");
  EXPECT_EQ(stored::rows(db(), "SELECT status FROM run"), "complete\n");
  // Not measured is NULL: there is no predictor and no energy sensor.
  EXPECT_EQ(stored::rows(db(), "SELECT count(predict_us), count(energy_uj) FROM attempt"),
            "0\t0\n");
  EXPECT_NE(r.out.find("mmlu_cloze"), std::string::npos) << r.out;
}

TEST_F(RunTest, ThreadsStreamsBatchesAndPrefixReuseChangeNoResult) {
  ASSERT_EQ(moeval(run_args("mmlu,humaneval", db("a.db"),
                            {"--limit", "2", "--max-new-tokens", "8", "--streams", "8"}))
                .code,
            0);
  ASSERT_EQ(moeval(run_args("mmlu,humaneval", db("b.db"),
                            {"--limit", "2", "--max-new-tokens", "8", "--streams", "1",
                             "--batch-rows", "64", "--threads", "1"}))
                .code,
            0);
  ASSERT_EQ(moeval(run_args("mmlu,humaneval", db("c.db"),
                            {"--limit", "2", "--max-new-tokens", "8", "--no-prefix-reuse"}))
                .code,
            0);
  EXPECT_EQ(table(db("a.db")), table(db("b.db")));
  EXPECT_EQ(table(db("a.db"), false), table(db("c.db"), false));
}

TEST_F(RunTest, ExecutedComputeOfAttemptsAndPrefixesIsThatOfTheWholePrompts) {
  ASSERT_EQ(moeval(run_args("mmlu", db("reuse.db"), {"--limit", "3"})).code, 0);
  ASSERT_EQ(moeval(run_args("mmlu", db("whole.db"), {"--limit", "3", "--no-prefix-reuse"})).code,
            0);
  // Without reuse nothing is shared: executed is useful.
  EXPECT_EQ(stored::rows(db("whole.db"),
                         "SELECT count(*) FROM attempt WHERE executed_flops <> "
                         "useful_flops"),
            "0\n");
  EXPECT_EQ(stored::rows(db("whole.db"), "SELECT count(*) FROM prefix"), "0\n");
  // With it, every attempt is spared exactly its prefix, which is booked once.
  EXPECT_EQ(stored::rows(db("reuse.db"),
                         "SELECT count(*) FROM attempt a JOIN prefix p ON p.run_id = a.run_id AND "
                         "p.prefix_sha256 = a.prefix_sha256 AND p.compute_ix = 0 WHERE "
                         "a.useful_flops - a.executed_flops <> p.executed_flops"),
            "0\n");
  EXPECT_EQ(stored::rows(db("reuse.db"), "SELECT count(*) FROM prefix"), "10\n");
}

TEST_F(RunTest, RepeatedCommandRunsNothing) {
  const auto args = run_args("mmlu_cloze", db(), {"--limit", "1"});
  ASSERT_EQ(moeval(args).code, 0);
  const auto again = moeval(args);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("already complete"), std::string::npos) << again.err;
  EXPECT_EQ(stored::rows(db(), "SELECT count(*) FROM run"), "1\n");
  auto fresh = args;
  fresh.push_back("--new-run");
  EXPECT_EQ(moeval(fresh).code, 0);
  EXPECT_EQ(stored::rows(db(), "SELECT count(*) FROM run"), "2\n");
}

TEST_F(RunTest, ChangedModelRefusesToResumeAndNamesTheKey) {
  const auto args = run_args("mmlu_cloze", db(), {"--limit", "1"});
  ASSERT_EQ(moeval(args).code, 0);
  const auto uuid = stored::rows(db(), "SELECT run_uuid FROM run");
  support::write_tiny_model(model(), 2);
  auto resume = args;
  resume.insert(resume.end(), {"--resume", uuid.substr(0, uuid.size() - 1)});
  const auto r = moeval(resume);
  EXPECT_EQ(r.code, 7) << r.err;
  EXPECT_NE(r.err.find("model.weights"), std::string::npos) << r.err;
}

TEST_F(RunTest, SampledCompletionsDependOnTheSeedAlone) {
  const auto args = [&](const char* name, const char* seed, const char* streams) {
    return run_args("humaneval", db(name),
                    {"--limit", "1", "--num-samples", "3", "--temperature", "8", "--max-new-tokens",
                     "12", "--seed", seed, "--streams", streams});
  };
  ASSERT_EQ(moeval(args("a.db", "5", "1")).code, 0);
  ASSERT_EQ(moeval(args("b.db", "5", "3")).code, 0);
  ASSERT_EQ(moeval(args("c.db", "6", "3")).code, 0);
  EXPECT_EQ(table(db("a.db")), table(db("b.db")));
  EXPECT_NE(table(db("a.db")), table(db("c.db")));
  EXPECT_EQ(stored::rows(db("a.db"), "SELECT count(DISTINCT output_text_id) FROM attempt"), "3\n");
}

TEST_F(RunTest, DryRunStoresNothing) {
  auto args = run_args("mmlu_cloze", db(), {"--limit", "1", "--dry-run"});
  const auto r = moeval(args);
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.out.find("FLOPs"), std::string::npos) << r.out;
  EXPECT_FALSE(std::filesystem::exists(db()));
}

TEST_F(RunTest, RescoreFindsTheSameVerdicts) {
  ASSERT_EQ(
      moeval(run_args("mmlu_cloze,humaneval", db(), {"--limit", "2", "--max-new-tokens", "8"}))
          .code,
      0);
  const auto before = table(db());
  const auto r = moeval({"rescore", "--db", db(), "--data", "embedded"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(table(db()), before);
  EXPECT_EQ(moeval({"verify", "--db", db()}).code, 0);
}

TEST_F(RunTest, VerifyFindsAFlippedValue) {
  ASSERT_EQ(moeval(run_args("mmlu_cloze", db(), {"--limit", "1"})).code, 0);
  ASSERT_EQ(moeval({"verify", "--db", db()}).code, 0);
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(db().c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle,
                         "UPDATE attempt SET useful_head_flops = useful_head_flops + 1 WHERE "
                         "ordinal = 3",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(handle);
  const auto r = moeval({"verify", "--db", db()});
  EXPECT_EQ(r.code, 6) << r.out;
}

TEST_F(RunTest, LeaderboardShowsCountIntervalAndChance) {
  ASSERT_EQ(moeval(run_args("mmlu_cloze", db(), {"--limit", "2"})).code, 0);
  const auto text = moeval({"leaderboard", "--db", db()});
  ASSERT_EQ(text.code, 0) << text.err;
  for (const char* word : {"chance", "n/a", "20", "0.25"})
    EXPECT_NE(text.out.find(word), std::string::npos) << word << " in\n" << text.out;
  const auto json = moeval({"leaderboard", "--db", db(), "--format", "json"});
  ASSERT_EQ(json.code, 0);
  EXPECT_NE(json.out.find("\"n\": 20"), std::string::npos) << json.out;
  EXPECT_NE(moeval({"leaderboard", "--db", db(), "--format", "md"}).out.find("| ---"),
            std::string::npos);
}

TEST_F(RunTest, LeaderboardKeepsModelsOfOneNameApart) {
  const auto other = folder_.path() / "other" / "tiny";
  support::write_tiny_model(other, 2);
  auto args = run_args("mmlu_cloze", db(), {"--limit", "1"});
  ASSERT_EQ(moeval(args).code, 0);
  args[2] = other;
  ASSERT_EQ(moeval(args).code, 0);
  const auto board = moeval({"leaderboard", "--db", db(), "--format", "json"});
  size_t rows = 0;
  for (size_t at = board.out.find("\"task\""); at != std::string::npos;
       at = board.out.find("\"task\"", at + 1))
    ++rows;
  EXPECT_EQ(rows, 2u) << board.out;
  EXPECT_EQ(moeval({"leaderboard", "--db", db(), "--tasks", "nosuch"}).code, 2);
  EXPECT_EQ(moeval(run_args("mmlu,mmlu", db("twice.db"))).code, 2);
}

TEST_F(RunTest, ExportWritesLmEvalFiles) {
  ASSERT_EQ(
      moeval(run_args("mmlu_cloze,humaneval", db(), {"--limit", "1", "--max-new-tokens", "4"}))
          .code,
      0);
  const auto out = folder_.path() / "export";
  const auto r = moeval({"export", "--db", db(), "--output", out});
  ASSERT_EQ(r.code, 0) << r.err;
  int results = 0, samples = 0;
  for (const auto& e : std::filesystem::recursive_directory_iterator(out)) {
    const auto name = e.path().filename().string();
    results += name.rfind("results_", 0) == 0;
    samples += name.rfind("samples_", 0) == 0;
  }
  EXPECT_EQ(results, 1);
  EXPECT_GE(samples, 2);
}

}  // namespace
