// What is refused at opening stays byte-identical; migrations go forward or not at all.
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "results/schema.h"
#include "results/store_file.h"
#include "tests/results/store_fixture.h"

namespace results {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using OpenTest = StoreTest;
using Mode = ResultStore::Mode;

std::string refusal(const std::filesystem::path& file, Mode mode = Mode::write) {
  return message_of<StoreError>([&] { ResultStore::open(file, mode); });
}

// A store with one finished run.
void make_store(const std::filesystem::path& file) {
  auto store = ResultStore::open(file, Mode::write);
  const RunPlan plan = small_plan(1);
  store->begin_or_resume(plan);
  store->append(bundle_for(plan, 0));
  store->finish("complete");
}

TEST_F(OpenTest, WhatIsNoStoreIsRefusedAndStaysAsItWas) {
  const std::string text = "This is a shopping list, not a database. " + std::string(5000, 'x');
  std::ofstream(folder_ / "list.db") << text;
  std::ofstream(folder_ / "empty.db").flush();
  for (const Mode mode : {Mode::read, Mode::write}) {
    EXPECT_THAT(refusal(folder_ / "list.db", mode),
                AllOf(HasSubstr("list.db"), HasSubstr("not a database")));
    EXPECT_THAT(refusal(folder_ / "empty.db", mode), HasSubstr("is empty (0 bytes)"));
    EXPECT_THAT(refusal(folder_ / "no-folder" / "x.db", mode), HasSubstr("there is no folder"));
    EXPECT_THAT(refusal(folder_, mode), HasSubstr("is not a regular file"));
  }
  EXPECT_THAT(refusal(folder_ / "absent.db", Mode::read), HasSubstr("there is no such file"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "absent.db"));
  EXPECT_EQ(bytes_of(folder_ / "list.db"), text);
  EXPECT_EQ(std::filesystem::file_size(folder_ / "empty.db"), 0u);
}

TEST_F(OpenTest, AForeignDatabaseIsRefusedAndStaysAsItWas) {
  for (const char* journal : {"DELETE", "WAL"}) {
    const auto file = folder_ / (std::string(journal) + ".db");
    {
      Sql sql(file);
      sql.run(std::string("PRAGMA journal_mode=") + journal +
              "; PRAGMA application_id=99; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    }
    const std::string before = bytes_of(file);
    EXPECT_THAT(refusal(file), HasSubstr("application_id is 99"));
    EXPECT_EQ(bytes_of(file), before) << journal;
  }
}

TEST_F(OpenTest, ANewerStoreIsRefusedAndStaysAsItWas) {
  make_store(file_);
  Sql(file_).run("PRAGMA user_version=77; PRAGMA wal_checkpoint(TRUNCATE)");
  const std::string before = bytes_of(file_);
  for (const Mode mode : {Mode::read, Mode::write})
    EXPECT_THAT(refusal(file_, mode), AllOf(HasSubstr("schema version 77"), HasSubstr("newer")));
  EXPECT_EQ(bytes_of(file_), before);
}

TEST_F(OpenTest, ADamagedFileIsRefusedAndKept) {
  make_store(file_);
  std::string bytes = bytes_of(file_);
  bytes.resize(bytes.size() / 2);
  std::ofstream(file_, std::ios::binary) << bytes;
  EXPECT_THAT(refusal(file_), HasSubstr(file_.string()));
  EXPECT_EQ(bytes_of(file_), bytes);
}

TEST_F(OpenTest, NetworkFileSystemsAreKnownByTheirMagic) {
  EXPECT_EQ(network_file_system(0x6969), "NFS");
  EXPECT_EQ(network_file_system(0xFF534D42u), "SMB");
  // statfs keeps the number in a signed word: the sign must not matter.
  EXPECT_EQ(network_file_system(static_cast<uint64_t>(static_cast<int32_t>(0xFF534D42u))), "SMB");
  EXPECT_EQ(network_file_system(0xEF53), "") << "ext4";
  EXPECT_EQ(network_file_system(0x01021994), "") << "tmpfs";
  EXPECT_EQ(network_file_system(0x794c7630), "") << "overlayfs";
}

TEST_F(OpenTest, AReadOnlyMountIsReadButNotWritten) {
  make_store(file_);
  const auto mounted = folder_ / "mounted";
  std::filesystem::create_directory(mounted);
  std::filesystem::create_directory(folder_ / "source");
  std::filesystem::copy_file(file_, folder_ / "source" / "moeval.db");
  if (mount((folder_ / "source").c_str(), mounted.c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "cannot mount here";
  if (mount(nullptr, mounted.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    umount(mounted.c_str());
    GTEST_SKIP() << "cannot mount read-only here";
  }
  const std::string before = bytes_of(mounted / "moeval.db");
  EXPECT_EQ(ResultStore::open(mounted / "moeval.db", Mode::read)->counts(1).done, 1);
  EXPECT_THAT(refusal(mounted / "moeval.db"), HasSubstr("moeval.db"));
  EXPECT_THAT(refusal(mounted / "fresh.db"), HasSubstr("fresh.db"));
  EXPECT_EQ(bytes_of(mounted / "moeval.db"), before);
  umount(mounted.c_str());
}

constexpr char kAddColumn[] = "ALTER TABLE run ADD COLUMN colour TEXT;";

TEST_F(OpenTest, AnOlderStoreIsMigratedWithABackupBeside) {
  make_store(file_);
  std::vector<Migration> two(schema_migrations().begin(), schema_migrations().end());
  two.push_back({kSchemaVersion + 1, kAddColumn});
  EXPECT_THAT(message_of<StoreError>([&] { open_store_file(file_, Mode::read, {}, two); }),
              HasSubstr("moeval verify --migrate --db"));
  open_store_file(file_, Mode::write, {}, two);
  EXPECT_EQ(Sql(file_).one("PRAGMA user_version"), std::to_string(kSchemaVersion + 1));
  EXPECT_EQ(Sql(file_).one("SELECT colour FROM run"), "~");
  std::vector<std::filesystem::path> backups;
  for (const auto& e : std::filesystem::directory_iterator(folder_)) {
    if (e.path().string().ends_with(".backup")) backups.push_back(e.path());
  }
  ASSERT_EQ(backups.size(), 1u);
  auto old = ResultStore::open(backups[0], Mode::read);
  EXPECT_THAT(old->verify().problems, IsEmpty());
  EXPECT_EQ(Sql(backups[0]).one("PRAGMA user_version"), std::to_string(kSchemaVersion));
  EXPECT_THAT(refusal(file_), HasSubstr(fmt::format("schema version {}", kSchemaVersion + 1)));
}

TEST_F(OpenTest, RowsOfTheFirstSchemaKeepTheirChecksums) {
  make_store(file_);
  Sql(file_).run(
      "ALTER TABLE attempt DROP COLUMN budget; ALTER TABLE prefix DROP COLUMN budget;"
      "ALTER TABLE attempt DROP COLUMN ood_score; ALTER TABLE attempt DROP COLUMN ood_flagged;"
      "ALTER TABLE attempt DROP COLUMN k_without_fallback;"
      "ALTER TABLE attempt_layer DROP COLUMN k_min;"
      "ALTER TABLE attempt_layer DROP COLUMN margin_mean;"
      "ALTER TABLE attempt_layer DROP COLUMN margin_min;"
      "DELETE FROM columns WHERE col IN ('budget', 'margin_mean', 'margin_min', 'ood_score', "
      "'ood_flagged', 'k_without_fallback')"
      "  OR (tbl = 'attempt_layer' AND col = 'k_min')"
      "  OR tbl IN ('v_question', 'v_need', 'v_misallocation');"
      "DROP VIEW v_misallocation; DROP VIEW v_need; DROP VIEW v_question;"
      "CREATE VIEW v_need AS SELECT 1; CREATE VIEW v_misallocation AS SELECT 1;"
      "PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)");
  EXPECT_THAT(refusal(file_, Mode::read), HasSubstr("moeval verify --migrate --db"));
  EXPECT_THAT(writer()->verify().problems, IsEmpty());
  EXPECT_EQ(Sql(file_).one("PRAGMA user_version"), std::to_string(kSchemaVersion));
  EXPECT_EQ(Sql(file_).one("SELECT COUNT(*) FROM attempt WHERE budget IS NULL"), "1");
}

TEST_F(OpenTest, AMigrationThatFailsHalfWayLeavesTheOldSchema) {
  make_store(file_);
  std::vector<Migration> two(schema_migrations().begin(), schema_migrations().end());
  two.push_back({kSchemaVersion + 1,
                 "ALTER TABLE run ADD COLUMN colour TEXT; INSERT INTO nowhere VALUES(1);"});
  EXPECT_THAT(message_of<StoreError>([&] { open_store_file(file_, Mode::write, {}, two); }),
              HasSubstr("nowhere"));
  EXPECT_EQ(Sql(file_).one("PRAGMA user_version"), std::to_string(kSchemaVersion));
  EXPECT_EQ(Sql(file_).one("SELECT COUNT(*) FROM pragma_table_info('run') WHERE name = 'colour'"),
            "0");
  EXPECT_THAT(reader()->verify().problems, IsEmpty());
}

TEST_F(OpenTest, ACreationThatFailsLeavesNoHalfMadeStore) {
  std::vector<Migration> fatal(schema_migrations().begin(), schema_migrations().end());
  const std::string sql = std::string(fatal[0].sql) + "\nINSERT INTO nowhere VALUES(1);";
  fatal[0].sql = sql;
  EXPECT_THAT(message_of<StoreError>([&] { open_store_file(file_, Mode::write, {}, fatal); }),
              HasSubstr("nowhere"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  writer();
  EXPECT_TRUE(std::filesystem::exists(file_));
}

TEST_F(OpenTest, NamesWithUriCharactersArePlainNames) {
  const auto odd = folder_ / "a?b#c%20d.db";
  make_store(odd);
  EXPECT_TRUE(std::filesystem::exists(odd));
  EXPECT_EQ(ResultStore::open(odd, Mode::read)->counts(1).done, 1);
}

}  // namespace
}  // namespace results
