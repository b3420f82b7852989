#include "harness/places.h"

#include <fmt/format.h>

#include <cstdlib>

#include "harness/asset.h"
#include "harness/exit_code.h"
#include "harness/ladder.h"

namespace fs = std::filesystem;

namespace harness {
namespace {

std::string env(const char* name) {
  const char* v = std::getenv(name);
  return v == nullptr ? "" : v;
}

}  // namespace

fs::path cache_folder() {
  if (const auto v = env("MOEVAL_CACHE"); !v.empty()) return v;
  if (const auto v = env("XDG_CACHE_HOME"); !v.empty()) return fs::path(v) / "moeval";
  if (const auto v = env("HOME"); !v.empty()) return fs::path(v) / ".cache" / "moeval";
  throw UsageError("no cache folder: set MOEVAL_CACHE, XDG_CACHE_HOME or HOME");
}

std::vector<fs::path> data_folders(const std::string& option) {
  if (!option.empty()) {
    if (!fs::is_directory(option))
      throw UsageError(fmt::format("--data {}: no such folder", option));
    return {option};
  }
  std::vector<fs::path> out;
  std::string rest = env("MOEVAL_DATA");
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const auto one = rest.substr(0, colon);
    if (!one.empty()) out.emplace_back(one);
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
  out.push_back(cache_folder() / "data");
  return out;
}

fs::path resolve_model(const std::string& name) {
  std::error_code ec;
  if (fs::exists(name, ec)) return name;
  if (name == kLadderModel) return ladder_model_folder(cache_folder());
  std::string known = kLadderModel;
  for (const Asset& a : assets()) {
    if (a.kind != Asset::Kind::model) continue;
    if (a.name == name) {
      const auto path = cache_folder() / a.path;
      if (fs::exists(path, ec)) return path;
      throw UsageError(fmt::format("model '{}' is not in {}; fetch it with: moeval pull {}", name,
                                   cache_folder().string(), name));
    }
    known += ", " + a.name;
  }
  throw UsageError(fmt::format("--model {}: no such file or folder, nor a catalog name (known: {})",
                               name, known));
}

std::string model_label(const std::string& name) {
  for (const Asset& a : assets())
    if (a.kind == Asset::Kind::model && a.name == name) return name;
  auto path = fs::path(name).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

}  // namespace harness
