// Owns the reader of MMLU's original layout: <root>/{dev,val,test}/<subject>_<split>.csv, no header
// row, six fields: question, A, B, C, D, answer letter. Text is kept byte for byte: nothing is
// trimmed, and "None" is an answer like any other.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"

namespace datasets {

struct MmluFile {
  std::string subject;
  std::filesystem::path path;
};

inline constexpr std::string_view kMmluSplits[] = {"dev", "val", "test"};
bool is_mmlu_split(std::string_view);

// The MMLU folder at or under `root` (root, root/mmlu, root/mmlu/data, root/data), or nothing. A
// folder counts when one of its split folders holds a file <subject>_<split>.csv.
std::optional<std::filesystem::path> find_mmlu_folder(const std::filesystem::path& root);

// Files of one split, sorted by subject. DataError: no such split folder, no file in it, or a
// subject name that is not lower-case letters, digits and underscores.
std::vector<MmluFile> list_mmlu_files(const std::filesystem::path& folder, std::string_view split);

// Samples of one file, ids "<id_prefix>/<subject>/<split>/<index from 0>". DataError with file,
// line, both values and the number of bad records: wrong number of fields, empty question, answer
// outside A..D.
std::vector<Sample> parse_mmlu_csv(std::string_view bytes, const std::string& file,
                                   std::string_view id_prefix, std::string_view subject,
                                   std::string_view split);

}  // namespace datasets
