#include "results/checksum.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <bit>
#include <cmath>
#include <new>

namespace results {

std::string sha256_hex(std::string_view bytes) {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<unsigned char, 32> digest{};
  unsigned n = 0;
  if (md == nullptr || EVP_Digest(bytes.data(), bytes.size(), digest.data(), &n, md, nullptr) != 1)
    throw std::bad_alloc();
  static constexpr char kHex[] = "0123456789abcdef";
  std::string hex(64, '0');
  for (size_t i = 0; i < 32; ++i) {
    hex[2 * i] = kHex[digest[i] >> 4];
    hex[2 * i + 1] = kHex[digest[i] & 15];
  }
  return hex;
}

Canonical& Canonical::field(std::string_view name, int64_t v) {
  fmt::format_to(std::back_inserter(text_), "{}:I{}\n", name, v);
  return *this;
}

Canonical& Canonical::field(std::string_view name, double v) {
  if (std::isnan(v)) return null(name);
  fmt::format_to(std::back_inserter(text_), "{}:R{:016x}\n", name,
                 std::bit_cast<uint64_t>(v == 0 ? 0.0 : v));
  return *this;
}

Canonical& Canonical::field(std::string_view name, std::string_view v) {
  fmt::format_to(std::back_inserter(text_), "{}:T{}:", name, v.size());
  (text_ += v) += '\n';
  return *this;
}

Canonical& Canonical::null(std::string_view name) {
  (text_ += name) += ":N\n";
  return *this;
}

std::string chain_link(std::string_view previous, std::string_view row_sha256) {
  std::string both(previous);
  both += row_sha256;
  return sha256_hex(both);
}

}  // namespace results
