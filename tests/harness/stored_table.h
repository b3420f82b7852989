// Owns the comparison of two databases: everything stored but times, ids and chain values.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace stored {

// All rows of a query, one line each, values separated by tabs.
inline std::string rows(const std::filesystem::path& db, const std::string& sql) {
  sqlite3* handle = nullptr;
  if (sqlite3_open_v2(db.c_str(), &handle, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) {
    sqlite3_close(handle);
    throw std::runtime_error("cannot open " + db.string());
  }
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    const std::string why = sqlite3_errmsg(handle);
    sqlite3_close(handle);
    throw std::runtime_error(why + " in: " + sql);
  }
  std::string out;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    for (int c = 0; c < sqlite3_column_count(statement); ++c) {
      const auto* text = sqlite3_column_text(statement, c);
      if (c) out += '\t';
      out += text == nullptr ? "NULL" : reinterpret_cast<const char*>(text);
    }
    out += '\n';
  }
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return out;
}

// Runs statements that change a database, as nobody should.
inline void change(const std::filesystem::path& db, const std::string& sql) {
  sqlite3* handle = nullptr;
  const bool done =
      sqlite3_open_v2(db.c_str(), &handle, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK &&
      sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  const std::string why = sqlite3_errmsg(handle);
  sqlite3_close(handle);
  if (!done) throw std::runtime_error(why + " in: " + sql);
}

}  // namespace stored
