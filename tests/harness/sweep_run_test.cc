// Sweeps through the whole program: every question at every k, resumed, detached; every FLOP in the
// store.
#include <gmock/gmock.h>

#include <chrono>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "harness/environment.h"
#include "harness/runner.h"
#include "tests/harness/policy_run_fixture.h"

namespace {

using testing::AllOf;
using testing::HasSubstr;

using SweepRunTest = PolicyRunTest;

// Runs a spec inside this process and holds the store against what the engine counted.
class StoredFlopsTest : public PolicyRunTest {
 protected:
  harness::RunSpec spec() const {
    harness::RunSpec s;
    s.model = moe();
    s.tasks = {"mmlu", "mmlu_cloze", "humaneval"};
    s.data = "embedded";
    s.limit = 3;
    s.max_new_tokens = 6;
    return s;
  }
  void expect_all_on_record(const harness::RunSpec& s, const std::string& database) const {
    using namespace harness;
    s.validate();
    const auto plan = make_plan(s);
    auto model = load_model(s);
    const auto policies = load_policies(s, plan, model);
    const auto before = model.engine->launched();
    const auto store = results::ResultStore::open(database, results::ResultStore::Mode::write);
    const std::atomic<bool> stop{false};
    const auto out = run(s, plan, model, policies, read_environment(), nullptr, *store, stop);
    ASSERT_EQ(out.done, out.planned);
    const auto after = model.engine->launched();
    for (const auto& [part, name] : {std::pair{engine::Part::attention, "attention"},
                                     {engine::Part::router, "router"},
                                     {engine::Part::experts, "experts"},
                                     {engine::Part::head, "head"}}) {
      const auto sql = fmt::format(
          "SELECT (SELECT SUM(executed_{0}_flops) FROM attempt) + "
          "(SELECT SUM(executed_{0}_flops) FROM prefix)",
          name);
      EXPECT_EQ(stored::rows(database, sql),
                fmt::format("{}\n", after.executed_flops(part) - before.executed_flops(part)))
          << name;
    }
  }
};

TEST_F(StoredFlopsTest, OfASweepAreThoseThatWereLaunched) {
  auto s = spec();
  s.kind = harness::RunKind::sweep;
  s.grid = {1, 3, 16};
  expect_all_on_record(s, db());
  EXPECT_EQ(stored::rows(db(), "SELECT COUNT(DISTINCT budget) FROM prefix"), "3\n");
}

TEST_F(StoredFlopsTest, OfMixedBudgetsAreThoseThatWereLaunched) {
  auto s = spec();
  nlohmann::json table{{"format", "moeval_table/1"}, {"model_sha256", weights_sha()}};
  const auto plan = harness::make_plan(s);
  int i = 0;
  for (const auto& a : plan.attempts) table["k"][plan.sample(a).id] = 1 + (i++ % 3) * 5;
  s.policy = "table:" + write("t.json", table.dump());
  expect_all_on_record(s, db());
  EXPECT_EQ(stored::rows(db(), "SELECT COUNT(DISTINCT budget) FROM attempt"), "3\n");
  EXPECT_EQ(stored::rows(db(), "SELECT COUNT(DISTINCT budget) > 1 FROM prefix"), "1\n");
  s.policy = "top_p:0.5";
  expect_all_on_record(s, db("top_p.db"));
}

TEST_F(SweepRunTest, ASweepAsksEveryQuestionAtEveryKInSeveralWays) {
  const auto tables = folder_.path() / "tables";
  const auto out =
      moeval(args("sweep", "mmlu,mmlu_cloze,humaneval", db(),
                  {"--limit", "1", "--grid", "1,4,16", "--no-generate", "--num-fewshot", "0",
                   "--format", "json", "--write-tables", tables}));
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(stored::rows(db(), "SELECT kind FROM run"), "sweep\n");
  EXPECT_EQ(stored::rows(db(), "SELECT label FROM policy ORDER BY k_fixed"),
            "fixed:1\nfixed:4\nfixed:16\n");
  // Letter questions: as they are and three rotations, unless a choice speaks of others.
  EXPECT_EQ(stored::rows(
                db(),
                "SELECT DISTINCT n FROM (SELECT COUNT(*) AS n FROM v_attempt WHERE task = 'mmlu' "
                "GROUP BY source_key, policy) WHERE n NOT IN (1, 4)"),
            "");
  EXPECT_EQ(
      stored::rows(
          db(), "SELECT DISTINCT shift, severity FROM v_attempt WHERE task = 'mmlu' ORDER BY 1, 2"),
      "clean\t0\noption_order\t1\noption_order\t2\noption_order\t3\n");
  EXPECT_EQ(
      stored::rows(
          db(),
          "SELECT DISTINCT n FROM (SELECT COUNT(*) AS n FROM v_attempt WHERE task = 'mmlu_cloze' "
          "GROUP BY source_key, policy)"),
      "3\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT SUM(reference_logprob_nats IS NULL), SUM(correct IS NOT NULL), "
                         "SUM(status <> 'ok'), "
                         "SUM(output_tokens) FROM v_attempt WHERE task = 'humaneval'"),
            "0\t0\t0\t0\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT COUNT(*) FROM query q JOIN shift s USING(shift_id) WHERE (s.name "
                         "= 'clean') <> (q.label_preserved IS NULL)"),
            "0\n");
  // The key moves with its choice: the log-probabilities' gold is another option in each rotation.
  const auto report = nlohmann::json::parse(out.out);
  EXPECT_EQ(report["grid"], (std::vector<int>{1, 4, 16}));
  ASSERT_EQ(report["cells"].size(), 9u);
  for (const auto& c : report["cells"]) {
    EXPECT_EQ(c["mean_k"], c["k"]);
    EXPECT_TRUE(c["gold_nll_nats"].is_number());
    EXPECT_EQ(c["accuracy"].is_null(), c["task"] == "humaneval");
  }
  const auto& n = report["needs"]["mmlu_cloze"];
  EXPECT_EQ(n["n"], n["easy"].get<int>() + n["elastic"].get<int>() + n["never"].get<int>() +
                        n["inverse"].get<int>());
  EXPECT_EQ(report["needs"]["humaneval"]["n"], 0);
  // SQL says the same of what questions need.
  for (const std::string task : {"mmlu", "mmlu_cloze"})
    for (const std::string need : {"easy", "elastic", "never", "inverse"})
      EXPECT_EQ(
          stored::rows(db(),
                       fmt::format("SELECT COUNT(*) FROM v_need JOIN sample USING(sample_id) JOIN "
                                   "task t USING(task_id) WHERE t.name = '{}' AND need = '{}'",
                                   task, need)),
          fmt::format("{}\n", report["needs"][task][need].get<int>()));
  // The tables run.
  for (const std::string name : {"oracle", "shuffled", "matched_random", "length_only"}) {
    const auto policy = "table:" + (tables / (name + ".json")).string();
    const auto run = moeval(args("run", "mmlu,mmlu_cloze", db(name + ".db"),
                                 {"--limit", "1", "--num-fewshot", "0", "--policy", policy}));
    EXPECT_EQ(run.code, 0) << run.err;
  }
  // An answer at the oracle's k is the sweep's answer at that k.
  const auto answers = "SELECT task, source_key, v.gold_nll_nats FROM v_attempt v ";
  std::set<std::string> swept;
  std::stringstream a(
      stored::rows(db(), std::string(answers) + "WHERE shift = 'clean' AND task <> 'humaneval'"));
  for (std::string line; std::getline(a, line);) swept.insert(line);
  std::stringstream b(stored::rows(db("oracle.db"), answers));
  int same = 0;
  for (std::string line; std::getline(b, line); ++same) EXPECT_TRUE(swept.contains(line)) << line;
  EXPECT_GT(same, 4);
  EXPECT_EQ(moeval({"verify", "--db", db()}).code, 0);
  EXPECT_EQ(moeval({"export", "--db", db(), "--output", folder_.path() / "x"}).code, 2);
}

TEST_F(SweepRunTest, MarkingASweepAgainChangesNothing) {
  ASSERT_EQ(
      moeval(args("sweep", "mmlu", db(), {"--limit", "1", "--grid", "2", "--num-fewshot", "0"}))
          .code,
      0);
  const auto before =
      stored::rows(db(), "SELECT ordinal, answer, correct FROM v_attempt ORDER BY 1");
  const auto out = moeval({"rescore", "--db", db(), "--data", "embedded", "--format", "json"});
  ASSERT_EQ(out.code, 0) << out.err;
  const auto j = nlohmann::json::parse(out.out);
  EXPECT_EQ(j[0]["same"], j[0]["marked"]);
  EXPECT_GT(j[0]["marked"], 4);
  EXPECT_EQ(stored::rows(db(), "SELECT ordinal, answer, correct FROM v_attempt ORDER BY 1"),
            before);
}

TEST_F(SweepRunTest, FewerWaysToAskAreAskedForByName) {
  ASSERT_EQ(moeval(args("sweep", "mmlu,mmlu_cloze", db(),
                        {"--limit", "1", "--grid", "2", "--num-fewshot", "0", "--ways", "2"}))
                .code,
            0);
  EXPECT_EQ(
      stored::rows(db(), "SELECT DISTINCT task, shift, severity FROM v_attempt ORDER BY 1, 2"),
      "mmlu\tclean\t0\nmmlu\toption_order\t1\nmmlu_cloze\tclean\t0\nmmlu_cloze\twording\t1\n");
}

TEST_F(SweepRunTest, TheGridIsClippedToTheModel) {
  auto out = run_args("mmlu_cloze", db(), {"--limit", "1"});
  out[0] = "sweep";
  ASSERT_EQ(moeval(out).code, 0);
  EXPECT_EQ(stored::rows(db(), "SELECT label FROM policy"), "fixed:1\n");
  out.insert(out.end(), {"--grid", "4,2"});
  EXPECT_EQ(moeval(out).code, 2);
}

TEST_F(SweepRunTest, AKilledSweepResumesToTheTableOfAnUninterruptedOne) {
  using Clock = std::chrono::steady_clock;
  const auto sweep = [&](const std::string& database) {
    return args("sweep", "mmlu,mmlu_cloze", database,
                {"--limit", "1", "--grid", "1,5,16", "--num-fewshot", "1"});
  };
  const auto begin = Clock::now();
  const auto whole = moeval(sweep(db("whole.db")));
  ASSERT_EQ(whole.code, 0) << whole.err;
  const auto run_time = Clock::now() - begin;
  const auto expected = table(db("whole.db"));
  std::mt19937_64 random(5);
  int killed = 0;
  for (int round = 0; round < 5; ++round) {
    const auto database = db("round" + std::to_string(round) + ".db");
    const program::Child child(folder_.path(), sweep(database));
    std::this_thread::sleep_for(std::chrono::duration_cast<std::chrono::microseconds>(
        run_time * std::uniform_real_distribution<>(0.3, 0.95)(random)));
    child.kill();
    killed += child.wait().code == 128 + SIGKILL;
    const auto resumed = moeval(sweep(database));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(table(database), expected) << round;
    EXPECT_EQ(resumed.out, whole.out) << round;
  }
  EXPECT_GE(killed, 2);
}

TEST_F(SweepRunTest, ADetachedSweepGoesOnByItselfAndLeavesALog) {
  const auto out =
      moeval(args("sweep", "mmlu_cloze", db(), {"--limit", "1", "--grid", "1,16", "--detach"}));
  ASSERT_EQ(out.code, 0) << out.err;
  ASSERT_THAT(out.out, AllOf(HasSubstr("pid "), HasSubstr("\nlog ")));
  const auto log = out.out.substr(out.out.find("log ") + 4);
  const std::filesystem::path path = log.substr(0, log.find('\n'));
  std::string text;
  for (int i = 0; i < 3000 && text.find(" stored in ") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    text = program::slurp(path);
  }
  EXPECT_THAT(text, AllOf(HasSubstr("mmlu_cloze"), HasSubstr("complete")));
  EXPECT_EQ(stored::rows(db(), "SELECT kind, status FROM run"), "sweep\tcomplete\n");
}

}  // namespace
