// Owns opening, creating and migrating the store's file. Internal to results/.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "results/result_store.h"
#include "results/schema.h"
#include "results/sqlite.h"

namespace results {

// See ResultStore::open. `migrations` is a parameter so that tests can plan a future version.
std::unique_ptr<Database> open_store_file(
    const std::filesystem::path&, ResultStore::Mode, const StoreOptions&,
    std::span<const Migration> migrations = schema_migrations());

// Name of the network file system with this statfs magic number, or empty: WAL needs one host.
std::string_view network_file_system(uint64_t magic);

std::string utc_now();  // 2026-01-31T12:34:56.789Z

}  // namespace results
