#include "engine/model_file/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/model_file_error.h"

namespace engine {
namespace {

class FileSource final : public ByteSource {
 public:
  FileSource(std::string name, uint64_t size_bytes, int fd)
      : ByteSource(std::move(name), size_bytes), fd_(fd) {}
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override { ::close(fd_); }

 private:
  size_t read_some(uint64_t offset, void* dst, size_t n) const override {
    size_t done = 0;
    while (done < n) {
      // Linux transfers at most 2^31 - 4096 bytes a call.
      const size_t want = std::min<size_t>(n - done, size_t{1} << 30);
      const ssize_t got =
          ::pread(fd_, static_cast<char*>(dst) + done, want, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        throw ModelFileError(fmt::format("{}: reading at offset {} failed: {}", name(),
                                         offset + done, std::strerror(errno)));
      }
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  int fd_;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::string name, std::string bytes)
      : ByteSource(std::move(name), bytes.size()), bytes_(std::move(bytes)) {}

 private:
  size_t read_some(uint64_t offset, void* dst, size_t n) const override {
    std::memcpy(dst, bytes_.data() + offset, n);
    return n;
  }

  std::string bytes_;
};

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

std::shared_ptr<const ByteSource> ByteSource::open_file(const std::filesystem::path& path) {
  std::string name = path.string();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    throw ModelFileError(fmt::format("{}: cannot be opened: {}", name, std::strerror(errno)));
  }
  struct stat st {};
  const char* wrong = nullptr;
  if (::fstat(fd, &st) != 0) {
    wrong = "has no readable status";
  } else if (!S_ISREG(st.st_mode)) {
    const std::string message =
        fmt::format("{}: is {}, want a regular file", name, kind_of(st.st_mode));
    ::close(fd);
    throw ModelFileError(message);
  } else if (st.st_size <= 0) {
    wrong = "is empty";
  }
  if (wrong != nullptr) {
    ::close(fd);
    throw ModelFileError(fmt::format("{}: {}", name, wrong));
  }
  return std::make_shared<FileSource>(std::move(name), static_cast<uint64_t>(st.st_size), fd);
}

std::shared_ptr<const ByteSource> ByteSource::from_memory(std::string name, std::string bytes) {
  return std::make_shared<MemorySource>(std::move(name), std::move(bytes));
}

void ByteSource::read(uint64_t offset, void* dst, size_t n) const {
  if (offset > size_bytes_ || n > size_bytes_ - offset) {
    throw ModelFileError(fmt::format("{}: truncated: {} bytes wanted at offset {}, file has {}",
                                     name_, n, offset, size_bytes_));
  }
  if (n == 0) return;
  const size_t got = read_some(offset, dst, n);
  if (got != n) {
    throw ModelFileError(
        fmt::format("{}: became shorter while in use: {} bytes wanted at offset {}, got {}", name_,
                    n, offset, got));
  }
}

}  // namespace engine
