// Owns conversions of tiny parents for tests: the text, the job, the converted model.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/convert/convert.h"
#include "tests/support/engine_runs.h"
#include "tests/support/temp_folder.h"

namespace conversions {

using namespace engine::convert;
using engine::Checkpoint;
using support::TempFolder;
using test_support::random_tokens;
using test_support::TinyCheckpoint;

inline const std::atomic<bool> kGo{false};

inline std::vector<Window> windows() {
  std::vector<Window> w;
  for (uint64_t i = 0; i < 12; ++i) w.push_back(random_tokens(30 + i, 40 + i));
  return w;
}

inline Job job_of(const Checkpoint& parent, const std::filesystem::path& out,
                  Options options = {}) {
  options.active = 12;
  return {.parent = parent,
          .parent_sha256 = "parent",
          .windows = windows(),
          .calibration = "test text",
          .calibration_sha256 = "text",
          .options = options,
          .out = out,
          .tokenizer = {},
          .threads = 2};
}

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream s;
  s << in.rdbuf();
  return std::move(s).str();
}

inline Outcome convert_quietly(const Job& job, const std::atomic<bool>& stop = kGo) {
  return convert(
      job, [](int32_t, int32_t, const std::string&) {}, stop);
}

inline std::unique_ptr<Checkpoint> converted(const Checkpoint& parent, const TempFolder& folder,
                                             const Options& options = {}) {
  const auto out = folder.path() / "nested";
  std::filesystem::remove_all(out);
  EXPECT_TRUE(convert_quietly(job_of(parent, out, options)).finished);
  return Checkpoint::open(out);
}

inline engine::ExpertBudget budget(int32_t k) {
  engine::ExpertBudget b;
  b.k = k;
  return b;
}

}  // namespace conversions
