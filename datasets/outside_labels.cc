#include "datasets/outside_labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <system_error>

#include "datasets/csv.h"
#include "datasets/data_error.h"
#include "datasets/input_bytes.h"
#include "datasets/manifest.h"
#include "datasets/pinned_reader.h"

namespace datasets {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFolders = {"routellm/mmlu/responses", "routellm/evals/mmlu/responses",
                                 "evals/mmlu/responses", "mmlu/responses"};
constexpr std::string_view kBegin = "mmlu_", kEnd = ".csv";

std::optional<fs::path> find_file(const fs::path& folder, const std::string& name) {
  for (const char* ending : {".gz", ""}) {
    const fs::path file = folder / (name + ending);
    std::error_code error;
    if (fs::exists(file, error)) return file;
  }
  return std::nullopt;
}

bool parse_truth(const std::string& text, const std::string& file, size_t line,
                 const std::string& model) {
  if (text == "True") return true;
  if (text == "False") return false;
  throw DataError(
      fmt::format("{}:{}: {} is {}, want True or False", file, line, model, printable(text)));
}

}  // namespace

std::string_view outside_difficulty_name(OutsideDifficulty d) {
  constexpr std::array kNames = {"both right", "one right", "none right"};
  return kNames.at(static_cast<size_t>(d));
}

void parse_outside_csv(std::string_view bytes, const std::string& file, std::string_view subject,
                       OutsideLabels* out) {
  const auto records = parse_csv(bytes, file);
  const auto& names = records.front().fields;
  if (names.size() != 3 || names[0] != "prompt")
    throw DataError(fmt::format("{}:{}: columns {}, want prompt and two models", file,
                                records.front().line,
                                printable(fmt::format("{}", fmt::join(names, ",")))));
  const std::vector<std::string> models(names.begin() + 1, names.end());
  if (out->models.empty()) out->models = models;
  if (out->models != models)
    throw DataError(fmt::format("{}:{}: models {}, in the files before {}", file,
                                records.front().line,
                                printable(fmt::format("{}", fmt::join(models, ","))),
                                printable(fmt::format("{}", fmt::join(out->models, ",")))));
  for (size_t i = 1; i < records.size(); ++i) {
    const auto& r = records[i];
    if (r.fields.size() != names.size())
      throw DataError(fmt::format("{}:{}: {} fields, expected {}", file, r.line, r.fields.size(),
                                  names.size()));
    int right = 0;
    for (size_t m = 0; m < models.size(); ++m)
      right += parse_truth(r.fields[m + 1], file, r.line, printable(models[m]));
    out->of_sample[fmt::format("mmlu/{}/test/{}", subject, i - 1)] =
        kOutsideDifficulties[static_cast<size_t>(2 - right)];
  }
}

std::optional<OutsideLabels> load_outside_labels(const std::vector<fs::path>& roots,
                                                 bool allow_unverified) {
  const PinnedDataset& pins = pinned_labels().at(0);
  for (const fs::path& root : roots)
    for (const char* folder : kFolders) {
      const fs::path at = root / folder;
      if (!find_file(at, pins.files.at(0).path)) continue;
      PinnedReader reader(pins, allow_unverified);
      OutsideLabels out;
      for (const PinnedFile& pin : pins.files) {
        const auto file = find_file(at, pin.path);
        if (!file)
          throw DataError(fmt::format("{}: missing, the manifest of {} lists it",
                                      (at / pin.path).string(), pins.name));
        const auto subject = std::string_view(pin.path).substr(
            kBegin.size(), pin.path.size() - kBegin.size() - kEnd.size());
        parse_outside_csv(reader.read(*file, pin.path), file->string(), subject, &out);
      }
      out.origin = reader.origin();
      return out;
    }
  return std::nullopt;
}

}  // namespace datasets
