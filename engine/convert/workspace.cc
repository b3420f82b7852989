#include "engine/convert/workspace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "engine/convert/durable_file.h"
#include "engine/convert/options.h"

namespace engine::convert {
namespace {

constexpr const char* kPlans = "plans";
constexpr const char* kFingerprint = "fingerprint";
constexpr const char* kLock = "lock";

std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return std::move(bytes).str();
}

[[noreturn]] void fail_other(const std::filesystem::path& folder, const std::string& there,
                             const std::string& wanted) {
  std::istringstream a(there), b(wanted);
  std::string line_a, line_b;
  while (std::getline(b, line_b)) {
    if (!std::getline(a, line_a)) line_a = "nothing";
    if (line_a != line_b) break;
  }
  throw OtherConversion(
      fmt::format("{}: begun by another conversion: it has '{}', this one '{}'; remove the folder "
                  "or name another --out",
                  folder.string(), line_a, line_b));
}

// A finished folder needs none of this. The fingerprint goes last: while it is there, something may
// be left to drop.
void drop_work(const std::filesystem::path& out) {
  std::filesystem::remove_all(out / kPlans);
  std::filesystem::remove(out / kLock);
  std::filesystem::remove(out / kFingerprint);
}

// Was this process or an earlier one ended between the renaming and the dropping? Nothing is
// dropped from a folder that no conversion finished.
bool has_work(const std::filesystem::path& out) {
  return std::filesystem::exists(out / "conversion.json") &&
         read_all(out / kFingerprint).starts_with("algorithm ");
}

}  // namespace

Workspace::Workspace(const std::filesystem::path& out, const std::string& fingerprint)
    : out_(out.has_filename() ? out : out.parent_path()), folder_(out_.string() + ".partial") {
  if (std::filesystem::exists(out_)) {
    if (has_work(out_)) drop_work(out_);
    throw OptionError(
        fmt::format("{}: exists already; remove it or name another --out", out_.string()));
  }
  std::filesystem::create_directories(folder_ / kPlans);
  lock_ = ::open((folder_ / kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0 || ::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    if (lock_ >= 0) ::close(lock_);
    throw std::system_error(why, std::generic_category(),
                            folder_.string() + ": is another conversion at work here?");
  }
  if (const auto file = folder_ / kFingerprint; std::filesystem::exists(file)) {
    const std::string there = read_all(file);
    if (there != fingerprint) {
      ::close(lock_);
      fail_other(folder_, there, fingerprint);
    }
    return;
  }
  DurableFile file(folder_ / kFingerprint);
  file.write(fingerprint.data(), fingerprint.size());
  file.commit();
  sync_folder(folder_);
}

Workspace::~Workspace() {
  if (lock_ >= 0) ::close(lock_);
}

std::filesystem::path Workspace::plan(int32_t layer) const {
  return folder_ / kPlans / fmt::format("layer_{:03}", layer);
}

void Workspace::finish() {
  sync_folder(folder_);
  std::filesystem::rename(folder_, out_);
  const auto parent = out_.parent_path();
  sync_folder(parent.empty() ? "." : parent);
  drop_work(out_);
}

}  // namespace engine::convert
