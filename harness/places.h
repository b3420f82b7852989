// Owns where things lie: cache folder, data folders, models by name or path.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace harness {

// MOEVAL_CACHE, else XDG_CACHE_HOME/moeval, else ~/.cache/moeval. Not created here.
std::filesystem::path cache_folder();

// Folders searched for official data, in order: `option` (--data) alone when given, else
// MOEVAL_DATA
// (':' separates several), then the data folder of the cache.
std::vector<std::filesystem::path> data_folders(const std::string& option);

// A path that exists, or the cached file of a catalog name; the ladder model is made on the spot.
// Throws UsageError: what is known, and the pull command when the name is known but not fetched
// yet.
std::filesystem::path resolve_model(const std::string& name_or_path);

// The catalog name, or the file or folder name: for tables.
std::string model_label(const std::string& name_or_path);

}  // namespace harness
