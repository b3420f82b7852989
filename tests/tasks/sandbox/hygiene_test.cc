// Starting, failing closed, and leaving nothing behind.
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "tasks/sandbox/spawn.h"
#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

using HygieneTest = SandboxTest;

const CodeProblem kEasy{"def one():\n", "    return 1\n",
                        "def check(candidate):\n    assert candidate() == 1\n", "one"};
const CodeProblem kSleeper{"def one():\n", "    import time\n    time.sleep(1e6)\n",
                           "def check(candidate):\n    assert candidate() == 1\n", "one"};

SandboxLimits patient() {
  SandboxLimits limits;
  limits.cpu_s = 600;
  limits.wall_s = 600;
  return limits;
}

std::set<pid_t> descendants(const std::vector<pid_t>& roots) {
  std::multimap<pid_t, pid_t> children;
  DIR* proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = atoi(entry->d_name);
    if (pid <= 0) continue;
    std::ifstream status("/proc/" + std::string(entry->d_name) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("PPid:")) children.emplace(atoi(line.c_str() + 5), pid);
  }
  closedir(proc);
  std::set<pid_t> found;
  std::vector<pid_t> next = roots;
  while (!next.empty()) {
    const pid_t pid = next.back();
    next.pop_back();
    const auto [first, last] = children.equal_range(pid);
    for (auto it = first; it != last; ++it)
      if (found.insert(it->second).second) next.push_back(it->second);
  }
  return found;
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return condition();
}

bool all_gone(const std::set<pid_t>& pids) {
  return std::all_of(pids.begin(), pids.end(), [](pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(status, text);
    return text.empty() || text.find(") Z ") != std::string::npos;
  });
}

size_t open_descriptors() {
  size_t n = 0;
  for (int fd = 0; fd < 1024; ++fd) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

std::string mounts() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string reason_of(const StartOptions& options) {
  try {
    start_with(options);
    return "started";
  } catch (const SandboxUnavailable& e) {
    return e.what();
  }
}

// Runs body in a child process and returns its exit status; no gtest in there.
int in_a_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

bool become_nobody() {
  constexpr uid_t kNobody = 65534;
  return geteuid() != 0 ||
         (setresgid(kNobody, kNobody, kNobody) == 0 && setresuid(kNobody, kNobody, kNobody) == 0 &&
          prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

TEST_F(HygieneTest, EveryStepOfTheSetUpFailsClosed) {
  for (int step = 1; step <= kNumSetupSteps; ++step) {
    StartOptions options;
    options.slots = 1;
    options.fail_self_test_step = step;
    EXPECT_THAT(reason_of(options), testing::HasSubstr("set-up step " + std::to_string(step) + " "))
        << setup_step_name(step);
  }
}

TEST_F(HygieneTest, AFailedSetUpOfARunIsInfra) {
  StartOptions options;
  options.slots = 1;
  options.fail_judge_step = static_cast<int>(SetupStep::seccomp);
  const SandboxReport r = start_with(options)->judge(kEasy, {});
  EXPECT_EQ(r.verdict, Verdict::infra);
  EXPECT_THAT(r.detail, testing::HasSubstr("seccomp"));
}

TEST_F(HygieneTest, AnUnusableInterpreterIsRefusedAtTheStart) {
  StartOptions options;
  options.slots = 1;
  options.interpreter = "/usr/bin/no_such_python";
  EXPECT_NE(reason_of(options), "started");
  options.interpreter = "/usr/bin/true";
  EXPECT_NE(reason_of(options), "started");
}

TEST_F(HygieneTest, NonsenseIsRefused) {
  EXPECT_THROW(Sandbox::start(4, 2), SandboxUnavailable);
  EXPECT_THROW(Sandbox::start(0, 0), SandboxUnavailable);
  EXPECT_THROW(Sandbox::start(0, 1000), SandboxUnavailable);
}

TEST_F(HygieneTest, NoProcessDescriptorOrMountStays) {
  const size_t descriptors = open_descriptors();
  const std::string mounts_before = mounts();
  std::vector<pid_t> launchers;
  {
    const auto sandbox = Sandbox::start(0, 2);
    launchers = launcher_pids(*sandbox);
    ASSERT_EQ(launchers.size(), 2u);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(sandbox->judge(kEasy, {}).verdict, Verdict::passed);
    SandboxLimits brief;
    brief.cpu_s = 0.2;
    EXPECT_EQ(sandbox->judge(kSleeper, brief).verdict, Verdict::timeout_wall);
    EXPECT_TRUE(descendants(launchers).empty());
  }
  EXPECT_TRUE(all_gone({launchers.begin(), launchers.end()}));
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(mounts(), mounts_before);
}

TEST_F(HygieneTest, MoreThreadsThanSlotsTakeTurns) {
  std::vector<std::thread> threads;
  std::vector<int> passed(5);
  for (size_t t = 0; t < passed.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3; ++i)
        passed[t] += sandbox_->judge(kEasy, patient()).verdict == Verdict::passed;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(passed, testing::Each(3));
}

TEST_F(HygieneTest, AKilledLauncherTakesEverythingWithItAndIsInfra) {
  const auto sandbox = Sandbox::start(0, 1);
  const std::vector<pid_t> launchers = launcher_pids(*sandbox);
  SandboxReport report;
  std::thread judging([&] { report = sandbox->judge(kSleeper, patient()); });
  std::set<pid_t> below;
  ASSERT_TRUE(eventually([&] { return (below = descendants(launchers)).size() == 4; }));
  kill(launchers[0], SIGKILL);
  judging.join();
  EXPECT_EQ(report.verdict, Verdict::infra);
  EXPECT_TRUE(eventually([&] { return all_gone(below); }));
  EXPECT_EQ(sandbox->judge(kEasy, {}).verdict, Verdict::infra);
}

TEST_F(HygieneTest, AKilledInitIsInfra) {
  const auto sandbox = Sandbox::start(0, 1);
  const std::vector<pid_t> launchers = launcher_pids(*sandbox);
  SandboxReport report;
  std::thread judging([&] { report = sandbox->judge(kSleeper, patient()); });
  std::set<pid_t> below;
  ASSERT_TRUE(eventually([&] { return (below = descendants(launchers)).size() == 4; }));
  kill(*below.begin(), SIGKILL);
  judging.join();
  EXPECT_EQ(report.verdict, Verdict::infra) << report.detail;
  EXPECT_TRUE(eventually([&] { return descendants(launchers).empty(); }));
  EXPECT_EQ(sandbox->judge(kEasy, {}).verdict, Verdict::passed);
}

TEST_F(HygieneTest, AKilledHarnessTakesEverythingWithIt) {
  const pid_t harness = fork();
  if (harness == 0) {
    const auto sandbox = Sandbox::start(0, 1);
    sandbox->judge(kSleeper, patient());
    _exit(0);
  }
  std::set<pid_t> below;
  // The launcher, two inits and two interpreters; the self-test's come and go.
  ASSERT_TRUE(eventually([&] {
    const std::set<pid_t> now = descendants({harness});
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    return now.size() == 5 && (below = descendants({harness})) == now;
  }));
  kill(harness, SIGKILL);
  waitpid(harness, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return all_gone(below); }));
}

// The other tiers: exit status 0 = judged right, 77 = the machine cannot.
int judge_in_tier(int tier, bool unprivileged) {
  if (unprivileged && !become_nobody()) return 3;
  try {
    const auto sandbox = Sandbox::start(tier, 2);
    if (sandbox->info().tier != (tier == 0 ? 2 : tier)) return 4;
    if (sandbox->judge(kEasy, {}).verdict != Verdict::passed) return 5;
    SandboxLimits brief;
    brief.cpu_s = 0.2;
    if (sandbox->judge(kSleeper, brief).verdict != Verdict::timeout_wall) return 6;
    return descendants(launcher_pids(*sandbox)).empty() ? 0 : 7;
  } catch (const SandboxUnavailable& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 77;
  }
}

TEST_F(HygieneTest, OtherTiersJudgeToo) {
  const struct {
    const char* name;
    int tier;
    bool unprivileged;
  } ways[] = {{"user namespace", 2, false},
              {"user namespace without root", 2, true},
              {"the best tier without root", 0, true},
              {"no namespaces, asked for", 3, false},
              {"no namespaces, asked for, without root", 3, true}};
  for (const auto& way : ways) {
    const int status = in_a_child([&] { return judge_in_tier(way.tier, way.unprivileged); });
    if (status == 77 && !must_have_sandbox()) {
      std::printf("not on this machine: %s\n", way.name);
      continue;
    }
    EXPECT_EQ(status, 0) << way.name;
  }
}

TEST_F(HygieneTest, TierOneWithoutRootIsRefused) {
  EXPECT_EQ(in_a_child([]() -> int {
              if (!become_nobody()) return 3;
              try {
                Sandbox::start(1, 1);
                return 1;
              } catch (const SandboxUnavailable& e) {
                return std::string_view(e.what()).find("needs root") == std::string_view::npos;
              }
            }),
            0);
}

}  // namespace
}  // namespace tasks::sandbox
