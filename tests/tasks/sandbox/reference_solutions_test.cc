// Official solutions must pass: HumanEval's 164, and the extremes of HumanEval+ too.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/tasks/sandbox/sandbox_fixture.h"

namespace tasks::sandbox {
namespace {

using ReferenceTest = SandboxTest;

std::vector<nlohmann::json> read_gzip_lines(const std::filesystem::path& path) {
  std::string text;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  char buffer[1 << 16];
  int n = 0;
  while ((n = gzread(file, buffer, sizeof buffer)) > 0) text.append(buffer, n);
  gzclose(file);
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (!line.empty()) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

CodeProblem problem_of(const nlohmann::json& line) {
  return {line.at("prompt"), line.at("canonical_solution"), line.at("test"),
          line.at("entry_point")};
}

TEST_F(ReferenceTest, EveryHumanEvalSolutionPasses) {
  const char* data = std::getenv("MOEVAL_DATA");
  if (data == nullptr || *data == 0) GTEST_SKIP() << "MOEVAL_DATA is not set";
  const auto lines =
      read_gzip_lines(std::filesystem::path(data) / "humaneval/data/HumanEval.jsonl.gz");
  ASSERT_EQ(lines.size(), 164u);
  std::vector<double> wall_s(lines.size()), cpu_s(lines.size());
  std::vector<std::string> failures(lines.size());
  const auto judge_from = [&](size_t first) {
    for (size_t i = first; i < lines.size(); i += 2) {
      const SandboxReport r = judge(problem_of(lines[i]), 3 * sandbox_->machine_factor());
      wall_s[i] = r.wall_s;
      cpu_s[i] = r.cpu_s;
      if (r.verdict != Verdict::passed)
        failures[i] = std::string(verdict_name(r.verdict)) + ": " + r.detail;
    }
  };
  std::thread other(judge_from, 1);
  judge_from(0);
  other.join();
  for (size_t i = 0; i < lines.size(); ++i)
    EXPECT_TRUE(failures[i].empty()) << lines[i].at("task_id") << " " << failures[i];
  for (auto* values : {&wall_s, &cpu_s}) std::sort(values->begin(), values->end());
  std::printf("two slots: wall median %.1f ms, max %.1f ms; CPU median %.1f ms, max %.1f ms\n",
              1e3 * wall_s[82], 1e3 * wall_s[163], 1e3 * cpu_s[82], 1e3 * cpu_s[163]);
}

TEST_F(ReferenceTest, HumanEvalPlusSolutionsWithTheLargestValuesPass) {
  const char* data = std::getenv("MOEVAL_DATA");
  if (data == nullptr || *data == 0) GTEST_SKIP() << "MOEVAL_DATA is not set";
  const auto lines = read_gzip_lines(std::filesystem::path(data) /
                                     "humaneval-plus/HumanEvalPlus-OriginFmt.jsonl.gz");
  if (lines.empty()) GTEST_SKIP() << "no humaneval-plus under MOEVAL_DATA";
  ASSERT_EQ(lines.size(), 164u);
  for (size_t i : {4, 38, 83, 100, 130}) {
    const SandboxReport r = judge(problem_of(lines[i]), 30);
    EXPECT_EQ(r.verdict, Verdict::passed) << lines[i].at("task_id") << " " << r.detail;
  }
}

}  // namespace
}  // namespace tasks::sandbox
