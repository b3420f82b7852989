#include "harness/gate_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tasks/strict_json.h"

namespace {

using namespace harness;
using testing::HasSubstr;

std::string error_of(const std::string& text) {
  try {
    parse_gate_policy(text, "gate.json");
  } catch (const tasks::TaskError& e) {
    return e.what();
  }
  return "no error";
}

// A policy with one check, given by its members.
std::string with(const std::string& members, const std::string& same = R"(["dataset"])") {
  return R"({"require_same": )" + same + R"(, "checks": [{)" + members + "}]}";
}

TEST(GatePolicy, TheBuiltInOneHoldsItsPromises) {
  const auto p = load_gate_policy("");
  size_t n[5] = {};
  for (const auto& c : p.checks) {
    ++n[static_cast<size_t>(c.metric)];
    if (c.metric == GateCheck::Metric::accuracy) {
      EXPECT_EQ(c.margin, c.scope == "all" ? 0.01 : 0.05);
      EXPECT_EQ(c.alpha, 0.05);
      EXPECT_EQ(c.on_inconclusive, GateCheck::Inconclusive::fail) << "never silently a pass";
    }
  }
  for (const size_t each : n) EXPECT_GE(each, 1u);
  // What --print-policy shows is a policy, and the same one.
  EXPECT_EQ(parse_gate_policy(p.json, "printed").json, p.json);
  EXPECT_THAT(p.json, HasSubstr("\"on_inconclusive\": \"fail\""));
}

TEST(GatePolicy, DefaultsAreTheStrictOnes) {
  const auto p = parse_gate_policy(with(R"("metric": "mean_k")"), "gate.json");
  ASSERT_EQ(p.checks.size(), 2u) << "completeness is always checked";
  EXPECT_EQ(p.checks[0].metric, GateCheck::Metric::completeness);
  EXPECT_EQ(p.checks[0].margin, 0.0);
  EXPECT_EQ(p.checks[0].severity, GateCheck::Severity::block);
  EXPECT_EQ(p.checks[1].scope, "all");
  EXPECT_FALSE(p.checks[1].margin) << "exact";
  EXPECT_EQ(p.checks[1].severity, GateCheck::Severity::block);
  const auto own = parse_gate_policy(
      with(R"("metric": "completeness", "margin": 0.001, "severity": "warn")"), "gate.json");
  ASSERT_EQ(own.checks.size(), 1u);
  EXPECT_EQ(own.checks[0].margin, 0.001);
}

TEST(GatePolicy, ErrorsNameThePlaceAndTheNearestWord) {
  const auto expect = [](const std::string& text, const std::string& message) {
    EXPECT_EQ(error_of(text), "gate.json: " + message);
  };
  expect(with(R"("metrik": "accuracy")"),
         "/checks/0/metrik: unknown key, the nearest known key is \"metric\"");
  expect(with(R"("metric": "acuracy")"),
         "/checks/0/metric: is \"acuracy\", want one of completeness, mean_k, useful_flops, "
         "executed_flops, accuracy (nearest: accuracy)");
  expect(with(R"("metric": "mean_k", "margin": "1%")"),
         "/checks/0/margin: is a string, want a number");
  expect(with(R"("metric": "accuracy", "margin": 1.0)"),
         "/checks/0/margin: is 1.0, want 1e-09 to 0.25");
  expect(with(R"("metric": "accuracy")"),
         "/checks/0/margin: is missing: the largest loss of accuracy that passes (0.01 is one "
         "percentage point)");
  expect(with(R"("metric": "mean_k", "alpha": 0.05)"),
         "/checks/0/alpha: has no meaning for mean_k");
  expect(with(R"("metric": "mean_k", "severity": "blok")"),
         "/checks/0/severity: is \"blok\", want one of block, warn, info (nearest: block)");
  expect(with(R"("scope": "mmlu")"), "/checks/0/metric: is missing");
  expect(R"({"checks": [{"metric": "mean_k"}]})",
         "/require_same: is missing: which of task, prompt, dataset, scorer, tokenizer, model, "
         "policy, gate_norm, generation, seed, instruction_set, tool, scenario must be the same");
  expect(with(R"("metric": "mean_k")", R"(["task"])"),
         "/require_same: lacks dataset: other questions cannot be compared");
  expect(R"({"require_same": ["dataset"], "checks": []})",
         "/checks: is empty, so that everything would pass");
  expect(R"({"require_same": ["dataset"], "checks": [{"metric": "mean_k"}, {"metric": "mean_k"}]})",
         "/checks/1: is a second check of mean_k for \"all\"");
  expect(R"({"require_same": ["dataset"], "checks": {"metric": "mean_k"}})",
         "/checks: is an object, want an array of objects");
  expect(R"({"require_same": ["dataset"], "checks": [3]})",
         "/checks/0: is a number, want an object");
  expect(R"({"version": 2, "require_same": ["dataset"], "checks": [{"metric": "mean_k"}]})",
         "/version: is 2, want 1 to 1");
  EXPECT_THAT(error_of(with(R"("metric": "mean_k")", R"(["dataset", "promt"])")),
              HasSubstr("/require_same/1: is \"promt\", want one of task, prompt, "));
  EXPECT_THAT(error_of("{"), HasSubstr("gate.json: not JSON: "));
  EXPECT_THAT(error_of(R"({"checks": [], "checks": []})"), HasSubstr("occurs twice"));
  EXPECT_THROW(load_gate_policy("/nonexistent/gate.json"), tasks::TaskError);
}

}  // namespace
