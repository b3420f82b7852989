#include "harness/recode.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "datasets/catalog.h"
#include "datasets/recode_files.h"
#include "harness/places.h"

namespace harness {
namespace {

using datasets::RecodeMethod;

void append_draws(const RecodeMethod& m, std::vector<std::string>* out) {
  for (int draw = 0; draw < std::min(m.draws, kRecodeDraws); ++draw)
    out->push_back(fmt::format("{}.{}:{}", kRecode, m.name, draw));
}

std::shared_ptr<const datasets::Dataset> official_file(const RecodeMethod& method, int draw,
                                                       const std::string& data,
                                                       bool allow_unverified) {
  std::vector<std::filesystem::path> roots;
  std::string where;
  for (const auto& root : data_folders(data == "embedded" ? "" : data))
    if (std::filesystem::is_directory(root)) {
      roots.push_back(root);
      where += root.string() + ":";
    }
  // A plan reads its shifts several times; they are equal only with the very same file.
  static std::mutex mutex;
  static std::map<std::tuple<std::string, int, std::string, bool>,
                  std::shared_ptr<const datasets::Dataset>>
      read;
  const std::lock_guard lock(mutex);
  auto& file = read[{std::string(method.name), draw, where, allow_unverified}];
  if (!file) {
    datasets::LoadOptions options;
    options.allow_unverified = allow_unverified;
    file = std::make_shared<datasets::Dataset>(datasets::load_recode(method, draw, roots, options));
  }
  return file;
}

}  // namespace

std::vector<std::string> expand_recode(const std::vector<std::string>& shifts) {
  std::vector<std::string> out;
  for (const std::string& text : shifts) {
    const std::string prefix = fmt::format("{}.", kRecode);
    const RecodeMethod* method = text.starts_with(prefix)
                                     ? datasets::find_recode_method(text.substr(prefix.size()))
                                     : nullptr;
    if (text == kRecode)
      for (const RecodeMethod& m : datasets::recode_methods()) append_draws(m, &out);
    else if (method != nullptr)
      append_draws(*method, &out);
    else
      out.push_back(text);
  }
  return out;
}

tasks::Shift with_official_file(tasks::Shift shift, const std::string& data,
                                bool allow_unverified) {
  if (shift.family != tasks::ShiftFamily::recode) return shift;
  shift.forms = official_file(*datasets::find_recode_method(shift.method), shift.severity, data,
                              allow_unverified);
  return shift;
}

std::string why_not_recode(const tasks::Shift& shift, const tasks::Task& task) {
  if (shift.family != tasks::ShiftFamily::recode) return {};
  const bool partial = datasets::find_recode_method(shift.method)->is_partial();
  if (task.dataset() == (partial ? "recode" : "humaneval")) return {};
  return partial ? "it changes prompts that hold half of the solution: ask humaneval_partial"
                 : "it changes HumanEval's own prompts: ask humaneval";
}

}  // namespace harness
