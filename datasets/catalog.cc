#include "datasets/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <set>
#include <system_error>

#include "datasets/data_error.h"
#include "datasets/embedded.h"
#include "datasets/humaneval_reader.h"
#include "datasets/input_bytes.h"
#include "datasets/ladder_suite.h"
#include "datasets/manifest.h"
#include "datasets/mbpp_reader.h"
#include "datasets/mmlu_pro_reader.h"
#include "datasets/mmlu_reader.h"
#include "datasets/pinned_reader.h"
#include "datasets/prompt_reader.h"
#include "datasets/sha256.h"
#include "datasets/subject_files.h"
#include "datasets/text_sets.h"

namespace datasets {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEmbeddedEnding = "_embedded";
constexpr std::string_view kEmbeddedLicence = "written for this project";

bool may_differ(const LoadOptions& o) { return o.allow_unverified && !o.require_official; }

void append(std::vector<Sample>& to, std::vector<Sample>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

[[noreturn]] void throw_unknown_split(std::string_view name, std::string_view split,
                                      std::string_view has) {
  throw DataError(fmt::format("{} has no split '{}', only {}", name, split, has));
}

std::vector<Sample> read_mmlu_split(const fs::path& folder, std::string_view split,
                                    const std::set<std::string>* subjects,
                                    const PinnedDataset& pins, PinnedReader& reader) {
  std::set<std::string> present;
  std::vector<MmluFile> files = list_mmlu_files(folder, split);
  for (const MmluFile& f : files) present.insert(f.subject);
  const std::string ending = fmt::format("_{}.csv", split);
  if (subjects)
    for (const std::string& s : *subjects)
      if (!present.contains(s))
        throw DataError(fmt::format("{}: missing; subject {} needs it for its demonstrations",
                                    (folder / split / (s + ending)).string(), s));
  for (const PinnedFile& pin : pins.files) {
    if (pin.split != split) continue;
    const std::string file_name = fs::path(pin.path).filename().string();
    const std::string subject = file_name.substr(0, file_name.size() - ending.size());
    if (!present.contains(subject))
      reader.differs(fmt::format("{}: missing, the manifest of {} lists it",
                                 (folder / pin.path).string(), pins.name));
  }
  std::vector<Sample> samples;
  for (const MmluFile& f : files) {
    if (subjects && !subjects->contains(f.subject)) continue;
    const std::string pinned_path = fmt::format("{}/{}{}", split, f.subject, ending);
    append(samples, parse_mmlu_csv(reader.read(f.path, pinned_path), f.path.string(), pins.name,
                                   f.subject, split));
  }
  return samples;
}

Dataset load_mmlu(const PinnedDataset& pins, const fs::path& folder, const LoadOptions& options) {
  PinnedReader reader(pins, may_differ(options));
  Dataset d;
  d.samples = read_mmlu_split(folder, options.split, nullptr, pins, reader);
  std::set<std::string> subjects;
  for (const Sample& s : d.samples) subjects.insert(s.subset);
  d.demonstrations =
      options.split == "dev" ? d.samples : read_mmlu_split(folder, "dev", &subjects, pins, reader);
  d.origin = reader.origin();
  d.sha256 = reader.sha256();
  return d;
}

// Data sets of one file each, with the folders under a root where it is looked for.
struct SingleFile {
  std::string_view name, file;
  std::vector<std::string_view> folders;
  std::vector<Sample> (*parse)(std::string_view bytes, const std::string& file);
};

const SingleFile& single_file(std::string_view name) {
  static const std::vector<SingleFile> kAll = {
      {"humaneval",
       "HumanEval.jsonl",
       {"humaneval/data", "humaneval", "data", ""},
       parse_humaneval},
      {"humaneval_plus",
       "HumanEvalPlus-OriginFmt.jsonl",
       {"humaneval-plus", "humaneval_plus", ""},
       parse_humaneval},
      {"mbpp", "mbpp.jsonl", {"mbpp", ""}, parse_mbpp},
      {"recode", "humaneval_partial.jsonl", {"recode/nominal", "nominal", ""}, parse_humaneval},
      {"xstest", "xstest_prompts.csv", {"xstest", ""}, parse_xstest},
      {"harmbench",
       "harmbench_behaviors_text_all.csv",
       {"harmbench/behavior_datasets", "harmbench", "behavior_datasets", ""},
       parse_harmbench},
      {"mmlu_pro", "test.jsonl", {"mmlu-pro", "mmlu_pro"}, parse_mmlu_pro}};
  for (const SingleFile& s : kAll)
    if (s.name == name) return s;
  throw DataError(fmt::format("the manifest names {}, which has no reader", name));
}

std::optional<fs::path> find_single_file(std::string_view name, const fs::path& root) {
  const SingleFile& s = single_file(name);
  for (const std::string_view folder : s.folders)
    for (const char* ending : {".gz", ""}) {
      fs::path file = folder.empty() ? root : root / folder;
      file /= std::string(s.file) + ending;
      std::error_code error;
      if (fs::exists(file, error)) return file;
    }
  return std::nullopt;
}

Dataset load_single_file(const PinnedDataset& pins, const fs::path& file,
                         const LoadOptions& options) {
  PinnedReader reader(pins, may_differ(options));
  Dataset d;
  for (Sample& s :
       single_file(pins.name).parse(reader.read(file, pins.files.at(0).path), file.string()))
    (s.split == "dev" ? d.demonstrations : d.samples).push_back(std::move(s));
  d.origin = reader.origin();
  d.sha256 = reader.sha256();
  return d;
}

std::optional<fs::path> find_files(const PinnedDataset& pins, const fs::path& root) {
  if (pins.name == "mmlu") return find_mmlu_folder(root);
  if (has_subject_files(pins.name)) return find_subject_files(pins, root);
  return find_single_file(pins.name, root);
}

Dataset load_files(const PinnedDataset& pins, const fs::path& found, const LoadOptions& options) {
  if (pins.name == "mmlu") return load_mmlu(pins, found, options);
  if (has_subject_files(pins.name)) return load_subject_files(pins, found, may_differ(options));
  return load_single_file(pins, found, options);
}

// Embedded files of "mmlu_embedded" and split, or of "humaneval_embedded".
std::vector<EmbeddedFile> embedded_suite(std::string_view name, std::string_view split) {
  const std::string folder =
      name == "mmlu_embedded" ? fmt::format("embedded/mmlu/{}/", split) : "embedded/humaneval/";
  std::vector<EmbeddedFile> files;
  for (const EmbeddedFile& f : embedded_files())
    if (f.path.starts_with(folder)) files.push_back(f);
  return files;
}

std::vector<Sample> read_embedded(std::string_view name, std::string_view split,
                                  std::string& hashes) {
  std::vector<Sample> samples;
  for (const EmbeddedFile& f : embedded_suite(name, split)) {
    hashes += sha256_hex(f.bytes);
    const std::string file(f.path);
    if (name != "mmlu_embedded") {
      append(samples, parse_humaneval(f.bytes, file));
      continue;
    }
    const std::string stem = fs::path(file).stem().string();
    append(samples, parse_mmlu_csv(f.bytes, file, name,
                                   stem.substr(0, stem.size() - split.size() - 1), split));
  }
  return samples;
}

Dataset load_embedded(std::string_view name, const LoadOptions& options) {
  const bool is_mmlu = name == "mmlu_embedded";
  if (options.split != "test" && !(is_mmlu && options.split == "dev"))
    throw_unknown_split(name, options.split, is_mmlu ? "dev and test" : "test");
  Dataset d;
  std::string hashes;
  d.name = name;
  d.origin = "embedded";
  d.licence = kEmbeddedLicence;
  d.samples = read_embedded(name, options.split, hashes);
  if (is_mmlu)
    d.demonstrations = options.split == "dev" ? d.samples : read_embedded(name, "dev", hashes);
  d.sha256 = sha256_hex(hashes);
  return d;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

[[noreturn]] void throw_unknown_name(std::string_view name) {
  std::string nearest, all;
  size_t best = SIZE_MAX;
  for (const DatasetInfo& info : dataset_infos()) {
    all += (all.empty() ? "" : ", ") + info.name;
    const size_t distance = edit_distance(name.substr(0, 64), info.name);
    if (distance < best) {
      best = distance;
      nearest = info.name;
    }
  }
  throw DataError(
      fmt::format("no data set is named {}; did you mean {}? ({})", printable(name), nearest, all));
}

}  // namespace

std::vector<DatasetInfo> dataset_infos() {
  std::vector<DatasetInfo> infos;
  for (const PinnedDataset& d : pinned_datasets())
    infos.push_back({d.name, d.licence, d.source, d.split_rows, false});
  for (const std::string_view name : {"mmlu_embedded", "humaneval_embedded"}) {
    DatasetInfo info{std::string(name), std::string(kEmbeddedLicence), "this program", {}, true};
    std::string hashes;
    for (const std::string split : {"dev", "test"}) {
      if (name == "humaneval_embedded" && split == "dev") continue;
      info.split_rows[split] = static_cast<int64_t>(read_embedded(name, split, hashes).size());
    }
    infos.push_back(std::move(info));
  }
  for (const std::string& name : ladder_names()) {
    const Dataset d = make_ladder(name);
    const auto rows = [](const auto& samples) { return static_cast<int64_t>(samples.size()); };
    infos.push_back({name,
                     d.licence,
                     "this program",
                     {{"dev", rows(d.demonstrations)}, {"test", rows(d.samples)}},
                     true});
  }
  return infos;
}

Dataset load(std::string_view name, const std::vector<fs::path>& search_roots,
             const LoadOptions& options) {
  if (name == "mmlu_embedded" || name == "humaneval_embedded") {
    if (options.require_official)
      throw DataError(fmt::format("{} is not an official data set", name));
    return load_embedded(name, options);
  }
  if (is_ladder_name(name)) {
    if (options.require_official)
      throw DataError(fmt::format("{} is not an official data set", name));
    if (options.split != "test") throw_unknown_split(name, options.split, "test");
    return make_ladder(name);
  }
  const PinnedDataset* pins = find_pinned(name);
  if (!pins) throw_unknown_name(name);
  const bool is_mmlu = name == "mmlu";
  if (is_mmlu ? !is_mmlu_split(options.split) : options.split != "test")
    throw_unknown_split(name, options.split, is_mmlu ? "dev, val and test" : "test");

  std::string looked;
  for (const fs::path& root : search_roots) {
    std::error_code error;
    if (!fs::is_directory(root, error))
      throw DataError(
          fmt::format("{}: no such folder (looking for data set {})", root.string(), name));
    looked += (looked.empty() ? "" : ", ") + root.string();
    const bool is_text = is_text_set(name);
    const auto found = is_text ? find_text_set(name, root) : find_files(*pins, root);
    if (!found) continue;
    Dataset d = is_text ? load_text_set(*pins, *found, root, may_differ(options))
                        : load_files(*pins, *found, options);
    d.name = name;
    d.licence = pins->licence;
    return d;
  }
  const std::string embedded = fmt::format("{}{}", name, kEmbeddedEnding);
  if (!options.require_official && (is_mmlu || name == "humaneval"))
    return load_embedded(embedded, options);
  throw DataNotFound(fmt::format("data set {} not found in: {}; it comes from {}{}", name,
                                 looked.empty() ? "(no folder given)" : looked, pins->source,
                                 pins->note.empty() ? "" : fmt::format(" ({})", pins->note)));
}

Dataset load_recode(const RecodeMethod& method, int draw, const std::vector<fs::path>& search_roots,
                    const LoadOptions& options) {
  const PinnedDataset* pins = find_pinned("recode");
  if (!pins) throw DataError("the manifest has no data set recode");
  const std::string path = recode_path(method, draw);
  std::string looked;
  for (const fs::path& root : search_roots) {
    looked += (looked.empty() ? "" : ", ") + root.string();
    for (const char* folder : {"recode", ""})
      for (const char* ending : {".gz", ""}) {
        fs::path file = *folder ? root / folder : root;
        file /= path + ending;
        std::error_code error;
        if (!fs::exists(file, error)) continue;
        PinnedReader reader(*pins, may_differ(options));
        Dataset d;
        d.name = pins->name;
        d.licence = pins->licence;
        d.samples = parse_humaneval(reader.read(file, path), file.string());
        d.origin = reader.origin();
        d.sha256 = reader.sha256();
        return d;
      }
  }
  throw DataNotFound(fmt::format("recode/{}.gz not found in: {}; it comes from {}", path,
                                 looked.empty() ? "(no folder given)" : looked, pins->source));
}

std::vector<fs::path> default_search_roots() {
  const char* root = std::getenv("MOEVAL_DATA");
  return root && *root ? std::vector<fs::path>{root} : std::vector<fs::path>{};
}

}  // namespace datasets
