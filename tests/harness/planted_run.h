// Owns runs whose verdicts, experts and FLOPs are planted: written through the store's own API, so
// that compare and gate have a known truth to find.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/results/store_fixture.h"

namespace planted {

struct Run {
  std::string uuid;
  std::vector<std::pair<std::string, int>> tasks = {{"planted_task", 60}};  // name, questions
  std::vector<int64_t> policies = {4};                                      // fixed:K
  int repeats = 1;
  int variants = 1;  // shifted forms of each question; 1 = the clean one only
  std::function<bool(int question, int variant, int repeat)> right = [](int, int, int) {
    return true;
  };
  std::function<int64_t(int question)> k = {};    // default: the policy's
  std::function<bool(int question)> marked = {};  // false: answered, but our machinery did not mark
  int64_t flops = 1000;                           // useful, of each attempt
  int64_t prefix_flops = 0;                       // of one prefix that all share
  int stored = 1 << 30;                           // only the first ones; the rest stays undone
  std::function<void(results::RunPlan&)> change = {};
};

inline results::RunPlan plan_of(const Run& run) {
  auto plan = results::small_plan(1, run.policies);
  const auto first = plan.tasks[0];
  plan.tasks.clear();
  plan.planned.clear();
  plan.run.run_uuid = run.uuid;
  plan.mode = results::StartMode::new_run;
  if (run.variants > 1) plan.shifts.clear();
  for (int v = 0; v < run.variants && run.variants > 1; ++v)
    plan.shifts.push_back({.name = "typos", .family = "surface", .severity = v + 1});
  for (const auto& [name, n] : run.tasks) {
    auto& t = plan.tasks.emplace_back(first);
    t.task.name = name;
    t.task.task_sha256 = results::hash_of(name);
    t.dataset.n_rows = 100;
    t.samples.clear();
    for (int i = 0; i < n; ++i) {
      auto& s = t.samples.emplace_back(first.samples[0]);
      s.source_key = fmt::format("{}/{}", name, i);
      s.cluster = fmt::format("subject {}", i % 12);
    }
  }
  for (size_t p = 0; p < plan.policies.size(); ++p)
    for (size_t t = 0; t < plan.tasks.size(); ++t)
      for (size_t s = 0; s < plan.tasks[t].samples.size(); ++s)
        for (int v = 0; v < run.variants; ++v)
          for (int r = 0; r < run.repeats; ++r)
            plan.planned.push_back({.task = static_cast<int32_t>(t),
                                    .sample = static_cast<int32_t>(s),
                                    .policy = static_cast<int32_t>(p),
                                    .shift = v,
                                    .repeat_ix = r});
  if (run.change) run.change(plan);
  return plan;
}

inline void store(const std::filesystem::path& db, const Run& run) {
  const auto plan = plan_of(run);
  const auto store = results::ResultStore::open(db, results::ResultStore::Mode::write);
  store->begin_or_resume(plan);
  const auto n = std::min(plan.planned.size(), static_cast<size_t>(run.stored));
  for (size_t i = 0; i < n; ++i) {
    const auto& row = plan.planned[i];
    auto b = results::bundle_for(plan, static_cast<int64_t>(i),
                                 run.right(row.sample, row.shift, row.repeat_ix));
    b.query.prompt_text += fmt::format(" ({}.{})", row.task, row.shift);
    if (run.k) b.attempt.k_requested = run.k(row.sample);
    b.attempt.k_mean = static_cast<double>(*b.attempt.k_requested);
    b.attempt.useful = results::FlopsByPart{.experts_flops = run.flops};
    b.attempt.executed = results::FlopsByPart{.experts_flops = run.flops / 2};
    if (run.marked && !run.marked(row.sample)) {
      b.verdicts[0].outcome = "not_run";
      b.verdicts[0].correct.reset();
      b.verdicts[0].score.reset();
    }
    if (run.prefix_flops > 0) {
      b.attempt.prefix_sha256 = results::hash_of("prefix");
      if (i == 0)
        b.prefixes = {{results::hash_of("prefix"), 0, 7, {.experts_flops = run.prefix_flops}, {}}};
    }
    store->append(std::move(b));
  }
  store->finish(n == plan.planned.size() ? "complete" : "interrupted");
}

}  // namespace planted
