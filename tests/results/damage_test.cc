// verify names what was changed behind the store's back; a write that fails loses nothing.
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using DamageTest = StoreTest;

class TamperTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    auto store = writer();
    const RunPlan plan = small_plan(5);
    store->begin_or_resume(plan);
    for (int i = 0; i < 5; ++i) {
      AttemptBundle b = bundle_for(plan, i);
      b.output_text = fmt::format("generated text {}", i);
      b.layers = {{0, 20, 40, 2}};
      b.experts = ExpertCounts{1, 4, {5, 5, 5, 5}};
      if (i == 0) b.prefixes = {{hash_of("p"), 0, 10, {1, 2, 3, 4, 5}, {}}};
      store->append(b);
    }
    ASSERT_EQ(store->finish("complete"), "complete");
    ASSERT_THAT(store->verify().problems, IsEmpty()) << "positive control";
  }
  std::vector<Problem> after(const std::string& sql) {
    Sql(file_).run("PRAGMA foreign_keys=OFF; " + sql);
    return reader()->verify().problems;
  }
};

auto at(const std::string& where) { return Contains(Field(&Problem::where, HasSubstr(where))); }

TEST_F(TamperTest, EveryChangedColumnOfAnAttemptIsFound) {
  Sql sql(file_);
  int n = 0;
  for (const std::string& c : sql.rows(
           "SELECT name FROM pragma_table_info('attempt') WHERE name NOT IN "
           "('attempt_id', 'run_id', 'session_ix', 'status', 'p_k_json', 'warmup', 'capped')")) {
    if (c.ends_with("_id") || c == "ordinal") continue;
    sql.run("SAVEPOINT s; CREATE TEMP TABLE keep AS SELECT " + c +
            " AS v FROM attempt WHERE attempt_id = 3; RELEASE s");
    const bool text =
        sql.one("SELECT type FROM pragma_table_info('attempt') WHERE name = '" + c + "'") == "TEXT";
    const std::string changed = c.ends_with("sha256") ? "'" + hash_of("other") + "'"
                                : text                ? "'x'"
                                : c == "ood_flagged"  ? "1"
                                                      : "77";
    sql.run("UPDATE attempt SET " + c + " = " + changed + " WHERE attempt_id = 3");
    EXPECT_THAT(reader()->verify().problems, at("attempt ")) << c;
    sql.run("UPDATE attempt SET " + c +
            " = (SELECT v FROM keep) WHERE attempt_id = 3; "
            "DROP TABLE keep");
    ++n;
  }
  EXPECT_GT(n, 35);
  EXPECT_THAT(reader()->verify().problems, IsEmpty()) << "all put back";
}

TEST_F(TamperTest, ChangesBesideTheAttemptAreFound) {
  EXPECT_THAT(after("UPDATE attempt_option SET logprob_nats = -9 WHERE attempt_id = 2 AND "
                    "option_ix = 1"),
              at("attempt 2"));
  EXPECT_THAT(after("UPDATE attempt_layer SET k_sum = 41 WHERE attempt_id = 3"), at("attempt 3"));
  EXPECT_THAT(after("UPDATE attempt_expert SET tokens = x'05050506' WHERE attempt_id = 4"),
              at("attempt 4"));
  EXPECT_THAT(after("UPDATE attempt_expert SET n_experts = 1000000000000 WHERE attempt_id = 5"),
              at("attempt 5"));
  EXPECT_THAT(after("UPDATE verdict SET outcome = 'wrong', correct = 0 WHERE attempt_id = 1"),
              at("verdict letters-1 of attempt 1"));
  EXPECT_THAT(after("UPDATE prefix SET executed_head_flops = 0"), at("prefix 1"));
  EXPECT_THAT(after("UPDATE text SET body = 'cheat' WHERE body = 'generated text 3'"), at("text "));
}

TEST_F(TamperTest, ChangesOfThePlanAndItsDimensionsAreFound) {
  EXPECT_THAT(after("UPDATE sample SET gold = 'B' WHERE sample_id = 2"), at("plan"));
  EXPECT_THAT(after("UPDATE run SET seed = 8"), at("run 1 row"));
  EXPECT_THAT(after("UPDATE run SET fingerprint_json = '{}'"), at("fingerprint"));
  EXPECT_THAT(after("UPDATE model SET name = 'better'"), at("model 1"));
  EXPECT_THAT(after("UPDATE task SET chance = 0"), at("task 1"));
  EXPECT_THAT(after("UPDATE policy SET label = 'free'"), at("policy 1"));
}

TEST_F(TamperTest, AMissingRowIsNoticed) {
  const auto drop = [](int id) {
    std::string sql;
    for (const char* t :
         {"verdict", "attempt_option", "attempt_layer", "attempt_expert", "attempt"})
      sql += fmt::format("DELETE FROM {} WHERE attempt_id = {};", t, id);
    return sql;
  };
  EXPECT_THAT(after(drop(3)),
              Contains(Field(&Problem::what, HasSubstr("a row is missing before it"))));
  EXPECT_THAT(after(drop(5)), Contains(Field(&Problem::what, HasSubstr("its last is missing"))));
  const auto incomplete = reader()->verify().incomplete;
  ASSERT_EQ(incomplete.size(), 2u);
  EXPECT_EQ(incomplete[0].where, "run 1 planned 2");
  EXPECT_EQ(incomplete[1].where, "run 1 planned 4");
}

TEST_F(TamperTest, AByteFlippedInTheFileIsFoundWhereQuickCheckSeesNothing) {
  std::string bytes = bytes_of(file_);
  const size_t at_byte = bytes.find("generated text 3");
  ASSERT_NE(at_byte, std::string::npos);
  bytes[at_byte + 5] ^= 1;
  std::ofstream(file_, std::ios::binary) << bytes;
  EXPECT_EQ(Sql(file_).one("PRAGMA quick_check"), "ok");
  EXPECT_THAT(reader()->verify().problems, at("text "));
}

// In a child process whose files may not grow beyond `limit`, appends until the store gives up.
// Exit status: number of acknowledged rows; 200 and more: what should have happened did not.
int append_under_file_limit(const std::filesystem::path& file, const RunPlan& plan,
                            uint64_t limit) {
  const pid_t child = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    int acknowledged = 0;
    auto store = ResultStore::open(file, ResultStore::Mode::write);
    store->begin_or_resume(plan);
    const rlimit files{limit, limit};
    setrlimit(RLIMIT_FSIZE, &files);
    try {
      for (int64_t i = 0; i < static_cast<int64_t>(plan.planned.size()); ++i) {
        AttemptBundle b = bundle_for(plan, i);
        b.output_text = std::string(3000, static_cast<char>('a' + i % 26));
        store->append(b, [&] { ++acknowledged; });
      }
      store->flush();
    } catch (const StoreError& e) {
      const std::string side = store->unstored_file().string();
      const bool told = std::string(e.what()).find("are in " + side) != std::string::npos;
      return told && !side.empty() ? acknowledged : 201;
    }
    return 200;
  });
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 203;
}

TEST_F(DamageTest, AFileThatCannotGrowStopsTheRunAndLosesNothing) {
  const RunPlan plan = small_plan(190);
  writer();
  const int acknowledged =
      append_under_file_limit(file_, plan, std::filesystem::file_size(file_) + 300000);
  ASSERT_GT(acknowledged, 0);
  ASSERT_LT(acknowledged, 190);
  auto store = writer();
  EXPECT_THAT(store->verify().problems, IsEmpty());
  const RunStart start = store->begin_or_resume(plan);
  EXPECT_TRUE(start.resumed);
  int done = 0;
  for (const PlannedState& s : start.states) done += s.done ? 1 : 0;
  EXPECT_EQ(done, acknowledged);
  // The side file holds the rows from there on, each a whole line.
  std::ifstream side(file_.string() + ".unstored-" + start.run_uuid + ".jsonl");
  std::string line;
  int64_t expected = acknowledged;
  while (std::getline(side, line)) {
    const auto j = nlohmann::json::parse(line);
    EXPECT_EQ(j.at("ordinal"), expected++);
    EXPECT_EQ(j.at("output_text").get<std::string>().size(), 3000u);
    EXPECT_EQ(j.at("verdicts").at(0).at("outcome"), "passed");
  }
  EXPECT_GT(expected, acknowledged);
  for (int64_t i = acknowledged; i < 190; ++i) store->append(bundle_for(plan, i));
  EXPECT_EQ(store->finish("complete"), "complete") << "with room again, the run goes on";
}

TEST_F(DamageTest, AFullDiskStopsTheRunAndLosesNothing) {
  const auto disk = folder_ / "disk";
  std::filesystem::create_directory(disk);
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=1500k") != 0)
    GTEST_SKIP() << "cannot mount here";
  const RunPlan plan = small_plan(2000);
  int acknowledged = 0;
  bool stopped = false;
  {
    auto store = ResultStore::open(disk / "moeval.db", ResultStore::Mode::write);
    store->begin_or_resume(plan);
    try {
      for (int64_t i = 0; i < 2000; ++i) {
        AttemptBundle b = bundle_for(plan, i);
        b.output_text = fmt::format("{:3000}", i);
        store->append(b, [&] { ++acknowledged; });
      }
      store->flush();
    } catch (const StoreError& e) {
      stopped = true;
      EXPECT_THAT(e.what(), HasSubstr("full"));
    }
  }
  EXPECT_TRUE(stopped);
  EXPECT_GT(acknowledged, 0);
  {
    std::filesystem::copy(disk / "moeval.db", folder_ / "copy.db");
    if (std::filesystem::exists(disk / "moeval.db-wal"))
      std::filesystem::copy(disk / "moeval.db-wal", folder_ / "copy.db-wal");
  }
  umount(disk.c_str());
  auto store = ResultStore::open(folder_ / "copy.db", ResultStore::Mode::write);
  EXPECT_THAT(store->verify().problems, IsEmpty());
  EXPECT_EQ(store->counts(1).done, acknowledged);
}

TEST_F(DamageTest, AWriterThatHoldsTheFileIsWaitedForAndThenNamed) {
  writer();
  Sql other(file_);
  other.run("BEGIN IMMEDIATE");
  StoreOptions options;
  options.busy_timeout_ms = 50;
  auto store = ResultStore::open(file_, ResultStore::Mode::write, options);
  EXPECT_THAT(message_of<StoreError>([&] { store->begin_or_resume(small_plan()); }),
              HasSubstr("locked"));
  other.run("ROLLBACK");
  EXPECT_FALSE(store->begin_or_resume(small_plan()).resumed);
}

}  // namespace
}  // namespace results
