// Owns the data sets of one file a subject whose files are those that the manifest lists: cmmlu and
// mmlu_redux. (MMLU itself may also be a folder of other subjects: mmlu_reader.h.)
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "datasets/manifest.h"
#include "datasets/sample.h"

namespace datasets {

bool has_subject_files(std::string_view dataset_name);

// The set's folder under `root`, the first that holds one of its files; or nothing.
std::optional<std::filesystem::path> find_subject_files(const PinnedDataset&,
                                                        const std::filesystem::path& root);

// The test split, with the dev split as demonstrations where there is one. Files that the manifest
// does not list are not looked at. DataError: a file missing or not as pinned, unless they may
// differ.
Dataset load_subject_files(const PinnedDataset&, const std::filesystem::path& folder,
                           bool may_differ);

}  // namespace datasets
