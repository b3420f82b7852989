// What is appended is in the file, in exact values, and only once it is committed.
#include <atomic>
#include <limits>
#include <thread>

#include "results/attempt_writer.h"
#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using WriteTest = StoreTest;

TEST_F(WriteTest, AFinishedRunIsCompleteAndVerifies) {
  auto store = writer();
  const RunPlan plan = small_plan();
  const RunStart start = store->begin_or_resume(plan);
  EXPECT_FALSE(start.resumed);
  EXPECT_EQ(start.states.size(), 3u);
  for (int i = 0; i < 3; ++i) store->append(bundle_for(plan, i, i != 1));
  EXPECT_EQ(store->finish("complete"), "complete");
  const VerifyReport report = store->verify();
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.incomplete, IsEmpty());
  EXPECT_EQ(report.attempts, 3);
  EXPECT_EQ(report.verdicts, 3);
  Sql sql(file_);
  EXPECT_EQ(sql.one("SELECT n, n_correct, n_failed, chance FROM v_leaderboard"), "3|2|0|0.25");
  EXPECT_EQ(sql.one("SELECT status, n_done, n_sessions, useful_flops, executed_flops "
                    "FROM v_run_card"),
            "complete|3|1|1005|555");
  EXPECT_EQ(sql.one("SELECT COUNT(*) FROM text"), "4") << "three questions and one shared prefix";
  EXPECT_EQ(sql.one("SELECT COUNT(*) FROM lease"), "0");
  EXPECT_EQ(sql.one("PRAGMA journal_mode"), "wal");
  EXPECT_FALSE(std::filesystem::exists(file_.string() + "-lease"));
}

TEST_F(WriteTest, NotMeasuredIsNullAndNeverZero) {
  auto store = writer();
  const RunPlan plan = small_plan(1);
  store->begin_or_resume(plan);
  AttemptBundle b;
  b.attempt.ordinal = 0;
  store->append(b);
  store->finish("complete");
  EXPECT_EQ(Sql(file_).one("SELECT k_mean, prompt_tokens, latency_us, useful_flops, "
                           "executed_router_flops, energy_uj, output_text_id FROM attempt"),
            "~|~|~|~|~|~|~");
}

TEST_F(WriteTest, EveryValueComesBackExactly) {
  auto store = writer();
  const RunPlan plan = small_plan(1);
  store->begin_or_resume(plan);
  AttemptBundle b = bundle_for(plan, 0);
  b.attempt.useful = FlopsByPart{int64_t{1} << 61, 3, 5, 7, 11};
  b.attempt.k_mean = 0.1;
  b.attempt.seed = std::numeric_limits<int64_t>::min();
  b.output_text = std::string("NUL \0 inside, \xff not UTF-8", 25);
  b.options[0].logprob_nats = -std::numeric_limits<double>::infinity();
  b.options[1].logprob_nats = std::numeric_limits<double>::quiet_NaN();
  b.layers = {{0, 20, 40, 2, 1, 0.25, 0.125}, {1, 20, 60, 3}};
  b.experts = ExpertCounts{2, 3, {0, 127, 128, 300, 65536, 4294967295u}};
  store->append(b);
  EXPECT_EQ(store->finish("complete"), "complete") << "finish recomputes the checksums";
  Sql sql(file_);
  EXPECT_EQ(sql.one("SELECT useful_attention_flops, useful_flops - useful_attention_flops, seed "
                    "FROM attempt"),
            "2305843009213693952|26|-9223372036854775808");
  EXPECT_EQ(sql.one("SELECT hex(body) FROM text WHERE text_id = (SELECT output_text_id "
                    "FROM attempt)"),
            "4E554C200020696E736964652C20FF206E6F74205554462D38");
  EXPECT_THAT(sql.rows("SELECT logprob_nats FROM attempt_option ORDER BY option_ix"),
              ElementsAre("-Inf", "~", "-2.0", "-3.0"));
}

TEST_F(WriteTest, ExpertCountsSurvivePackingAndWrongBytesAreRefused) {
  const std::vector<uint32_t> counts{0, 1, 127, 128, 16383, 16384, 4294967295u};
  std::vector<uint32_t> back;
  const std::string packed = pack_counts(counts);
  ASSERT_TRUE(unpack_counts(packed, counts.size(), back));
  EXPECT_EQ(back, counts);
  EXPECT_FALSE(unpack_counts(packed, counts.size() - 1, back));
  EXPECT_FALSE(unpack_counts(packed, counts.size() + 1, back));
  EXPECT_FALSE(unpack_counts(packed.substr(0, packed.size() - 1), counts.size(), back));
  EXPECT_FALSE(unpack_counts("\xff\xff\xff\xff\xff\xff\x01", 1, back));
}

TEST_F(WriteTest, TheCallbackComesAfterTheCommit) {
  auto store = writer();
  const RunPlan plan = small_plan(20);
  store->begin_or_resume(plan);
  std::atomic<int> committed{0}, wrong{0};
  for (int i = 0; i < 20; ++i) {
    store->append(bundle_for(plan, i), [&] {
      const int n = ++committed;
      // Another connection sees the row: it is committed.
      if (std::stoi(Sql(file_).one("SELECT COUNT(*) FROM attempt")) < n) ++wrong;
    });
  }
  store->flush();
  EXPECT_EQ(committed, 20);
  EXPECT_EQ(wrong, 0);
}

TEST_F(WriteTest, ManyThreadsMayAppendThroughASmallQueue) {
  StoreOptions options;
  options.queue_capacity = 2;
  auto store = ResultStore::open(file_, ResultStore::Mode::write, options);
  const RunPlan plan = small_plan(80);
  store->begin_or_resume(plan);
  std::atomic<int> next{0}, committed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = next++; i < 80; i = next++)
        store->append(bundle_for(plan, i), [&] { ++committed; });
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(store->finish("complete"), "complete");
  EXPECT_EQ(committed, 80);
  EXPECT_THAT(store->verify().problems, IsEmpty());
}

TEST_F(WriteTest, InfrastructureFailuresAreKeptBesideTheRetry) {
  auto store = writer();
  const RunPlan plan = small_plan(1);
  store->begin_or_resume(plan);
  AttemptBundle failed = bundle_for(plan, 0);
  failed.attempt.status = "infra";
  failed.attempt.status_detail = "no memory";
  failed.verdicts.clear();
  store->append(failed);
  store->append(bundle_for(plan, 0));
  EXPECT_EQ(store->finish("complete"), "complete");
  const RunCounts counts = store->counts(1);
  EXPECT_EQ(counts.attempts, 2);
  EXPECT_EQ(counts.infra, 1);
  EXPECT_EQ(counts.done, 1);
  EXPECT_THAT(Sql(file_).rows("SELECT try_ix, status FROM v_attempt"), ElementsAre("1|ok"));
}

TEST_F(WriteTest, OnlyInfrastructureFailuresLeaveTheRunIncomplete) {
  auto store = writer();
  const RunPlan plan = small_plan(2);
  store->begin_or_resume(plan);
  store->append(bundle_for(plan, 0));
  AttemptBundle failed = bundle_for(plan, 1);
  failed.attempt.status = "infra";
  failed.verdicts.clear();
  store->append(failed);
  EXPECT_EQ(store->finish("complete"), "incomplete");
  EXPECT_EQ(store->verify().incomplete.size(), 1u);
  EXPECT_EQ(Sql(file_).one("SELECT n, n_ungraded, accuracy FROM v_leaderboard"), "1|1|1.0");
}

TEST_F(WriteTest, AResultIsFinal) {
  auto store = writer();
  const RunPlan plan = small_plan(2);
  store->begin_or_resume(plan);
  store->append(bundle_for(plan, 0));
  store->append(bundle_for(plan, 0, false));
  EXPECT_THAT(message_of<StoreError>([&] { store->flush(); }), HasSubstr("has a result already"));
}

TEST_F(WriteTest, PrefixRowsAddUpWithTheAttempts) {
  auto store = writer();
  const RunPlan plan = small_plan(2);
  store->begin_or_resume(plan);
  PrefixRow prefix;
  prefix.prefix_sha256 = hash_of("prefix");
  prefix.n_tokens = 500;
  prefix.executed = FlopsByPart{1000, 0, 2000, 0, 0};
  for (int i = 0; i < 2; ++i) {
    AttemptBundle b = bundle_for(plan, i);
    b.attempt.prefix_sha256 = prefix.prefix_sha256;
    if (i == 0) b.prefixes = {prefix};
    store->append(b);
  }
  EXPECT_EQ(store->finish("complete"), "complete");
  EXPECT_EQ(store->verify().prefixes, 1);
  Sql sql(file_);
  EXPECT_EQ(sql.one("SELECT n_tokens, n_computed, executed_flops, n_users FROM v_prefix"),
            "500|1|3000|2");
  EXPECT_EQ(sql.one("SELECT executed_flops FROM v_run_card"), "3370");
}

TEST_F(WriteTest, MarkingAgainTouchesNoMeasurement) {
  auto store = writer();
  const RunPlan plan = small_plan(1);
  store->begin_or_resume(plan);
  store->append(bundle_for(plan, 0, false));
  store->finish("complete");
  const std::string before = Sql(file_).one("SELECT row_sha256, chain_sha256 FROM attempt");
  store->put_verdicts({{1, verdict(true)}, {1, verdict(true, "letters-2")}});
  EXPECT_EQ(Sql(file_).one("SELECT row_sha256, chain_sha256 FROM attempt"), before);
  EXPECT_THAT(Sql(file_).rows("SELECT scorer, correct FROM verdict ORDER BY scorer"),
              ElementsAre("letters-1|1", "letters-2|1"));
  EXPECT_THAT(store->verify().problems, IsEmpty());
  EXPECT_THAT(message_of<StoreError>([&] {
                store->put_verdicts({{99, verdict(true)}});
              }),
              HasSubstr("no attempt 99"));
}

TEST_F(WriteTest, WithoutARunThereIsNothingToAppendToOrToFinish) {
  auto store = writer();
  const RunPlan plan = small_plan(1);
  const auto says = HasSubstr("no run in progress");
  EXPECT_THAT(message_of<StoreError>([&] { store->append(bundle_for(plan, 0)); }), says);
  EXPECT_THAT(message_of<StoreError>([&] { store->finish("complete"); }), says);
  store->begin_or_resume(plan);
  EXPECT_EQ(store->finish("interrupted"), "interrupted");
  EXPECT_THAT(message_of<StoreError>([&] { store->finish("complete"); }), says);
  EXPECT_THAT(message_of<StoreError>([&] { store->append(bundle_for(plan, 0)); }), says);
}

TEST_F(WriteTest, AReaderCannotWrite) {
  writer();
  auto store = reader();
  EXPECT_THAT(message_of<StoreError>([&] { store->begin_or_resume(small_plan()); }),
              HasSubstr("reading only"));
}

}  // namespace
}  // namespace results
