#include "results/store_file.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace results {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, std::string_view why) {
  throw StoreError(fmt::format("{}: {}", path.string(), why));
}

void refuse_network_file_system(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  struct statfs info {};
  if (statfs(folder.c_str(), &info) != 0)
    refuse(path, fmt::format("folder {}: {}", folder.string(), std::strerror(errno)));
  const std::string_view name = network_file_system(static_cast<uint64_t>(info.f_type));
  if (!name.empty())
    refuse(path, fmt::format("lies on a network file system ({}), where the store cannot be kept "
                             "safe; use a local folder",
                             name));
}

int64_t pragma_integer(Database& db, const std::string& pragma) {
  Statement s = db.prepare("PRAGMA " + pragma);
  return s.step() ? s.integer(0) : 0;
}

void check_kind(const fs::path& path, Database& db, int64_t newest) {
  const int64_t id = pragma_integer(db, "application_id");
  if (id != kApplicationId)
    refuse(path, fmt::format("is another program's database: application_id is {}, want {}", id,
                             kApplicationId));
  const int64_t version = pragma_integer(db, "user_version");
  if (version < 1 || version > newest)
    refuse(path, fmt::format("has schema version {}; this program knows 1 to {}{}", version, newest,
                             version > newest ? ": use a newer moeval" : ""));
}

void quick_check(const fs::path& path, Database& db) {
  Statement s = db.prepare("PRAGMA quick_check(1)");
  const std::string said = s.step() ? s.text(0) : "nothing";
  if (said != "ok")
    refuse(path, fmt::format("is damaged (quick_check: {}); keep the file aside and recover with "
                             "`sqlite3 FILE .recover`",
                             said.substr(0, said.find('\n'))));
}

// A read-only connection that looks without touching. On a read-only file system SQLite cannot
// make the WAL's side files; without a WAL the file is whole and may be read as it is.
std::unique_ptr<Database> open_to_read(const fs::path& path) {
  const std::string name = path.string();
  const std::string absolute = fs::absolute(path).string();
  auto db = std::make_unique<Database>(absolute, name, Database::Access::read, false);
  try {
    pragma_integer(*db, "user_version");
    pragma_integer(*db, "schema_version");
    return db;
  } catch (const StoreError&) {
    struct statvfs info {};
    const bool read_only = statvfs(absolute.c_str(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
    if (!read_only || fs::exists(absolute + "-wal")) throw;
  }
  std::string uri = "file:";
  for (const char c : absolute) {
    if (c == '?' || c == '#' || c == '%')
      uri += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    else
      uri += c;
  }
  return std::make_unique<Database>(uri + "?immutable=1", name, Database::Access::read, false);
}

void use_wal(const fs::path& path, Database& db) {
  Statement s = db.prepare("PRAGMA journal_mode=WAL");
  const std::string got = s.step() ? s.text(0) : "nothing";
  if (got != "wal") refuse(path, fmt::format("journal mode is {}, want wal", got));
}

void apply(Database& db, const Migration& m) {
  Transaction tx(db);
  db.exec(std::string(m.sql));
  db.exec(fmt::format("PRAGMA user_version={}", m.version));
  tx.commit();
}

void sync_folder(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

// Made beside its place and moved there whole: a kill in between leaves no half-made store.
void create(const fs::path& path, const StoreOptions& options,
            std::span<const Migration> migrations) {
  const fs::path fresh = path.string() + fmt::format(".new-{}", getpid());
  std::error_code ignored;
  fs::remove(fresh, ignored);
  try {
    {
      Database db(fs::absolute(fresh).string(), path.string(), Database::Access::write, true);
      db.apply_connection_settings(options.busy_timeout_ms);
      db.exec(fmt::format("PRAGMA application_id={}", kApplicationId));
      for (const Migration& m : migrations) apply(db, m);
      // Before the file gets its name: a kill while the mode changes leaves a rollback journal,
      // which the read-only look at an existing file could not clear.
      use_wal(path, db);
    }
    // RENAME_NOREPLACE: whoever came first wins.
    if (syscall(SYS_renameat2, AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), 1) != 0) {
      if (errno == EINVAL || errno == ENOSYS) {
        if (!fs::exists(path)) fs::rename(fresh, path);
      } else if (errno != EEXIST) {
        refuse(path, fmt::format("cannot create: {}", std::strerror(errno)));
      }
    }
    fs::remove(fresh, ignored);
    sync_folder(path);
  } catch (const fs::filesystem_error& e) {
    fs::remove(fresh, ignored);
    refuse(path, fmt::format("cannot create: {}", e.code().message()));
  } catch (...) {
    fs::remove(fresh, ignored);
    throw;
  }
}

void migrate(const fs::path& path, Database& db, std::span<const Migration> migrations) {
  const int64_t version = pragma_integer(db, "user_version");
  if (version == migrations.back().version) return;
  const fs::path backup =
      path.string() + fmt::format(".v{}-{:%Y%m%dT%H%M%S}.backup", version,
                                  fmt::gmtime(std::chrono::system_clock::now()));
  Statement vacuum = db.prepare("VACUUM INTO ?");
  vacuum.bind(1, fs::absolute(backup).string());
  vacuum.run();
  for (const Migration& m : migrations) {
    if (m.version > version) apply(db, m);
  }
  db.checkpoint_truncate();
}

}  // namespace

std::string_view network_file_system(uint64_t magic) {
  switch (magic & 0xffffffffu) {
    case 0x6969:
      return "NFS";
    case 0x517B:
    case 0xFE534D42u:
    case 0xFF534D42u:
      return "SMB";
    case 0x5346414F:
    case 0x6B414653:
      return "AFS";
    case 0x00C36400:
      return "Ceph";
    case 0x0BD00BD0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0x01021997:
      return "9p";
    case 0x19830326:
      return "BeeGFS";
    default:
      return {};
  }
}

std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(now), ms);
}

std::unique_ptr<Database> open_store_file(const fs::path& path, ResultStore::Mode mode,
                                          const StoreOptions& options,
                                          std::span<const Migration> migrations) {
  const int64_t newest = migrations.back().version;
  std::error_code ec;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, ec))
    refuse(path, fmt::format("there is no folder {}", folder.string()));
  refuse_network_file_system(path);
  const fs::file_status status = fs::status(path, ec);
  if (fs::exists(status) && !fs::is_regular_file(status)) refuse(path, "is not a regular file");
  if (!fs::exists(status)) {
    if (mode == ResultStore::Mode::read) refuse(path, "there is no such file");
    create(path, options, migrations);
  } else if (fs::file_size(path, ec) == 0) {
    refuse(path, "is empty (0 bytes), no result store; remove it or name another file");
  }

  // Looked at through a read-only connection first, so that what is not ours stays untouched.
  auto reader = open_to_read(path);
  check_kind(path, *reader, newest);
  quick_check(path, *reader);
  if (mode == ResultStore::Mode::read) {
    const int64_t version = pragma_integer(*reader, "user_version");
    if (version != newest)
      refuse(path, fmt::format("has schema version {}, this program's is {}; 'moeval verify "
                               "--migrate --db {}' brings it up to date and keeps a copy",
                               version, newest, path.string()));
    reader->apply_connection_settings(options.busy_timeout_ms);
    reader->exec("PRAGMA query_only=ON");
    return reader;
  }
  auto db = std::make_unique<Database>(fs::absolute(path).string(), path.string(),
                                       Database::Access::write, false);
  reader.reset();
  db->apply_connection_settings(options.busy_timeout_ms);
  use_wal(path, *db);
  migrate(path, *db, migrations);
  return db;
}

}  // namespace results
