// Owns the folder that a conversion works in: its lock, its fingerprint, the plans of layers done.
#pragma once

#include <filesystem>
#include <string>

namespace engine::convert {

// `out`.partial while this lives. One process at a time.
class Workspace {
 public:
  // Makes the folder, or takes up one with the same fingerprint: lines of "key value". Throws
  // OptionError when `out` exists (what an ended finish() left in it is dropped first),
  // OtherConversion naming the first line that differs, std::system_error.
  Workspace(const std::filesystem::path& out, const std::string& fingerprint);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path plan(int32_t layer) const;
  // Renames the folder to `out`, then drops what only the work needed.
  void finish();

 private:
  std::filesystem::path out_, folder_;
  int lock_ = -1;
};

}  // namespace engine::convert
