// Owns the pins of the official data sets: where each comes from, its licence, and every file's
// rows and SHA-256 (manifest.json, built into the program). Hashes only, never data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace datasets {

struct PinnedFile {
  std::string path;  // in the data set's folder, "test/virology_test.csv"
  std::string split;
  int64_t rows = 0;
  int64_t bytes = 0;        // not packed
  std::string sha256;       // of the bytes not packed
  std::string gzip_sha256;  // of the .gz that is published; empty where none is
};

struct PinnedDataset {
  std::string name, licence, source, note;
  std::map<std::string, int64_t> split_rows;
  std::vector<PinnedFile> files;  // sorted by split as in the source, then by path
  const PinnedFile* find(std::string_view path) const;
};

const std::vector<PinnedDataset>& pinned_datasets();
// Of what others say about samples of a data set (datasets/outside_labels.h).
const std::vector<PinnedDataset>& pinned_labels();
const PinnedDataset* find_pinned(std::string_view dataset_name);

}  // namespace datasets
