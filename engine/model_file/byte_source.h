// Owns ByteSource: bounded random access to the bytes of one untrusted file, or of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace engine {

// Immutable; may be read from many threads.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // A regular, non-empty file. Its size is taken once. Throws ModelFileError for anything else
  // (directory, pipe, device, empty, unreadable); never blocks.
  static std::shared_ptr<const ByteSource> open_file(const std::filesystem::path&);
  static std::shared_ptr<const ByteSource> from_memory(std::string name, std::string bytes);

  const std::string& name() const { return name_; }  // for messages
  uint64_t size_bytes() const { return size_bytes_; }

  // Exactly n bytes from offset on. Throws ModelFileError when [offset, offset + n) is not inside
  // the file, or no longer is.
  void read(uint64_t offset, void* dst, size_t n) const;

 protected:
  ByteSource(std::string name, uint64_t size_bytes)
      : name_(std::move(name)), size_bytes_(size_bytes) {}
  // Reads up to n bytes, returns how many there were; the range is inside the original size.
  virtual size_t read_some(uint64_t offset, void* dst, size_t n) const = 0;

 private:
  std::string name_;
  uint64_t size_bytes_;
};

}  // namespace engine
