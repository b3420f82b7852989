// Owns the checksums of rows: SHA-256 over a canonical text of a row's content, and the chain over
// them. Ids, chain values and file offsets are no content. Internal to results/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace results {

std::string sha256_hex(std::string_view bytes);  // 64 lower-case hex digits

// Each field is written as `name:` and a tagged value: N, I<decimal>, R<bits in hex>, or
// T<length>:<bytes>, and a line feed. A real keeps its exact bits; -0 counts as 0 and NaN as N,
// because SQLite stores them so.
class Canonical {
 public:
  explicit Canonical(std::string_view kind) { (text_ += kind) += '\n'; }
  Canonical& field(std::string_view name, int64_t v);
  Canonical& field(std::string_view name, double v);
  Canonical& field(std::string_view name, std::string_view v);
  Canonical& field(std::string_view name, const std::string& v) {
    return field(name, std::string_view(v));
  }
  Canonical& field(std::string_view name, const char* v) {
    return field(name, std::string_view(v));
  }
  template <class T>
  Canonical& field(std::string_view name, const std::optional<T>& v) {
    return v ? field(name, *v) : null(name);
  }
  Canonical& null(std::string_view name);
  std::string sha256() const { return sha256_hex(text_); }

 private:
  std::string text_;
};

// Link i of a run's chain; link -1 is the run's own row_sha256.
std::string chain_link(std::string_view previous, std::string_view row_sha256);

}  // namespace results
