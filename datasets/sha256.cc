#include "datasets/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "datasets/data_error.h"

namespace datasets {
namespace {

struct Hasher {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> ctx{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  Hasher() { EVP_DigestInit_ex(ctx.get(), EVP_sha256(), nullptr); }
  void add(const void* p, size_t n) { EVP_DigestUpdate(ctx.get(), p, n); }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> md;
    unsigned int n = 0;
    EVP_DigestFinal_ex(ctx.get(), md.data(), &n);
    std::string out;
    for (unsigned int i = 0; i < n; ++i) out += fmt::format("{:02x}", md[i]);
    return out;
  }
};

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  Hasher h;
  h.add(bytes.data(), bytes.size());
  return h.hex();
}

std::string sha256_file(const std::filesystem::path& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> f{std::fopen(path.c_str(), "rb"), std::fclose};
  if (!f) throw DataError(fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
  Hasher h;
  std::string buffer(1 << 20, '\0');
  while (size_t n = std::fread(buffer.data(), 1, buffer.size(), f.get())) h.add(buffer.data(), n);
  if (std::ferror(f.get())) throw DataError(fmt::format("{}: read failed", path.string()));
  return h.hex();
}

}  // namespace datasets
