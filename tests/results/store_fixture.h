// Owns what the store's tests share: a folder of their own, a small plan, a bundle for each of its
// rows, and raw SQL on the file.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "results/result_store.h"

namespace results {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "moeval-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    file_ = folder_ / "moeval.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<ResultStore> writer() const {
    return ResultStore::open(file_, ResultStore::Mode::write);
  }
  std::unique_ptr<ResultStore> reader() const {
    return ResultStore::open(file_, ResultStore::Mode::read);
  }

  std::filesystem::path folder_, file_;
};

inline std::string hash_of(std::string_view what) {
  std::string h;
  for (size_t i = 0; h.size() < 64; ++i)
    h += fmt::format("{:02x}", static_cast<unsigned char>(what[i % what.size()]));
  return h.substr(0, 64);
}

inline RunPlan small_plan(int n_samples = 3, std::vector<int64_t> ks = {1}) {
  RunPlan plan;
  plan.run.fingerprint = {{"model", "m1"}, {"seed", "7"}, {"task", "planted"}};
  plan.run.binary_sha256 = hash_of("binary");
  plan.run.tool_version = "0.1.0";
  plan.run.determinism = "bitwise";
  plan.run.scenario = "closed";
  plan.run.argv = "moeval run";
  plan.run.seed = 7;
  plan.environment.fingerprint = "here";
  plan.environment.cpu_model = "planted cpu";
  plan.model.name = "planted";
  plan.model.weights_sha256 = hash_of("weights");
  plan.model.tokenizer_sha256 = hash_of("tokenizer");
  plan.model.config_json = "{}";
  plan.model.dtype = "f32";
  for (const int64_t k : ks) {
    PolicyRow p;
    p.kind = "fixed";
    p.k_fixed = k;
    p.label = fmt::format("fixed:{}", k);
    p.policy_sha256 = hash_of(p.label);
    plan.policies.push_back(p);
  }
  PlannedTask task;
  task.dataset.name = "planted";
  task.dataset.split = "test";
  task.dataset.sha256 = hash_of("data");
  task.dataset.n_rows = n_samples;
  task.task.name = "planted_task";
  task.task.suite = "planted";
  task.task.scorer = "letters-1";
  task.task.metric = "acc";
  task.task.prompt_sha256 = hash_of("prompt");
  task.task.task_sha256 = hash_of("task");
  task.task.chance = 0.25;
  for (int i = 0; i < n_samples; ++i) {
    SampleRow s;
    s.source_key = fmt::format("planted/{}", i);
    s.cluster.emplace("subject");
    s.gold.emplace("A");
    s.n_choices = 4;
    task.samples.push_back(s);
  }
  plan.tasks.push_back(task);
  for (size_t p = 0; p < plan.policies.size(); ++p) {
    for (int i = 0; i < n_samples; ++i) {
      PlannedRow row;
      row.sample = i;
      row.policy = static_cast<int32_t>(p);
      plan.planned.push_back(row);
    }
  }
  return plan;
}

inline VerdictRow verdict(bool right, const std::string& scorer = "letters-1") {
  VerdictRow v;
  v.scorer = scorer;
  v.outcome = right ? "passed" : "wrong";
  v.correct = right ? 1 : 0;
  v.score = right ? 1.0 : 0.0;
  v.answer = right ? "A" : "B";
  return v;
}

// A bundle whose content depends on the plan's row only.
inline AttemptBundle bundle_for(const RunPlan& plan, int64_t ordinal, bool right = true) {
  const PlannedRow& p = plan.planned.at(static_cast<size_t>(ordinal));
  AttemptBundle b;
  b.query.prefix_text = "Five demonstrations.\n\n";
  b.query.prompt_text = fmt::format("Question {}?\nAnswer:", p.sample);
  b.attempt.ordinal = ordinal;
  b.attempt.seed = 100 + ordinal;
  b.attempt.k_requested = plan.policies.at(static_cast<size_t>(p.policy)).k_fixed;
  b.attempt.k_mean = static_cast<double>(b.attempt.k_requested.value_or(1));
  b.attempt.prompt_tokens = 20;
  b.attempt.latency_us = 1000 + ordinal;
  b.attempt.useful = FlopsByPart{100, 1, 200, 30, 4};
  b.attempt.executed = FlopsByPart{50, 1, 100, 30, 4};
  b.options = {{-0.5, 1}, {-1.25, 1}, {-2.0, 1}, {-3.0, 1}};
  b.verdicts = {verdict(right)};
  return b;
}

// Raw SQL on the file, as a user with the sqlite3 shell would.
class Sql {
 public:
  explicit Sql(const std::filesystem::path& file) {
    EXPECT_EQ(sqlite3_open(file.c_str(), &db_), SQLITE_OK);
  }
  ~Sql() { sqlite3_close(db_); }
  void run(const std::string& sql) {
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK)
        << sql << ": " << (message == nullptr ? "" : message);
    sqlite3_free(message);
  }
  // Rows as "a|b|c"; NULL is shown as ~.
  std::vector<std::string> rows(const std::string& sql) {
    std::vector<std::string> out;
    sqlite3_stmt* s = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
    while (s != nullptr && sqlite3_step(s) == SQLITE_ROW) {
      std::string row;
      for (int c = 0; c < sqlite3_column_count(s); ++c) {
        const void* text = sqlite3_column_text(s, c);
        if (c > 0) row += '|';
        row += text == nullptr ? "~" : static_cast<const char*>(text);
      }
      out.push_back(row);
    }
    sqlite3_finalize(s);
    return out;
  }
  std::string one(const std::string& sql) {
    const auto all = rows(sql);
    return all.empty() ? "" : all[0];
  }

 private:
  sqlite3* db_ = nullptr;
};

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Forks; the child runs `f` and exits with its result, or with 99 when it throws: it must never
// return into the test runner.
template <class F>
pid_t in_child(F f) {
  const pid_t child = fork();
  if (child != 0) return child;
  int status = 99;
  try {
    status = f();
  } catch (const std::exception& e) {
    fmt::print(stderr, "child: {}\n", e.what());
  }
  _exit(status);
}

// The message of the exception of type E that `f` must throw.
template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace results
