// Owns how the files of a pinned set enter: each is held against its SHA-256.
#pragma once

#include <filesystem>
#include <string>

#include "datasets/manifest.h"

namespace datasets {

// Reads the files of one load, checks each against its pin and folds their hashes into one. pins
// must outlive this.
class PinnedReader {
 public:
  PinnedReader(const PinnedDataset& pins, bool may_differ) : pins_(pins), may_differ_(may_differ) {}

  // Plain bytes of `file`, gzip undone, whose pin is `pinned_path`. DataError: unreadable, or not
  // as pinned.
  std::string read(const std::filesystem::path& file, const std::string& pinned_path);

  // Something is not as pinned: an error, unless it may be.
  void differs(const std::string& what);

  std::string origin() const { return is_official_ ? "official" : "unverified"; }
  std::string sha256() const;

 private:
  const PinnedDataset& pins_;
  bool may_differ_;
  bool is_official_ = true;
  std::string hashes_;
};

}  // namespace datasets
