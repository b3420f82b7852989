// Owns how the data sets of several files whose answers are texts are put together: GSM8K, GSM-Plus
// and BIG-Bench Hard, each with the demonstrations that stand before its questions.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "datasets/manifest.h"
#include "datasets/sample.h"

namespace datasets {

bool is_text_set(std::string_view name);

// The folder of the set at or under `root`, or nothing.
std::optional<std::filesystem::path> find_text_set(std::string_view name,
                                                   const std::filesystem::path& root);

// Of a folder so found. `root`: GSM-Plus takes its demonstrations from GSM8K's training file there.
// Name and licence are left to the caller. DataError: a file that is missing, damaged, or not as
// pinned.
Dataset load_text_set(const PinnedDataset& pins, const std::filesystem::path& folder,
                      const std::filesystem::path& root, bool may_differ);

}  // namespace datasets
