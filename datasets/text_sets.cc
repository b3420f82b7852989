#include "datasets/text_sets.h"

#include <fmt/format.h>

#include <iterator>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "datasets/bbh_reader.h"
#include "datasets/data_error.h"
#include "datasets/gsm8k_reader.h"
#include "datasets/gsm_plus_reader.h"
#include "datasets/pinned_reader.h"

namespace datasets {
namespace {

namespace fs = std::filesystem;

struct TextSet {
  std::string_view name;
  std::vector<std::string_view> folders;  // under a root
  std::vector<std::string_view> holds;    // a folder counts when one of these is in it
};

const TextSet* text_set(std::string_view name) {
  static const std::vector<TextSet> kAll = {
      {"gsm8k", {"gsm8k", "grade_school_math/data"}, {"test.jsonl", "test.jsonl.gz"}},
      {"gsm_plus",
       {"gsm-plus", "gsm_plus", ""},
       {"gsmplus_testmini.jsonl", "gsmplus_testmini.jsonl.gz"}},
      {"bbh", {"bbh", "BIG-Bench-Hard", ""}, {"cot-prompts"}}};
  for (const TextSet& s : kAll)
    if (s.name == name) return &s;
  return nullptr;
}

bool text_file_exists(const fs::path& file) {
  std::error_code error;
  return fs::exists(file, error);
}

// FOLDER/name or FOLDER/name.gz; the plain name where there is neither.
fs::path plain_or_packed(const fs::path& folder, const std::string& name) {
  const fs::path packed = folder / (name + ".gz");
  return text_file_exists(packed) ? packed : folder / name;
}

std::vector<Sample> read_gsm8k_shown(PinnedReader& reader, const fs::path& folder,
                                     const std::string& pinned_path) {
  const fs::path file = plain_or_packed(folder, "train.jsonl");
  if (!text_file_exists(file))
    throw DataError(fmt::format("{}: missing; its first {} rows are the demonstrations",
                                file.string(), kGsm8kShown));
  std::vector<Sample> rows = parse_gsm8k(reader.read(file, pinned_path), file.string(), "train");
  if (rows.size() < kGsm8kShown)
    throw DataError(fmt::format("{}: {} rows, the first {} are the demonstrations", file.string(),
                                rows.size(), kGsm8kShown));
  rows.resize(kGsm8kShown);
  return rows;
}

Dataset load_gsm8k(PinnedReader& reader, const fs::path& folder) {
  const fs::path file = plain_or_packed(folder, "test.jsonl");
  Dataset d;
  d.samples = parse_gsm8k(reader.read(file, "test.jsonl"), file.string(), "test");
  d.demonstrations = read_gsm8k_shown(reader, folder, "train.jsonl");
  return d;
}

Dataset load_gsm_plus(PinnedReader& reader, const fs::path& folder, const fs::path& root) {
  const fs::path file = plain_or_packed(folder, "gsmplus_testmini.jsonl");
  Dataset d;
  d.samples = parse_gsm_plus(reader.read(file, "gsmplus_testmini.jsonl"), file.string());
  d.demonstrations = read_gsm8k_shown(reader, find_text_set("gsm8k", root).value_or(root / "gsm8k"),
                                      "gsm8k/train.jsonl");
  return d;
}

Dataset load_bbh(const PinnedDataset& pins, PinnedReader& reader, const fs::path& folder) {
  const std::vector<std::string> tasks = list_bbh_tasks(folder);
  const std::set<std::string> present(tasks.begin(), tasks.end());
  for (const PinnedFile& pin : pins.files)
    if (pin.split == "test" && !present.contains(fs::path(pin.path).stem().string()))
      reader.differs(fmt::format("{}: missing, the manifest of {} lists it",
                                 (folder / pin.path).string(), pins.name));
  Dataset d;
  const auto move_all = [](std::vector<Sample>& to, std::vector<Sample>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  for (const std::string& task : tasks) {
    const std::string questions = fmt::format("bbh/{}.json", task);
    const std::string shown = fmt::format("cot-prompts/{}.txt", task);
    if (!text_file_exists(folder / shown))
      throw DataError(fmt::format("{}: missing; task {} needs it for its demonstrations",
                                  (folder / shown).string(), task));
    move_all(d.samples, parse_bbh(reader.read(folder / questions, questions),
                                  (folder / questions).string(), task));
    BbhPrompt prompt =
        parse_bbh_prompt(reader.read(folder / shown, shown), (folder / shown).string(), task);
    d.instructions[task] = std::move(prompt.instruction);
    move_all(d.demonstrations, std::move(prompt.demonstrations));
  }
  return d;
}

}  // namespace

bool is_text_set(std::string_view name) { return text_set(name) != nullptr; }

std::optional<fs::path> find_text_set(std::string_view name, const fs::path& root) {
  const TextSet* set = text_set(name);
  if (!set) return std::nullopt;
  for (const std::string_view under : set->folders)
    for (const std::string_view file : set->holds) {
      const fs::path folder = under.empty() ? root : root / under;
      if (text_file_exists(folder / file)) return folder;
    }
  return std::nullopt;
}

Dataset load_text_set(const PinnedDataset& pins, const fs::path& folder, const fs::path& root,
                      bool may_differ) {
  PinnedReader reader(pins, may_differ);
  Dataset d = pins.name == "gsm8k"      ? load_gsm8k(reader, folder)
              : pins.name == "gsm_plus" ? load_gsm_plus(reader, folder, root)
                                        : load_bbh(pins, reader, folder);
  d.origin = reader.origin();
  d.sha256 = reader.sha256();
  return d;
}

}  // namespace datasets
