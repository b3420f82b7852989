#include "tasks/sandbox/supervise.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "tasks/sandbox/shims.h"
#include "tasks/sandbox/spawn.h"
#include "tasks/sandbox/verdict.h"

namespace tasks::sandbox {
namespace {

constexpr size_t kMaxReport = 1024;
constexpr double kCandidateEnd_s = 2;   // between closing its channel and its end
constexpr double kCheckerGrace_s = 10;  // for its report after the candidate was stopped

double seconds(const timespec& t) { return static_cast<double>(t.tv_sec) + 1e-9 * t.tv_nsec; }
double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * t.tv_usec; }

double now_s() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return seconds(t);
}

void append_field(std::string& out, std::string_view field) {
  const auto n = static_cast<uint32_t>(field.size());
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(n >> shift & 0xff);
  out += field;
}

std::string read_at(int dir, const std::string& path) {
  UniqueFd file(openat(dir, path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  ssize_t n = 0;
  while (file && (n = read(file.get(), buffer, sizeof buffer)) > 0) text.append(buffer, n);
  return text;
}

// One of the two confined processes, as the launcher sees it.
class Confined {
 public:
  Confined(const Confinement& c, const SpawnRequest& request, std::string source, int64_t drain)
      : c_(c),
        uid_(request.role == Role::candidate ? c.candidate_uid : c.checker_uid),
        source_(std::move(source)),
        drain_bytes_(drain),
        s_(spawn(c, request)) {}
  ~Confined() { stop(); }
  Confined(const Confined&) = delete;
  Confined& operator=(const Confined&) = delete;

  ProcessFacts facts;
  std::string report;
  std::string error;  // of the set-up

  bool verified() const { return verified_; }
  bool running() const { return s_.init > 0; }

  void add_to(std::vector<pollfd>& polled) const {
    const auto add = [&](const UniqueFd& fd, short events) {
      if (fd) polled.push_back({fd.get(), events, 0});
    };
    add(s_.status, POLLIN);
    add(s_.output, POLLIN);
    add(s_.verdict, POLLIN);
    if (running()) add(s_.pidfd, POLLIN);
    if (verified_) add(s_.source, POLLOUT);
  }

  // Everything that can be done without waiting.
  void advance() {
    // The messages of a dead init are still in its socket, so look at the process first.
    const bool dead = running() && has_ended();
    drain_status();
    drain_output();
    drain_report();
    feed_source();
    if (dead) reap();
    if (python_ > 0 && running()) update_cpu();
  }

  void stop(Hit hit = Hit::none) {
    if (hit != Hit::none && facts.hit == Hit::none && !facts.ended) facts.hit = hit;
    if (!running()) return;
    if (python_ > 0) update_cpu();
    // With namespaces the whole namespace dies with its init.
    if (c_.tier == 3 && python_ > 0 && !facts.ended) kill(python_, SIGKILL);
    syscall(SYS_pidfd_send_signal, s_.pidfd.get(), SIGKILL, nullptr, 0);
    reap();
  }

  // Seconds it ran or waited for a CPU; nothing when the kernel does not tell.
  std::optional<double> scheduled_s() const {
    if (python_ <= 0) return std::nullopt;
    std::istringstream text(read_at(c_.host_proc.get(), fmt::format("{}/schedstat", python_)));
    uint64_t ran = 0, waited = 0;
    if (!(text >> ran >> waited)) return std::nullopt;
    return std::max(facts.cpu_s, 1e-9 * static_cast<double>(ran)) +
           1e-9 * static_cast<double>(waited);
  }

 private:
  bool has_ended() const {
    pollfd p{s_.pidfd.get(), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  }

  void reap() {
    rusage usage{};
    int status = 0;
    while (wait4(s_.init, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    s_.init = -1;
    facts.cpu_s = std::max(facts.cpu_s, seconds(usage.ru_utime) + seconds(usage.ru_stime));
    facts.peak_rss_bytes = int64_t{usage.ru_maxrss} << 10;
    drain_status();
    drain_report();
    if (!facts.ended && facts.hit == Hit::none && error.empty() && WIFEXITED(status) &&
        WEXITSTATUS(status) != 0)
      error = fmt::format("init ended with status {}", WEXITSTATUS(status));
  }

  void drain_status() {
    while (s_.status) {
      SetupMessage message{};
      iovec part{&message, sizeof message};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
      msghdr header{};
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      header.msg_control = control;
      header.msg_controllen = sizeof control;
      const ssize_t n = recvmsg(s_.status.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      // It died with our go-ahead unread; its last words are still queued behind this error.
      if (n < 0 && errno == ECONNRESET) continue;
      if (n != sizeof message) {
        s_.status.reset();
        return;
      }
      const cmsghdr* extra = CMSG_FIRSTHDR(&header);
      ucred sender{};
      if (extra != nullptr && extra->cmsg_type == SCM_CREDENTIALS)
        std::memcpy(&sender, CMSG_DATA(extra), sizeof sender);
      handle(message, sender.pid);
    }
  }

  void handle(const SetupMessage& message, pid_t sender) {
    switch (message.kind) {
      case SetupMessage::Kind::failed:
        error = fmt::format("set-up step {} ({}): {}", message.step, setup_step_name(message.step),
                            std::strerror(message.value));
        return;
      case SetupMessage::Kind::armed:
        python_ = sender;
        verify();
        return;
      case SetupMessage::Kind::exited:
        if (sender != s_.init && s_.init > 0) return;
        facts.ended = facts.hit == Hit::none;
        facts.wait_status = message.value;
        return;
    }
  }

  // Believes the kernel, not the process.
  void verify() {
    std::istringstream text(read_at(c_.host_proc.get(), fmt::format("{}/status", python_)));
    const gid_t gid = c_.has_caps && c_.tier != 2 ? uid_ : getegid();
    int good = 0;
    for (std::string line; std::getline(text, line);) {
      std::istringstream fields(line);
      std::string name, value;
      fields >> name;
      std::vector<std::string> values;
      while (fields >> value) values.push_back(value);
      const auto all_are = [&](const std::string& wanted) {
        return values.size() == 4 && std::count(values.begin(), values.end(), wanted) == 4;
      };
      if (name == "Uid:") good += all_are(std::to_string(uid_));
      if (name == "Gid:") good += all_are(std::to_string(gid));
      if (name == "NoNewPrivs:") good += values == std::vector<std::string>{"1"};
      if (name == "Seccomp:") good += values == std::vector<std::string>{"2"};
      if (name == "CapEff:" || name == "CapPrm:" || name == "CapInh:" || name == "CapAmb:")
        good += values.size() == 1 && values[0].find_first_not_of('0') == std::string::npos;
      if (name == "NSpid:") good += c_.tier == 3 || (values.size() >= 2 && values.back() == "2");
    }
    verified_ = good == 9;
    if (!verified_ && error.empty())
      error =
          fmt::format("process {} is not confined as asked: {} of 9 checks hold", python_, good);
  }

  void feed_source() {
    while (verified_ && s_.source) {
      if (sent_ == source_.size()) {
        s_.source.reset();
        return;
      }
      const ssize_t n = write(s_.source.get(), source_.data() + sent_, source_.size() - sent_);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) {
        s_.source.reset();  // it has died; its end is reported elsewhere
        return;
      }
      sent_ += n;
    }
  }

  void drain_output() {
    char buffer[16384];
    while (s_.output) {
      const ssize_t n = read(s_.output.get(), buffer, sizeof buffer);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) {
        s_.output.reset();
        return;
      }
      drained_ += n;
      if (drained_ > drain_bytes_) {
        stop(Hit::output);
        s_.output.reset();
      }
    }
  }

  void drain_report() {
    char buffer[kMaxReport];
    while (s_.verdict) {
      const ssize_t n = read(s_.verdict.get(), buffer, sizeof buffer);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n > 0 && report.size() <= kMaxReport) {
        report.append(buffer, n);
        continue;
      }
      s_.verdict.reset();
    }
  }

  void update_cpu() {
    clockid_t clock;
    timespec t{};
    if (clock_getcpuclockid(python_, &clock) == 0 && clock_gettime(clock, &t) == 0)
      facts.cpu_s = std::max(facts.cpu_s, seconds(t));
  }

  const Confinement& c_;
  uid_t uid_;
  std::string source_;
  size_t sent_ = 0;
  int64_t drain_bytes_, drained_ = 0;
  bool verified_ = false;
  pid_t python_ = -1;
  Spawned s_;
};

class Run {
 public:
  Run(const Confinement& c, const RunRequest& request, const Program& program, int control_fd)
      : request_(request), control_fd_(control_fd) {
    if (getrandom(token_.data(), token_.size(), 0) != static_cast<ssize_t>(token_.size()))
      throw std::runtime_error("getrandom failed");
    int calls[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, calls) != 0)
      throw std::runtime_error(fmt::format("socketpair: {}", std::strerror(errno)));
    UniqueFd candidate_end(calls[0]), checker_end(calls[1]);

    std::string source;
    append_field(source, program.prompt + program.completion);
    append_field(source, program.entry_point);
    candidate_.emplace(c,
                       SpawnRequest{Role::candidate, request.cpu_s, request.memory_bytes,
                                    candidate_end.get(), candidate_shim(), request.fail_step},
                       std::move(source), 16 * request.output_bytes);
    // The checker is ours, but its tests handle the candidate's values: larger limits, still
    // limits.
    checker_cpu_s_ = 3 * request.cpu_s + 2;
    source.clear();
    append_field(source, std::string_view(reinterpret_cast<const char*>(token_.data()), 16));
    append_field(source, program.prompt);
    append_field(source, program.test);
    append_field(source, program.entry_point);
    append_field(source, fmt::format("{}", request.cpu_s));
    checker_.emplace(
        c,
        SpawnRequest{Role::checker, checker_cpu_s_, request.memory_bytes + (int64_t{512} << 20),
                     checker_end.get(), checker_shim(), 0},
        std::move(source), 16 * request.output_bytes);
  }

  RunFacts finish() {
    const double began = now_s();
    while (checker_->running() && candidate_->error.empty() && checker_->error.empty()) {
      if (!wait_for_events()) break;
      checker_->advance();
      candidate_->advance();
      enforce(now_s() - began);
    }
    candidate_->advance();
    RunFacts f;
    read_report(checker_->report, token_, f);
    // Told that the candidate has gone: how it ended is known in a moment, if it is true.
    const double ended = now_s();
    while (f.reported && f.letter == 'D' && candidate_->running()) {
      if (now_s() - ended > kCandidateEnd_s) candidate_->stop(Hit::deaf);
      if (!wait_for_events()) break;
      candidate_->advance();
    }
    candidate_->stop();
    checker_->stop();
    const std::string& error = candidate_->error.empty() ? checker_->error : candidate_->error;
    error.copy(f.setup_error, sizeof f.setup_error - 1);
    f.candidate = candidate_->facts;
    f.checker = checker_->facts;
    f.wall_s = now_s() - began;
    f.idle_s = idle_s_;
    return f;
  }

 private:
  // False when the harness has gone.
  bool wait_for_events() {
    std::vector<pollfd> polled{{control_fd_, POLLIN, 0}};
    candidate_->add_to(polled);
    checker_->add_to(polled);
    const int n = poll(polled.data(), polled.size(), 20);
    // The harness sends nothing during a run: a readable control socket is its end.
    return n <= 0 || (polled[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0;
  }

  void enforce(double wall_s) {
    if (candidate_->facts.cpu_s > request_.cpu_s) {
      candidate_->stop(Hit::cpu);
      checker_->stop();
      return;
    }
    if (checker_->facts.cpu_s > checker_cpu_s_) checker_->stop(Hit::cpu);
    if (stopped_at_s_ == 0 && !candidate_->running()) stopped_at_s_ = wall_s;
    if (stopped_at_s_ > 0) {
      if (wall_s > stopped_at_s_ + kCheckerGrace_s) checker_->stop(Hit::wall);
      return;
    }
    const bool too_long = wall_s > request_.wall_s;
    if (too_long || asleep(wall_s)) {
      // Only the candidate first: a checker that waited for it reports at once.
      if (!candidate_->verified() || !checker_->verified())
        candidate_->error = "the set-up did not finish in time";
      candidate_->stop(too_long ? Hit::wall : Hit::idle);
      stopped_at_s_ = wall_s;
    }
  }

  // Sleeping counts like computing: wall time in which neither process ran or waited for a CPU,
  // together with the candidate's CPU time, is held to the same limit.
  bool asleep(double wall_s) {
    if (wall_s <= request_.cpu_s) return false;
    const auto a = candidate_->scheduled_s(), b = checker_->scheduled_s();
    if (!a || !b) return false;
    idle_s_ = wall_s - *a - *b;
    return candidate_->facts.cpu_s + idle_s_ > request_.cpu_s;
  }

  RunRequest request_;
  int control_fd_;
  Token token_{};
  double checker_cpu_s_ = 0;
  double stopped_at_s_ = 0;
  double idle_s_ = 0;
  std::optional<Confined> candidate_, checker_;
};

}  // namespace

RunFacts supervise(const Confinement& c, const RunRequest& request, const Program& program,
                   int control_fd) {
  try {
    return Run(c, request, program, control_fd).finish();
  } catch (const std::exception& e) {
    RunFacts facts;
    std::string_view(e.what()).copy(facts.setup_error, sizeof facts.setup_error - 1);
    return facts;
  }
}

}  // namespace tasks::sandbox
