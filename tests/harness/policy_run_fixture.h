// Owns what the tests of policies and sweeps share: commands on a tiny mixture of experts.
#pragma once

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/harness/run_fixture.h"

class PolicyRunTest : public RunTest {
 protected:
  std::vector<std::string> args(const std::string& command, const std::string& tasks,
                                const std::string& database,
                                std::vector<std::string> more = {}) const {
    std::vector<std::string> out = {command,  "--model",  moe(),  "--tasks", tasks,
                                    "--data", "embedded", "--db", database};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  std::string weights_sha() const {
    const auto out = moeval(args("run", "mmlu_cloze", db("sha.db"), {"--limit", "1"}));
    EXPECT_EQ(out.code, 0) << out.err;
    auto sha = stored::rows(db("sha.db"), "SELECT weights_sha256 FROM model");
    sha.pop_back();
    return sha;
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() / name) << text;
    return folder_.path() / name;
  }
  std::string coefficients(const std::string& sha, double decode_ms = 1) const {
    return write("c.json",
                 nlohmann::json{{"format", "moeval_latency/1"},
                                {"model_sha256", sha},
                                {"prefill_ms_per_token", {{"1", 1}, {"16", 16}}},
                                {"decode_ms_per_token", {{"1", decode_ms}, {"16", 16 * decode_ms}}}}
                     .dump());
  }
};
