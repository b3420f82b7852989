#include "engine/convert/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace engine::convert {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw std::system_error(errno, std::generic_category(), path.string());
}

}  // namespace

DurableFile::DurableFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(temporary_);
}

DurableFile::~DurableFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void DurableFile::write(const void* data, uint64_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(temporary_);
    p += n;
    bytes -= static_cast<uint64_t>(n);
  }
}

void DurableFile::commit() {
  if (::fsync(fd_) != 0) fail(temporary_);
  if (::close(std::exchange(fd_, -1)) != 0) fail(temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_);
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(folder);
  const bool bad = ::fsync(fd) != 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  if (bad) fail(folder);
}

}  // namespace engine::convert
