// Owns DurableFile: a file that is either whole under its name or not there.
#pragma once

#include <cstdint>
#include <filesystem>

namespace engine::convert {

// Writes beside the name; commit() syncs and renames. Without commit() the leftover is removed.
// Throws std::system_error naming the file.
class DurableFile {
 public:
  explicit DurableFile(std::filesystem::path);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(const void* data, uint64_t bytes);
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
};

// Makes the entries of a folder durable.
void sync_folder(const std::filesystem::path&);

}  // namespace engine::convert
