#include "datasets/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datasets/data_error.h"
#include "datasets/embedded.h"

namespace datasets {
namespace {

std::vector<PinnedDataset> read_manifest(const char* list) {
  const auto files = embedded_files();
  const auto it = std::find_if(files.begin(), files.end(),
                               [](const auto& f) { return f.path == "manifest.json"; });
  if (it == files.end()) throw DataError("manifest.json: not built into this program");
  const auto manifest = nlohmann::json::parse(it->bytes);
  std::vector<PinnedDataset> all;
  for (const auto& d : manifest.at(list)) {
    PinnedDataset& dataset = all.emplace_back();
    d.at("name").get_to(dataset.name);
    d.at("licence").get_to(dataset.licence);
    d.at("source").get_to(dataset.source);
    d.at("note").get_to(dataset.note);
    d.at("splits").get_to(dataset.split_rows);
    for (const auto& f : d.at("files")) {
      PinnedFile& file = dataset.files.emplace_back();
      f.at("path").get_to(file.path);
      f.at("split").get_to(file.split);
      f.at("rows").get_to(file.rows);
      f.at("bytes").get_to(file.bytes);
      f.at("sha256").get_to(file.sha256);
      file.gzip_sha256 = f.value("gzip_sha256", "");
    }
  }
  return all;
}

}  // namespace

const PinnedFile* PinnedDataset::find(std::string_view path) const {
  const auto it =
      std::find_if(files.begin(), files.end(), [&](const auto& f) { return f.path == path; });
  return it == files.end() ? nullptr : &*it;
}

const std::vector<PinnedDataset>& pinned_datasets() {
  static const std::vector<PinnedDataset> all = read_manifest("datasets");
  return all;
}

const std::vector<PinnedDataset>& pinned_labels() {
  static const std::vector<PinnedDataset> all = read_manifest("labels");
  return all;
}

const PinnedDataset* find_pinned(std::string_view dataset_name) {
  const auto& all = pinned_datasets();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const auto& d) { return d.name == dataset_name; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace datasets
