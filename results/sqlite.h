// Owns the thin wrapper around the SQLite C interface: every failure is a StoreError that names the
// file. Internal to results/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "results/store_error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace results {

class Statement;

// One connection. Not thread-safe: the caller serialises.
class Database {
 public:
  enum class Access { read, write };
  // uri: what sqlite3_open_v2 takes with SQLITE_OPEN_URI; name: the file as the user knows it.
  Database(const std::string& uri, std::string name, Access access, bool create);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void exec(const std::string& sql);
  Statement prepare(std::string_view sql);
  int64_t last_insert_rowid() const;
  bool in_transaction() const;
  // Settings of reliability.md 5.4 that hold for every connection.
  void apply_connection_settings(int busy_timeout_ms);
  // Moves the WAL into the file and truncates it; a reader that holds it back is no error.
  void checkpoint_truncate();

  [[noreturn]] void fail(std::string_view what) const;  // adds SQLite's message and code
  const std::string& name() const { return name_; }
  sqlite3* handle() const { return db_; }

 private:
  sqlite3* db_ = nullptr;
  std::string name_;
};

// BEGIN IMMEDIATE ... COMMIT; rolled back when it goes out of scope without commit().
class Transaction {
 public:
  explicit Transaction(Database&);
  ~Transaction();
  void commit();

 private:
  Database& db_;
  bool open_ = true;
};

// A prepared statement. Parameters and columns count from 1 and 0, as in SQLite.
class Statement {
 public:
  Statement(Database& db, std::string_view sql);
  ~Statement();
  Statement(Statement&&) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int i, int64_t v);
  Statement& bind(int i, double v);  // NaN becomes NULL
  Statement& bind(int i, std::string_view v);
  Statement& bind_blob(int i, std::string_view v);
  Statement& bind_null(int i);
  template <class T>
  Statement& bind(int i, const std::optional<T>& v) {
    return v ? bind(i, *v) : bind_null(i);
  }
  Statement& bind(int i, const std::string& v) { return bind(i, std::string_view(v)); }
  Statement& bind(int i, const char* v) { return bind(i, std::string_view(v)); }
  Statement& bind(int i, int v) { return bind(i, static_cast<int64_t>(v)); }

  bool step();  // true: a row is there
  void run();   // no row expected; then ready to be bound again
  void reset();

  bool is_null(int c) const;
  int64_t integer(int c) const;
  double real(int c) const;
  std::string text(int c) const;  // text or blob, raw bytes
  void read(int c, int64_t& v) const { v = integer(c); }
  void read(int c, double& v) const { v = real(c); }
  void read(int c, std::string& v) const { v = text(c); }
  template <class T>
  void read(int c, std::optional<T>& v) const {
    v.reset();
    if (!is_null(c)) read(c, v.emplace());
  }

 private:
  Database* db_;
  sqlite3_stmt* stmt_ = nullptr;
};

}  // namespace results
