// Owns access to the migrations under results/schema/, embedded at build time. Internal to
// results/.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace results {

struct Migration {
  int64_t version;  // user_version after it
  std::string_view sql;
};

std::span<const Migration> schema_migrations();  // in order, 1, 2, ...

}  // namespace results
