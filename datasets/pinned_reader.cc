#include "datasets/pinned_reader.h"

#include <fmt/format.h>

#include "datasets/data_error.h"
#include "datasets/input_bytes.h"
#include "datasets/sha256.h"

namespace datasets {

std::string PinnedReader::read(const std::filesystem::path& file, const std::string& pinned_path) {
  std::string bytes = read_file(file);
  const std::string packed_sha = sha256_hex(bytes);
  const bool was_packed = is_gzip(bytes);
  if (was_packed) bytes = gunzip(bytes, file.string());
  const std::string sha = was_packed ? sha256_hex(bytes) : packed_sha;
  hashes_ += sha;
  const PinnedFile* pin = pins_.find(pinned_path);
  if (pin && pin->sha256 == sha) return bytes;
  if (!pin)
    differs(fmt::format("{}: sha256 {}, the manifest of {} pins no file {}", file.string(), sha,
                        pins_.name, pinned_path));
  else if (was_packed && !pin->gzip_sha256.empty())
    differs(fmt::format("{}: sha256 {}, pinned is {} (unpacked: {}, pinned is {})", file.string(),
                        packed_sha, pin->gzip_sha256, sha, pin->sha256));
  else
    differs(fmt::format("{}: sha256 {}, pinned is {}", file.string(), sha, pin->sha256));
  return bytes;
}

void PinnedReader::differs(const std::string& what) {
  if (!may_differ_) throw DataError(what + " (--allow-unverified accepts it)");
  is_official_ = false;
}

std::string PinnedReader::sha256() const { return sha256_hex(hashes_); }

}  // namespace datasets
