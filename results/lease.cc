#include "results/lease.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "results/store_file.h"

namespace results {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

struct ProcessState {
  char state = '?';
  int64_t start_ticks = -1;
};

// Fields 3 and 22 of /proc/PID/stat; the name in field 2 may itself hold spaces and brackets.
ProcessState process_state(int64_t pid) {
  const std::string line = first_line(fmt::format("/proc/{}/stat", pid));
  const size_t end = line.rfind(')');
  ProcessState p;
  if (end == std::string::npos || end + 2 >= line.size()) return p;
  p.state = line[end + 2];
  size_t at = end + 2;
  for (int field = 3; field < 22 && at != std::string::npos; ++field) {
    at = line.find(' ', at);
    if (at != std::string::npos) ++at;
  }
  if (at != std::string::npos) p.start_ticks = std::strtoll(line.c_str() + at, nullptr, 10);
  return p;
}

}  // namespace

ProcessIdentity ProcessIdentity::self() {
  ProcessIdentity p;
  p.pid = getpid();
  p.start_ticks = process_state(p.pid).start_ticks;
  p.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) p.host = name.data();
  const ssize_t n = readlink("/proc/self/ns/pid", name.data(), name.size());
  if (n > 0) p.pid_namespace.assign(name.data(), static_cast<size_t>(n));
  return p;
}

Liveness examine(const ProcessIdentity& holder, const ProcessIdentity& self) {
  if (holder.boot_id != self.boot_id) return Liveness::gone;
  if (holder.pid_namespace != self.pid_namespace) return Liveness::unknown;
  if (kill(static_cast<pid_t>(holder.pid), 0) != 0 && errno == ESRCH) return Liveness::gone;
  const ProcessState p = process_state(holder.pid);
  if (p.state == 'Z' || p.state == 'X') return Liveness::gone;  // killed, not yet reaped
  return p.start_ticks == holder.start_ticks ? Liveness::alive : Liveness::gone;
}

void Lease::refuse_living_holder() const {
  Statement s = db_.prepare(
      "SELECT pid, process_start_ticks, boot_id, host, pid_namespace, acquired_at, "
      "(SELECT run_uuid FROM run WHERE run.run_id = lease.run_id) FROM lease");
  if (!s.step()) return;
  const ProcessIdentity holder{s.integer(0), s.integer(1), s.text(2), s.text(3), s.text(4)};
  if (examine(holder, self_) != Liveness::alive) return;
  throw StoreError(
      fmt::format("{}: process {} on {} has been writing run {} since {}; one process at a time",
                  db_.name(), holder.pid, holder.host, s.text(6), s.text(5)));
}

Lease::Lease(Database& db)
    : db_(db), self_(ProcessIdentity::self()), lock_path_(db.name() + "-lease") {
  // The row first: a second store in this very process would pass the kernel lock, and closing
  // its descriptor would drop ours.
  refuse_living_holder();
  for (;;) {
    lock_fd_ = open(lock_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock_fd_ < 0)
      throw StoreError(fmt::format("{}: cannot open: {}", lock_path_, std::strerror(errno)));
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fcntl(lock_fd_, F_SETLK, &lock) != 0) {
      const int why = errno;
      close(std::exchange(lock_fd_, -1));
      if (why != EACCES && why != EAGAIN)
        throw StoreError(fmt::format("{}: cannot lock: {}", lock_path_, std::strerror(why)));
      throw StoreError(
          fmt::format("{}: another process is writing to it; one at a time", db_.name()));
    }
    // The holder before us may have removed the name after we opened it.
    struct stat ours {
    }, named{};
    if (fstat(lock_fd_, &ours) == 0 && stat(lock_path_.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
      return;
    close(std::exchange(lock_fd_, -1));
  }
}

Lease::~Lease() {
  if (lock_fd_ < 0) return;
  unlink(lock_path_.c_str());
  close(lock_fd_);
}

void Lease::write_row(int64_t run_id) {
  refuse_living_holder();
  db_.exec("DELETE FROM lease");
  Statement s = db_.prepare(
      "INSERT INTO lease(lease_id, run_id, pid, process_start_ticks, boot_id, host, "
      "pid_namespace, acquired_at) VALUES(1, ?, ?, ?, ?, ?, ?, ?)");
  s.bind(1, run_id).bind(2, self_.pid).bind(3, self_.start_ticks).bind(4, self_.boot_id);
  s.bind(5, self_.host).bind(6, self_.pid_namespace).bind(7, utc_now());
  s.run();
}

void Lease::release() { db_.exec("DELETE FROM lease"); }

}  // namespace results
