#include "harness/calibration_text.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "datasets/csv.h"
#include "datasets/data_error.h"
#include "datasets/embedded.h"
#include "datasets/sha256.h"

namespace harness {
namespace {

constexpr std::string_view kTexts = "embedded/calibration/", kRows = "embedded/mmlu/dev/";

std::string hash_of(const std::vector<std::string>& documents) {
  std::string all;
  for (const auto& d : documents) all += datasets::sha256_hex(d) + "\n";
  return datasets::sha256_hex(all);
}

std::string questions(const datasets::EmbeddedFile& file) {
  std::string text;
  for (const auto& record : datasets::parse_csv(file.bytes, std::string(file.path))) {
    const auto& f = record.fields;
    text += fmt::format("Question: {}\nA. {}\nB. {}\nC. {}\nD. {}\nAnswer: {}\n\n", f.at(0),
                        f.at(1), f.at(2), f.at(3), f.at(4), f.at(5));
  }
  return text;
}

}  // namespace

CalibrationText calibration_files(const std::vector<std::string>& paths) {
  CalibrationText out;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream bytes;
    if (in) bytes << in.rdbuf();
    std::error_code ignored;
    if (!in || std::filesystem::is_directory(path, ignored)) {
      throw datasets::DataError(fmt::format("{}: cannot be read as calibration text", path));
    }
    out.documents.push_back(std::move(bytes).str());
    if (out.documents.back().empty()) {
      throw datasets::DataError(fmt::format("{}: is empty, want calibration text", path));
    }
    out.name += (out.name.empty() ? "" : ", ") + std::filesystem::path(path).filename().string();
  }
  out.sha256 = hash_of(out.documents);
  return out;
}

CalibrationText default_calibration() {
  CalibrationText out;
  out.name = "built-in calibration text";
  for (const auto& file : datasets::embedded_files()) {
    if (file.path.starts_with(kTexts)) out.documents.emplace_back(file.bytes);
    if (file.path.starts_with(kRows)) out.documents.push_back(questions(file));
  }
  out.sha256 = hash_of(out.documents);
  return out;
}

}  // namespace harness
