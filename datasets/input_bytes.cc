#include "datasets/input_bytes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "datasets/data_error.h"

namespace datasets {
namespace {

struct Descriptor {
  int fd;
  explicit Descriptor(int f) : fd(f) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

struct Inflater {
  z_stream z{};
  explicit Inflater(const std::string& name) {
    if (inflateInit2(&z, 15 + 16) != Z_OK) throw DataError(name + ": zlib did not start");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&z); }
};

}  // namespace

std::string read_file(const std::filesystem::path& path, const InputLimits& limits) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0)
    throw DataError(fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
  struct stat st {};
  if (::fstat(file.fd, &st) != 0)
    throw DataError(fmt::format("{}: cannot stat: {}", path.string(), std::strerror(errno)));
  if (!S_ISREG(st.st_mode)) throw DataError(fmt::format("{}: not a regular file", path.string()));
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size == 0) throw DataError(fmt::format("{}: empty file", path.string()));
  if (size > limits.max_file_bytes)
    throw DataError(
        fmt::format("{}: {} bytes, the limit is {}", path.string(), size, limits.max_file_bytes));
  std::string bytes(static_cast<size_t>(size), '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t n = ::read(file.fd, bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw DataError(
          fmt::format("{}: byte {}: read failed: {}", path.string(), have, std::strerror(errno)));
    if (n == 0)
      throw DataError(
          fmt::format("{}: ended at byte {} of {} while being read", path.string(), have, size));
    have += static_cast<size_t>(n);
  }
  return bytes;
}

bool is_gzip(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
}

std::string gunzip(std::string_view bytes, const std::string& name, const InputLimits& limits) {
  constexpr size_t kChunk = size_t{256} << 10;
  constexpr size_t kRatioFrom = size_t{1} << 20;
  if (bytes.size() > limits.max_file_bytes)
    throw DataError(
        fmt::format("{}: {} bytes, the limit is {}", name, bytes.size(), limits.max_file_bytes));
  Inflater inflater(name);
  z_stream& z = inflater.z;
  std::string plain, chunk(kChunk, '\0');
  size_t used = 0;
  while (true) {
    const size_t give = std::min<size_t>(bytes.size() - used, size_t{1} << 30);
    // zlib's next_in is not const, but inflate never writes through it.
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + used));
    z.avail_in = static_cast<uInt>(give);
    z.next_out = reinterpret_cast<Bytef*>(chunk.data());
    z.avail_out = static_cast<uInt>(chunk.size());
    const int rc = inflate(&z, Z_NO_FLUSH);
    used += give - z.avail_in;
    const size_t made = chunk.size() - z.avail_out;
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
      throw DataError(fmt::format("{}: byte {}: damaged gzip: {}", name, used,
                                  z.msg ? z.msg : "no message from zlib"));
    if (made > limits.max_plain_bytes - plain.size())
      throw DataError(fmt::format("{}: unpacks to more than the limit of {} bytes", name,
                                  limits.max_plain_bytes));
    plain.append(chunk, 0, made);
    if (plain.size() > kRatioFrom && plain.size() / limits.max_gzip_ratio > bytes.size())
      throw DataError(fmt::format("{}: {} gzip bytes unpack to more than {} times as many", name,
                                  bytes.size(), limits.max_gzip_ratio));
    if (rc == Z_STREAM_END) {
      if (used == bytes.size()) return plain;
      if (!is_gzip(bytes.substr(used)))
        throw DataError(fmt::format("{}: byte {}: {} bytes after the end of the gzip stream", name,
                                    used, bytes.size() - used));
      if (inflateReset(&z) != Z_OK) throw DataError(name + ": zlib did not restart");
    } else if (used == bytes.size() && made == 0) {
      throw DataError(fmt::format("{}: gzip stream ends early, after {} bytes", name, used));
    }
  }
}

std::optional<size_t> find_invalid_utf8(std::string_view s) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  for (size_t i = 0; i < s.size();) {
    const unsigned char c = at(i);
    if (c < 0x80) {
      ++i;
      continue;
    }
    // Bounds of the second byte carry every exclusion of RFC 3629, section 4.
    size_t n = 0;
    unsigned char low = 0x80, high = 0xBF;
    if (c >= 0xC2 && c <= 0xDF) {
      n = 1;
    } else if (c >= 0xE0 && c <= 0xEF) {
      n = 2;
      if (c == 0xE0) low = 0xA0;
      if (c == 0xED) high = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
      n = 3;
      if (c == 0xF0) low = 0x90;
      if (c == 0xF4) high = 0x8F;
    } else {
      return i;
    }
    if (s.size() - i <= n || at(i + 1) < low || at(i + 1) > high) return i;
    for (size_t k = 2; k <= n; ++k)
      if (at(i + k) < 0x80 || at(i + k) > 0xBF) return i;
    i += n + 1;
  }
  return std::nullopt;
}

void require_text(std::string_view bytes, const std::string& name) {
  const size_t nul = bytes.find('\0');
  const auto invalid = find_invalid_utf8(bytes.substr(0, nul));
  if (nul == std::string_view::npos && !invalid) return;
  const size_t at = invalid ? *invalid : nul;
  const auto line = 1 + std::count(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(at), '\n');
  if (!invalid) throw DataError(fmt::format("{}:{}: byte {}: NUL", name, line, at));
  throw DataError(fmt::format("{}:{}: byte {}: 0x{:02x} is not valid UTF-8 here", name, line, at,
                              static_cast<unsigned char>(bytes[at])));
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out = "\"";
  for (const char ch : text.substr(0, max_bytes)) {
    const auto c = static_cast<unsigned char>(ch);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += ch;
    } else if (c < 0x20 || c >= 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += ch;
    }
  }
  return out + (text.size() > max_bytes ? "\"..." : "\"");
}

}  // namespace datasets
