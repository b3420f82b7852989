// The known ways to fake a pass (research: 21 of them). Each is shown to be real by a naive checker
// of the kind in use elsewhere, which shares a process with the program and accepts it; ours must
// not.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

using CheatTest = SandboxTest;

constexpr const char* kTripleTest =
    "def check(candidate):\n"
    "    assert candidate(2) == 6\n"
    "    assert candidate(5) == 15\n"
    "    assert candidate(-1) == -3\n"
    "    assert True\n";
constexpr const char* kMeanTest =
    "def check(candidate):\n"
    "    assert abs(candidate([1.0, 2.0]) - 1.5) < 1e-6\n"
    "    assert abs(candidate([4.0, 4.0, 7.0]) - 5.0) < 1e-6\n";

// Runs program and test in one process. argv: scheme, program, test. Each scheme is one published
// way to learn the outcome: exit status; a result list; a secret printed at the end; shared state;
// a loop that holds inputs and expected values.
constexpr const char* kNaiveChecker = R"py(
import sys, os
scheme, program, test = sys.argv[1:]
def in_one_process():
    namespace = {}
    exec(program, namespace)
    exec(test, namespace)
    namespace["check"](namespace["f"])
if scheme == "exit":
    in_one_process()
elif scheme == "list":
    result = []
    try:
        in_one_process()
        result.append("passed")
    except BaseException:
        result.append("failed")
    sys.exit(result[0] != "passed")
elif scheme == "token":
    token = os.urandom(8).hex()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.dup2(writer, 1)
        in_one_process()
        os.write(1, token.encode())
        os._exit(0)
    os.wait()
    os.close(writer)
    sys.exit(token.encode() not in os.read(reader, 4096))
elif scheme == "shared":
    verdict = {"passed": False}
    try:
        in_one_process()
        verdict["passed"] = True
    except BaseException:
        pass
    sys.exit(not verdict["passed"])
elif scheme == "expected":
    def loop():
        namespace = {}
        exec(program, namespace)
        inputs, expected = [2, 5, -1], [6, 15, -3]
        return all(namespace["f"](i) == e for i, e in zip(inputs, expected))
    sys.exit(not loop())
)py";

bool naive_checker_accepts(const std::string& scheme, const std::string& program,
                           const std::string& test) {
  const std::string python = find_interpreter();
  const char* argv[] = {python.c_str(),  "-S",         "-B",   "-c", kNaiveChecker, scheme.c_str(),
                        program.c_str(), test.c_str(), nullptr};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  for (int fd : {1, 2}) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  char* environment[] = {nullptr};
  EXPECT_EQ(
      posix_spawn(&pid, python.c_str(), &quiet, nullptr, const_cast<char**>(argv), environment), 0);
  posix_spawn_file_actions_destroy(&quiet);
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct Cheat {
  const char* name;
  const char* accepted_by;  // scheme of the naive checker; null = dangerous there or known nowhere
  std::vector<Verdict> verdicts;
  const char* program;
  const char* test = kTripleTest;
};

std::vector<Cheat> cheats() {
  using enum Verdict;
  return {
      {"os._exit(0)", "exit", {load_error}, "import os\nos._exit(0)\ndef f(x): pass\n"},
      {"SystemExit(0)", "exit", {error}, "def f(x):\n    raise SystemExit(0)\n"},
      {"atexit and exit",
       "exit",
       {wrong, error},
       "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x):\n    return None\n"},
      {"write to every descriptor, then exit",
       "exit",
       {error, protocol},
       "import os\n"
       "def f(x):\n"
       "    for fd in range(1, 64):\n"
       "        try:\n            os.write(fd, b'passed\\n')\n"
       "        except OSError:\n            pass\n"
       "    os._exit(0)\n"},
      {"always-equal object",
       "exit",
       {wrong},
       "class A:\n    def __eq__(self, other): return True\ndef f(x): return A()\n"},
      {"subclass of int",
       "exit",
       {wrong},
       "class I(int):\n"
       "    def __eq__(self, other): return True\n"
       "    __hash__ = int.__hash__\n"
       "def f(x): return I(0)\n"},
      {"settrace jumps over the asserts",
       "exit",
       {wrong, error},
       "import sys\n"
       "def tracer(frame, event, arg):\n"
       "    if frame.f_code.co_name != 'check': return None\n"
       "    if event == 'line':\n"
       "        frame.f_lineno = max(l for _, _, l in frame.f_code.co_lines() if l)\n"
       "    return tracer\n"
       "sys.settrace(tracer)\n"
       "def f(x): return None\n"},
      {"patched builtins.abs",
       "exit",
       {wrong},
       "import builtins\nbuiltins.abs = lambda x: 0\ndef f(xs): return 0.0\n",
       kMeanTest},
      {"frames: append to the result list",
       "list",
       {error},
       "import sys\n"
       "def f(x):\n"
       "    frame = sys._getframe()\n"
       "    while frame:\n"
       "        for name in ('result', 'results'):\n"
       "            found = frame.f_locals.get(name, frame.f_globals.get(name))\n"
       "            if type(found) is list: found.append('passed')\n"
       "        frame = frame.f_back\n"
       "    raise ValueError\n"},
      {"frames: steal the token",
       "token",
       {error},
       "import os, sys\n"
       "def f(x):\n"
       "    frame = sys._getframe()\n"
       "    while frame:\n"
       "        token = frame.f_globals.get('token')\n"
       "        if token: os.write(1, token.encode())\n"
       "        frame = frame.f_back\n"
       "    os._exit(0)\n"},
      {"frames: set the shared verdict",
       "shared",
       {error},
       "import sys\n"
       "def f(x):\n"
       "    frame = sys._getframe()\n"
       "    while frame:\n"
       "        verdict = frame.f_globals.get('verdict')\n"
       "        if type(verdict) is dict: verdict['passed'] = True\n"
       "        frame = frame.f_back\n"
       "    raise ValueError\n"},
      {"frames: read the expected values",
       "expected",
       {wrong},
       "import sys\n"
       "def f(x):\n"
       "    frame = sys._getframe()\n"
       "    while frame:\n"
       "        if 'e' in frame.f_locals and 'i' in frame.f_locals: return frame.f_locals['e']\n"
       "        expected = frame.f_locals.get('expected')\n"
       "        if expected: return expected[frame.f_locals['inputs'].index(x)]\n"
       "        frame = frame.f_back\n"
       "    class A:\n        pass\n"
       "    return A()\n",
       kTripleTest},
      {"printed markers",
       nullptr,
       {wrong},
       "print('passed\\nPASSED\\nOK\\n{\"passed\": true}')\ndef f(x):\n    print('passed')\n"},
      {"forged verdict text",
       nullptr,
       {wrong, protocol},
       "import os\n"
       "for fd in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10):\n"
       "    try:\n        os.write(fd, b'\\0' * 16 + b'P' + b'\\1' + b'\\0' * 7 + b'\\0\\0')\n"
       "    except OSError:\n        pass\n"
       "def f(x): return 0\n"},
      {"changed arguments",
       nullptr,
       {wrong},
       "def f(xs):\n    xs.clear()\n    xs.append(1.5)\n    return xs[0] - 9\n",
       kMeanTest},
      {"raises", nullptr, {error}, "def f(x):\n    raise AssertionError('passed')\n"},
      {"speculative replies",
       nullptr,
       {protocol},
       "import os\n"
       "def frame(b): os.write(4, len(b).to_bytes(4, 'little') + b)\n"
       "frame(b't\\1\\0\\0\\0s\\2\\0\\0\\0ok')\n"
       "for n in (0, 1, 2):\n"
       "    i = b'i\\1\\0\\0\\0'\n"
       "    frame(b't\\4\\0\\0\\0' + i + bytes([n]) + b's\\1\\0\\0\\0v' + i + b'\\6' +\n"
       "          b't\\1\\0\\0\\0N')\n"
       "def f(x): return None\n"},
      {"giant reply", nullptr, {protocol}, "def f(x): return 'x' * (60 << 20)\n"},
      {"deeply nested reply",
       nullptr,
       {protocol},
       "def f(x):\n    v = []\n    for _ in range(100000): v = [v]\n    return v\n"},
      {"alarms off and hang",
       nullptr,
       {timeout_cpu, timeout_wall},  // whichever a loaded machine lets it reach first
       "import signal\n"
       "def f(x):\n"
       "    for s in range(1, 65):\n"
       "        try:\n            signal.signal(s, signal.SIG_IGN)\n"
       "        except (OSError, ValueError):\n            pass\n"
       "    signal.alarm(0)\n"
       "    while True: pass\n"},
      {"kill the parent",
       nullptr,
       {wrong},
       "import ctypes, os\n"
       "def f(x):\n"
       "    for pid in (os.getppid(), 1, 0, -1):\n"
       "        ctypes.CDLL(None).kill(pid, 9)\n"
       "    return 0\n"},
  };
}

TEST_F(CheatTest, NoneOfTheTwentyOneKnownCheatsPasses) {
  const std::vector<Cheat> all = cheats();
  ASSERT_EQ(all.size(), 21u);
  int accepted_by_naive = 0;
  for (const Cheat& cheat : all) {
    const SandboxReport r = judge({"", cheat.program, cheat.test, "f"}, 1);
    EXPECT_NE(r.verdict, Verdict::passed) << cheat.name;
    EXPECT_NE(std::find(cheat.verdicts.begin(), cheat.verdicts.end(), r.verdict),
              cheat.verdicts.end())
        << cheat.name << " gave " << verdict_name(r.verdict) << ": " << r.detail;
    if (cheat.accepted_by == nullptr) continue;
    const bool real = naive_checker_accepts(cheat.accepted_by, cheat.program, cheat.test);
    EXPECT_TRUE(real) << cheat.name << " no longer fools scheme " << cheat.accepted_by;
    accepted_by_naive += real;
  }
  EXPECT_EQ(accepted_by_naive, 12);
}

// The naive checker and ours agree where nobody cheats: the control of the control.
TEST_F(CheatTest, HonestProgramsAreJudgedAlikeByBoth) {
  for (const auto& [program, right] :
       {std::pair{"def f(x): return 3 * x\n", true}, {"def f(x): return 2 * x\n", false}}) {
    for (const char* scheme : {"exit", "list", "token", "shared", "expected"})
      EXPECT_EQ(naive_checker_accepts(scheme, program, kTripleTest), right) << scheme;
    EXPECT_EQ(judge({"", program, kTripleTest, "f"}).verdict == Verdict::passed, right);
  }
}

// Bytes that the honest shim never sends, straight to the checker.
TEST_F(CheatTest, HostileRepliesAreProtocolFaults) {
  const char* replies[] = {
      "b'\\xff\\xff\\xff\\xff'",                            // a frame of 4 GiB
      "frame(b'')",                                         // empty
      "frame(b'?')",                                        // unknown tag
      "frame(b'l\\xff\\xff\\xff\\x7f')",                    // more items than bytes
      "frame(b'l\\1\\0\\0\\0' * 100 + b'N')",               // nested too deep
      "frame(b's\\2\\0\\0\\0\\xff\\xff')",                  // not UTF-8
      "frame(b'f\\4\\0\\0\\0nope')",                        // not a number
      "frame(b'S\\1\\0\\0\\0l\\0\\0\\0\\0')",               // unhashable in a set
      "frame(b'q\\2\\0\\0\\0' + b'i\\1\\0\\0\\0\\0' * 2)",  // 0/0
      "frame(b'D\\7\\0\\0\\0' + b'1e99999')",               // exponent
      "frame(b'r\\3\\0\\0\\0' + b'i\\1\\0\\0\\0\\0' * 3)",  // range with step 0
      "frame(b'a\\3\\0\\0\\0abcl\\0\\0\\0\\0')",            // ragged array
      "frame(b'NN')",                                       // more than one value
      "frame(b't\\3\\0\\0\\0NNN')",                         // no greeting
  };
  for (const char* reply : replies) {
    const std::string program =
        "import os\n"
        "def frame(b): return len(b).to_bytes(4, 'little') + b\n"
        "os.write(4, " +
        std::string(reply) +
        ")\n"
        "while True: os.read(4, 1)\n";
    const SandboxReport r = judge({"", program, kTripleTest, "f"});
    EXPECT_EQ(r.verdict, Verdict::protocol) << reply << ": " << r.detail;
  }
}

// Colliding hashes make a set quadratic to build; a closed channel with a living program waits.
TEST_F(CheatTest, WearingTheCheckerOutIsAProtocolFault) {
  for (const char* letter : {"S", "Z", "k", "d"}) {
    const SandboxReport r = judge(
        {"",
         fmt::format("import os\n"
                     "n = 60000\n"
                     "body = b'{}' + n.to_bytes(4, 'little') + b''.join(\n"
                     "    b'i\\x0a\\0\\0\\0' + (i * ((1 << 61) - 1)).to_bytes(10, 'little') + {}\n"
                     "    for i in range(n))\n"
                     "body = len(body).to_bytes(4, 'little') + body\n"
                     "while body: body = body[os.write(4, body):]\n"
                     "while True: os.read(4, 1)\n",
                     letter, *letter == 'd' ? "b'N'" : "b''"),
         kTripleTest, "f"},
        0.5);
    EXPECT_EQ(r.verdict, Verdict::protocol) << letter << ": " << r.detail;
  }
  const SandboxReport deaf = judge_function(
      "import os, time\ndef f():\n    os.close(4)\n    while True: time.sleep(9)\n", 20);
  EXPECT_EQ(deaf.verdict, Verdict::protocol) << deaf.detail;
}

}  // namespace
}  // namespace tasks::sandbox
