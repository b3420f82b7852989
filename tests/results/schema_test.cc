// The schema documents itself, and its constraints refuse what must not be stored.
#include "results/schema.h"

#include <set>

#include "results/checksum.h"
#include "results/row_columns.h"
#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using SchemaTest = StoreTest;

TEST_F(SchemaTest, EveryColumnOfEveryTableAndViewIsDocumented) {
  writer();
  Sql sql(file_);
  const auto undocumented = sql.rows(
      "SELECT s.name || '.' || x.name FROM sqlite_schema s, pragma_table_xinfo(s.name) x "
      "LEFT JOIN columns c ON c.tbl = s.name AND c.col = x.name "
      "WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite_%' AND c.col IS NULL");
  EXPECT_THAT(undocumented, IsEmpty());
  const auto stale = sql.rows(
      "SELECT tbl || '.' || col FROM columns EXCEPT SELECT s.name || '.' || x.name "
      "FROM sqlite_schema s, pragma_table_xinfo(s.name) x WHERE s.type IN ('table', 'view')");
  EXPECT_THAT(stale, IsEmpty());
  EXPECT_GT(std::stoi(sql.one("SELECT COUNT(*) FROM columns")), 300);
}

TEST_F(SchemaTest, AColumnWhoseNameEndsInAUnitIsDocumentedWithThatUnit) {
  writer();
  Sql sql(file_);
  for (const auto& [suffix, unit] :
       std::vector<std::pair<std::string, std::string>>{{"_us", "us"},
                                                        {"_ns", "ns"},
                                                        {"_ms", "ms"},
                                                        {"_nats", "nats"},
                                                        {"_tokens", "tokens"},
                                                        {"_bytes", "bytes"},
                                                        {"_flops", "FLOPs"},
                                                        {"_uj", "uJ"}}) {
    EXPECT_THAT(sql.rows("SELECT tbl || '.' || col FROM columns WHERE col LIKE '%\\" + suffix +
                         "' ESCAPE '\\' AND unit IS NOT '" + unit + "'"),
                IsEmpty());
  }
}

TEST_F(SchemaTest, EveryTableIsStrict) {
  writer();
  EXPECT_THAT(Sql(file_).rows("SELECT name FROM pragma_table_list WHERE type = 'table' AND "
                              "schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'"),
              IsEmpty());
}

TEST_F(SchemaTest, EveryStoredColumnOfARowIsInTheRowsColumnList) {
  writer();
  Sql sql(file_);
  const auto check = [&](const std::string& table, std::vector<std::string> listed,
                         std::vector<std::string> keys) {
    std::set<std::string> have(listed.begin(), listed.end());
    have.insert(keys.begin(), keys.end());
    for (const std::string& c : sql.rows("SELECT name FROM pragma_table_info('" + table + "')"))
      EXPECT_TRUE(have.count(c)) << table << "." << c << " is in no row's list";
  };
  check("attempt", column_names<AttemptRow>(),
        {"attempt_id", "run_id", "ordinal", "try_ix", "session_ix", "query_id", "policy_id",
         "repeat_ix", "output_text_id", "row_sha256", "chain_ix", "chain_sha256"});
  check("verdict", column_names<VerdictRow>(), {"attempt_id", "row_sha256", "scored_at"});
  check("environment", column_names<EnvironmentRow>(), {"environment_id", "row_sha256"});
  check("model", column_names<ModelRow>(), {"model_id", "row_sha256"});
  check("policy", column_names<PolicyRow>(), {"policy_id", "row_sha256"});
  check("task", column_names<TaskRow>(), {"task_id", "row_sha256", "dataset_id"});
  check("dataset", column_names<DatasetRow>(), {"dataset_id", "row_sha256"});
  check("sample", column_names<SampleRow>(), {"sample_id", "task_id"});
}

TEST_F(SchemaTest, WrongRowsAreRefused) {
  auto store = writer();
  const RunPlan plan = small_plan();
  store->begin_or_resume(plan);
  AttemptBundle b = bundle_for(plan, 0);
  b.verdicts[0].correct = 0;  // passed, yet not correct
  store->append(b);
  EXPECT_THAT(message_of<StoreError>([&] { store->flush(); }), HasSubstr("CHECK"));
}

TEST(Checksum, Sha256HasItsPublishedValues) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Checksum, DistinguishesFieldsThatJoinToTheSameText) {
  EXPECT_NE(Canonical("r").field("a", "x").field("b", "y").sha256(),
            Canonical("r").field("a", "x\nb:T1:y").sha256());
  EXPECT_NE(Canonical("r").field("a", int64_t{1}).sha256(),
            Canonical("r").field("a", 1.0).sha256());
  EXPECT_NE(Canonical("r").field("a", int64_t{0}).sha256(), Canonical("r").null("a").sha256());
  EXPECT_NE(Canonical("r").field("a", "").sha256(), Canonical("r").null("a").sha256());
  EXPECT_EQ(Canonical("r").field("a", -0.0).sha256(), Canonical("r").field("a", 0.0).sha256());
}

}  // namespace
}  // namespace results
