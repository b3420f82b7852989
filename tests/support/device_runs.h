// Runs the same requests on the CPU and on a GPU, and holds what comes back against each other.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/engine_runs.h"

namespace test_support {

struct EngineSizes {
  int64_t rows = 512;
  int32_t streams = 16;
  engine::GateNorm norm = engine::GateNorm::model;
};

inline std::unique_ptr<engine::Engine> load_on(const std::string& device,
                                               const engine::Checkpoint& checkpoint,
                                               EngineSizes sizes = {},
                                               engine::DeviceType type = engine::DeviceType::f32) {
  engine::EngineOptions o;
  o.threads = 2;
  o.max_batch_rows = sizes.rows;
  o.max_streams = sizes.streams;
  o.gate_norm = sizes.norm;
  o.device = device;
  o.device_type = type;
  return engine::Engine::load(checkpoint, o);
}

// What is booked must be what was launched, exactly.
inline void expect_same_flops(const engine::ComputeLedger& booked,
                              const engine::ComputeLedger& launched) {
  for (int i = 0; i < engine::kParts; ++i) {
    const auto part = static_cast<engine::Part>(i);
    EXPECT_EQ(booked.executed_flops(part), launched.executed_flops(part)) << part_name(part);
  }
  EXPECT_GT(launched.executed_flops(), 0u);
}

inline void expect_near(const std::vector<float>& cpu, const std::vector<float>& gpu,
                        double tolerance) {
  ASSERT_EQ(cpu.size(), gpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) ASSERT_NEAR(cpu[i], gpu[i], tolerance) << i;
}

inline void expect_same_choices(const engine::RoutingTrace& cpu, const engine::RoutingTrace& gpu,
                                double tolerance) {
  EXPECT_EQ(cpu.tokens(), gpu.tokens());
  ASSERT_EQ(cpu.layers().size(), gpu.layers().size());
  for (size_t i = 0; i < cpu.layers().size(); ++i) {
    const engine::RoutingTrace::Layer &a = cpu.layers()[i], &b = gpu.layers()[i];
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.k_sum, b.k_sum);
    EXPECT_EQ(a.k_min, b.k_min);
    EXPECT_EQ(a.k_max, b.k_max);
    EXPECT_EQ(a.margins, b.margins);
    if (a.margins == 0) continue;  // the least of none is infinite
    EXPECT_NEAR(a.margin_min, b.margin_min, tolerance);
    EXPECT_NEAR(a.margin_sum, b.margin_sum, tolerance * static_cast<double>(a.margins));
  }
}

// Of one request, run in the same steps: all but times.
inline void expect_same(const engine::Completion& cpu, const engine::Completion& gpu,
                        double tolerance = 1e-4) {
  SCOPED_TRACE("request " + std::to_string(cpu.id));
  EXPECT_EQ(cpu.id, gpu.id);
  EXPECT_EQ(cpu.outcome, gpu.outcome);
  EXPECT_EQ(cpu.detail, gpu.detail);
  EXPECT_EQ(cpu.tokens, gpu.tokens);
  EXPECT_EQ(cpu.finish, gpu.finish);
  EXPECT_EQ(cpu.prompt_tokens, gpu.prompt_tokens);
  EXPECT_EQ(cpu.prefix_tokens, gpu.prefix_tokens);
  EXPECT_EQ(cpu.budget, gpu.budget);
  expect_near(cpu.logits, gpu.logits, tolerance);
  ASSERT_EQ(cpu.scores.size(), gpu.scores.size());
  for (size_t i = 0; i < cpu.scores.size(); ++i) {
    const engine::ContinuationScore &a = cpu.scores[i], &b = gpu.scores[i];
    EXPECT_EQ(a.greedy, b.greedy);
    EXPECT_NEAR(a.logprob, b.logprob, tolerance * static_cast<double>(a.token_logprobs.size()));
    expect_near(a.token_logprobs, b.token_logprobs, tolerance);
  }
  expect_same_choices(cpu.trace, gpu.trace, tolerance);
  for (int i = 0; i < engine::kParts; ++i) {
    const auto part = static_cast<engine::Part>(i);
    EXPECT_EQ(cpu.ledger.useful_flops(part), gpu.ledger.useful_flops(part)) << part_name(part);
    EXPECT_EQ(cpu.ledger.executed_flops(part), gpu.ledger.executed_flops(part)) << part_name(part);
  }
  EXPECT_EQ(cpu.batch_k_max, gpu.batch_k_max);
  EXPECT_EQ(cpu.mean_batch_experts, gpu.mean_batch_experts);
  EXPECT_EQ(cpu.timing.mean_batch_rows, gpu.timing.mean_batch_rows);
}

inline void expect_same(const std::map<uint64_t, engine::Completion>& cpu,
                        const std::map<uint64_t, engine::Completion>& gpu,
                        double tolerance = 1e-4) {
  ASSERT_EQ(cpu.size(), gpu.size());
  for (const auto& [id, completion] : cpu) expect_same(completion, gpu.at(id), tolerance);
}

inline engine::ComputeLedger sum_of_ledgers(const std::map<uint64_t, engine::Completion>& all) {
  engine::ComputeLedger sum;
  for (const auto& [id, c] : all) sum += c.ledger;
  return sum;
}

}  // namespace test_support
