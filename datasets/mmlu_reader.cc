#include "datasets/mmlu_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "datasets/csv.h"
#include "datasets/data_error.h"
#include "datasets/input_bytes.h"

namespace datasets {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFields = 6;

bool is_subject_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// File names in `folder`/`split` that end as the split's files do; empty when there is no folder.
std::vector<std::string> split_file_names(const fs::path& folder, std::string_view split) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(folder / split, error);
  const std::string ending = fmt::format("_{}.csv", split);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name.ends_with(ending)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What is wrong with a record; empty when nothing is.
std::string problem_of(const CsvRecord& r) {
  if (r.fields.size() != kFields)
    return fmt::format("{} fields, expected {}", r.fields.size(), kFields);
  if (r.fields[0].empty()) return "the question is empty";
  const std::string& answer = r.fields[5];
  if (answer.size() != 1 || answer[0] < 'A' || answer[0] > 'D')
    return fmt::format("answer is {}, expected one of A, B, C, D", printable(answer));
  return "";
}

}  // namespace

bool is_mmlu_split(std::string_view split) {
  return std::find(std::begin(kMmluSplits), std::end(kMmluSplits), split) != std::end(kMmluSplits);
}

std::optional<fs::path> find_mmlu_folder(const fs::path& root) {
  for (const fs::path& folder : {root / "mmlu", root / "mmlu" / "data", root / "data", root})
    for (const std::string_view split : kMmluSplits)
      if (!split_file_names(folder, split).empty()) return folder;
  return std::nullopt;
}

std::vector<MmluFile> list_mmlu_files(const fs::path& folder, std::string_view split) {
  const fs::path split_folder = folder / split;
  std::error_code error;
  if (!fs::is_directory(split_folder, error))
    throw DataError(
        fmt::format("{}: no such folder (MMLU split '{}')", split_folder.string(), split));
  std::vector<MmluFile> files;
  for (const std::string& name : split_file_names(folder, split)) {
    std::string subject = name.substr(0, name.size() - split.size() - 5);
    if (!is_subject_name(subject))
      throw DataError(fmt::format("{}: {} is no subject name (a-z, 0-9 and _, at most 64)",
                                  split_folder.string(), printable(subject)));
    files.push_back({std::move(subject), split_folder / name});
  }
  if (files.empty())
    throw DataError(
        fmt::format("{}: no file named <subject>_{}.csv", split_folder.string(), split));
  // By subject, not by file name: "a_b" sorts otherwise before "a" followed by "_test.csv".
  std::sort(files.begin(), files.end(),
            [](const MmluFile& a, const MmluFile& b) { return a.subject < b.subject; });
  return files;
}

std::vector<Sample> parse_mmlu_csv(std::string_view bytes, const std::string& file,
                                   std::string_view id_prefix, std::string_view subject,
                                   std::string_view split) {
  std::vector<CsvRecord> records = parse_csv(bytes, file);
  std::string first_problem;
  size_t n_bad = 0;
  for (const CsvRecord& r : records) {
    const std::string problem = problem_of(r);
    if (problem.empty()) continue;
    if (n_bad++ == 0) first_problem = fmt::format("{}:{}: {}", file, r.line, problem);
  }
  if (n_bad != 0)
    throw DataError(fmt::format("{} ({} bad of {} records)", first_problem, n_bad, records.size()));

  std::vector<Sample> samples;
  samples.reserve(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    auto& f = records[i].fields;
    Sample s;
    s.id = fmt::format("{}/{}/{}/{}", id_prefix, subject, split, i);
    s.subset = subject;
    s.split = split;
    s.input = std::move(f[0]);
    s.answer = f[5][0] - 'A';
    s.choices.assign(std::make_move_iterator(f.begin() + 1),
                     std::make_move_iterator(f.begin() + 5));
    samples.push_back(std::move(s));
  }
  return samples;
}

}  // namespace datasets
