#include "tasks/sandbox/confinement.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "tasks/sandbox/seccomp_policy.h"

namespace tasks::sandbox {
namespace {

[[noreturn]] void fail(std::string_view step) {
  throw std::runtime_error(fmt::format("{}: {}", step, std::strerror(errno)));
}

void must(bool ok, std::string_view step) {
  if (!ok) fail(step);
}

// Kernel interfaces newer than the oldest headers we build with; values from the kernel's UAPI.
struct MountAttr {
  uint64_t set, clear, propagation, userns_fd;
};
constexpr uint64_t kMountReadOnly = 1, kMountNoSuid = 2, kMountNoDev = 4, kMountNoExec = 8;
constexpr unsigned kRecursive = 0x8000;
constexpr long kSysMountSetattr = 442, kSysLandlockCreate = 444, kSysLandlockAddRule = 445;

struct LandlockRuleset {
  uint64_t fs, net, scoped;
};
struct [[gnu::packed]] LandlockPath {
  uint64_t access;
  int32_t parent_fd;
};
constexpr uint64_t kExecute = 1, kWriteFile = 2, kReadFile = 4, kReadDir = 8;

void write_file(const char* path, const std::string& text) {
  UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  must(file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
       path);
}

void enter_user_namespace(uid_t uid, gid_t gid) {
  must(unshare(CLONE_NEWUSER) == 0, "unshare of the user namespace");
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", fmt::format("{} {} 1", uid, uid));
  write_file("/proc/self/gid_map", fmt::format("{} {} 1", gid, gid));
}

void restrict_mount(const char* path, uint64_t attributes) {
  MountAttr attr{attributes, 0, MS_PRIVATE, 0};
  must(syscall(kSysMountSetattr, AT_FDCWD, path, kRecursive, &attr, sizeof attr) == 0,
       fmt::format("mount_setattr of {}", path));
}

// tmpfs over /tmp, seen by this process alone: nothing appears on the host.
void build_root() {
  must(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  must(mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, "size=64k,nr_inodes=32,mode=755") == 0,
       "mount of the private root");
  must(mkdir("/tmp/usr", 0755) == 0, "mkdir usr");
  must(mount("/usr", "/tmp/usr", nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind of /usr");
  restrict_mount("/tmp/usr", kMountReadOnly | kMountNoSuid | kMountNoDev);
  for (const char* name : {"bin", "lib", "lib64"}) {
    const std::string host = fmt::format("/{}", name), mine = fmt::format("/tmp/{}", name);
    struct stat info;
    if (lstat(host.c_str(), &info) != 0) continue;
    if (S_ISLNK(info.st_mode)) {
      must(symlink(fmt::format("usr/{}", name).c_str(), mine.c_str()) == 0, "symlink in the root");
      continue;
    }
    must(mkdir(mine.c_str(), 0755) == 0, "mkdir in the root");
    must(mount(host.c_str(), mine.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind");
    restrict_mount(mine.c_str(), kMountReadOnly | kMountNoSuid | kMountNoDev);
  }
  must(mkdir("/tmp/dev", 0755) == 0, "mkdir dev");
  for (const char* name : {"null", "zero", "urandom"}) {
    const std::string host = fmt::format("/dev/{}", name), mine = fmt::format("/tmp/dev/{}", name);
    UniqueFd file(open(mine.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
    must(static_cast<bool>(file), mine);
    must(mount(host.c_str(), mine.c_str(), nullptr, MS_BIND, nullptr) == 0, "bind of " + host);
    restrict_mount(mine.c_str(), kMountNoSuid | kMountNoExec);
  }
  must(chdir("/tmp") == 0 && syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  must(umount2(".", MNT_DETACH) == 0, "detach of the old root");
  must(chdir("/") == 0, "chdir");
  MountAttr attr{kMountReadOnly | kMountNoSuid | kMountNoDev, 0, 0, 0};
  must(syscall(kSysMountSetattr, AT_FDCWD, "/", 0u, &attr, sizeof attr) == 0, "read-only root");
}

void allow_path(int ruleset, const char* path, uint64_t access, bool required) {
  UniqueFd fd(open(path, O_PATH | O_CLOEXEC));
  if (!fd && !required) return;
  must(static_cast<bool>(fd), path);
  LandlockPath rule{access, fd.get()};
  must(syscall(kSysLandlockAddRule, ruleset, 1 /* path beneath */, &rule, 0u) == 0,
       fmt::format("Landlock rule for {}", path));
}

UniqueFd build_landlock(const Confinement& c) {
  LandlockRuleset handled{(uint64_t{1} << 13) - 1, 0, 0};
  if (c.landlock_abi >= 2) handled.fs |= uint64_t{1} << 13;  // refer
  if (c.landlock_abi >= 3) handled.fs |= uint64_t{1} << 14;  // truncate
  if (c.landlock_abi >= 4) handled.net = 3;                  // bind and connect TCP
  if (c.landlock_abi >= 5) handled.fs |= uint64_t{1} << 15;  // ioctl on devices
  if (c.landlock_abi >= 6) handled.scoped = 3;               // abstract sockets, signals
  UniqueFd ruleset(static_cast<int>(syscall(kSysLandlockCreate, &handled, sizeof handled, 0u)));
  must(static_cast<bool>(ruleset), "Landlock ruleset");
  allow_path(ruleset.get(), "/usr", kReadFile | kReadDir, true);
  for (const char* path : {"/lib", "/lib64"})
    allow_path(ruleset.get(), path, kReadFile | kReadDir, false);
  allow_path(ruleset.get(), "/dev/null", kReadFile | kWriteFile, true);
  allow_path(ruleset.get(), "/dev/zero", kReadFile, true);
  allow_path(ruleset.get(), "/dev/urandom", kReadFile, true);
  // Only the interpreter and its loader may be executed.
  allow_path(ruleset.get(), c.interpreter.c_str(), kReadFile | kExecute, true);
  for (const char* loader : {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"})
    allow_path(ruleset.get(), loader, kReadFile | kExecute, false);
  return ruleset;
}

}  // namespace

uid_t find_unused_uids() {
  // Beneath 60,000: above are the ids of service managers, and containers may map 65,536 ids only.
  constexpr uid_t kFirst = 20000, kBlocks = 1250, kPerBlock = 2 * kMaxSlots;
  for (uid_t i = 0; i < kBlocks; ++i) {
    const uid_t first = kFirst + (getpid() + i) % kBlocks * kPerBlock;
    bool used = false;
    for (uid_t uid = first; uid < first + kPerBlock && !used; ++uid)
      used = getpwuid(uid) != nullptr || getgrgid(uid) != nullptr;
    if (!used) return first;
  }
  throw std::runtime_error("no unused block of user ids between 20000 and 60000");
}

Confinement confine_launcher(int tier, int slot, uid_t first_uid, const std::string& interpreter) {
  Confinement c;
  c.tier = tier;
  c.interpreter = interpreter;
  c.filter = build_seccomp_filter();
  const bool root = geteuid() == 0;
  if (tier == 1 && !root) throw std::runtime_error("tier 1 needs root");

  c.candidate_uid = root ? first_uid + 2 * slot : geteuid();
  c.checker_uid = root && tier != 2 ? c.candidate_uid + 1 : c.candidate_uid;
  c.has_caps = root || tier == 2;
  if (tier == 2 && root) {
    // Inner ids of a namespace made by real root would be real root on the file system.
    must(setgroups(0, nullptr) == 0, "setgroups");
    must(setresgid(c.candidate_uid, c.candidate_uid, c.candidate_uid) == 0, "setresgid");
    must(setresuid(c.candidate_uid, c.candidate_uid, c.candidate_uid) == 0, "setresuid");
    must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "dumpable");  // to own /proc/self/uid_map
  }
  c.host_proc.reset(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  must(static_cast<bool>(c.host_proc), "/proc");
  if (tier == 2) enter_user_namespace(geteuid(), getegid());
  if (tier != 3) {
    must(unshare(CLONE_NEWNS) == 0, "unshare of the mount namespace");
    build_root();
  }
  const long abi = syscall(kSysLandlockCreate, nullptr, size_t{0}, 1u);
  c.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
  if (c.landlock_abi < (tier == 3 ? 4 : 1))
    throw std::runtime_error(fmt::format("Landlock ABI {} where tier {} needs {}", c.landlock_abi,
                                         tier, tier == 3 ? 4 : 1));
  c.landlock = build_landlock(c);
  return c;
}

}  // namespace tasks::sandbox
