// Owns the way from a ResultStore to its connection for queries. Internal to results/.
#pragma once

#include <mutex>

#include "results/result_store.h"
#include "results/sqlite.h"

namespace results {

// Holds the connection's lock while it lives.
class StoreReader {
 public:
  explicit StoreReader(const ResultStore&);
  Database& db() { return db_; }

 private:
  std::unique_lock<std::mutex> lock_;
  Database& db_;
};

}  // namespace results
