#include "datasets/subject_files.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "datasets/cmmlu_reader.h"
#include "datasets/mmlu_redux_reader.h"
#include "datasets/pinned_reader.h"

namespace datasets {
namespace {

namespace fs = std::filesystem;

struct SubjectFiles {
  std::string_view name;
  std::vector<std::string_view> folders;  // under a root
  std::string_view file_prefix;           // of a file's name, before the subject
  std::vector<Sample> (*parse)(std::string_view bytes, const std::string& file,
                               std::string_view subject, std::string_view split);
};

const SubjectFiles* subject_files(std::string_view name) {
  static const std::array<SubjectFiles, 2> kAll = {{
      {"cmmlu", {"cmmlu", "cmmlu/data", "data", ""}, "", parse_cmmlu_csv},
      {"mmlu_redux",
       {"mmlu-redux/mmlu_redux", "mmlu_redux", ""},
       "mmlu_",
       [](std::string_view bytes, const std::string& file, std::string_view subject,
          std::string_view) { return parse_mmlu_redux_csv(bytes, file, subject); }},
  }};
  for (const SubjectFiles& s : kAll)
    if (s.name == name) return &s;
  return nullptr;
}

}  // namespace

bool has_subject_files(std::string_view dataset_name) {
  return subject_files(dataset_name) != nullptr;
}

std::optional<fs::path> find_subject_files(const PinnedDataset& pins, const fs::path& root) {
  for (const std::string_view under : subject_files(pins.name)->folders) {
    const fs::path folder = under.empty() ? root : root / under;
    for (const PinnedFile& pin : pins.files) {
      std::error_code error;
      if (fs::exists(folder / pin.path, error)) return folder;
    }
  }
  return std::nullopt;
}

Dataset load_subject_files(const PinnedDataset& pins, const fs::path& folder, bool may_differ) {
  const SubjectFiles& set = *subject_files(pins.name);
  PinnedReader reader(pins, may_differ);
  Dataset d;
  for (const PinnedFile& pin : pins.files) {
    const fs::path file = folder / pin.path;
    std::error_code error;
    if (!fs::exists(file, error)) {
      reader.differs(
          fmt::format("{}: missing, the manifest of {} lists it", file.string(), pins.name));
      continue;
    }
    const std::string subject = file.stem().string().substr(set.file_prefix.size());
    auto samples = set.parse(reader.read(file, pin.path), file.string(), subject, pin.split);
    auto& to = pin.split == "dev" ? d.demonstrations : d.samples;
    to.insert(to.end(), std::make_move_iterator(samples.begin()),
              std::make_move_iterator(samples.end()));
  }
  if (pins.name == "cmmlu") d.subject_names = cmmlu_subject_names();
  d.origin = reader.origin();
  d.sha256 = reader.sha256();
  return d;
}

}  // namespace datasets
