#include "harness/standard_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "datasets/ladder_suite.h"
#include "harness/exit_code.h"
#include "harness/run_spec.h"
#include "tasks/shift.h"

namespace harness {
namespace {

struct Decided {
  std::string sample, key;
  int32_t k = 0;
};

int32_t oracle_k(const SweepQuestion& q, const std::vector<int32_t>& grid) {
  if (const auto stable = q.k_stable(grid)) return *stable;
  return q.k_first(grid).value_or(grid.front());
}

// A question under a shift has entries of its own where they may differ from the clean one's, which
// a table policy falls back to.
void add_shifted(const SweepQuestion& q, const std::string& clean_key, int32_t oracle,
                 StandardTables* out) {
  // "typos:2 seed 7" is the key's "@typos/2".
  const size_t colon = q.shift.find(':');
  const std::string name = q.shift.substr(0, colon);
  const std::string severity = q.shift.substr(colon + 1, q.shift.find(' ') - colon - 1);
  const std::string key = fmt::format("{}@{}/{}", clean_key, name, severity);
  out->oracle[key] = oracle;
  const tasks::Shift cue{tasks::ShiftFamily::ladder_cue};
  const auto truth = datasets::ladder_truth(q.sample);
  if (truth && name == tasks::shift_name(cue))
    out->shortcut[key] = datasets::ladder_shortcut_k(
        datasets::ladder_filler_after(truth->filler, std::stoi(severity)));
}

}  // namespace

StandardTables make_standard_tables(
    const Sweep& sweep, uint64_t seed,
    const std::function<int64_t(const std::string& task, const std::string& sample)>& length_of) {
  std::map<std::string, std::vector<Decided>> by_task;
  StandardTables out;
  for (const auto& q : sweep.questions) {
    if (!q.need(sweep.grid)) continue;
    const std::string key = fmt::format("{}:{}", q.task, q.sample);
    if (q.shift == "clean")
      by_task[q.task].push_back({q.sample, key, oracle_k(q, sweep.grid)});
    else
      add_shifted(q, key, oracle_k(q, sweep.grid), &out);
  }
  for (const auto& entry : by_task) {
    const std::string& task = entry.first;
    const std::vector<Decided>& questions = entry.second;
    const size_t n = questions.size();
    for (const auto& q : questions) {
      out.oracle[q.key] = q.k;
      if (const auto truth = datasets::ladder_truth(q.sample))
        out.shortcut[q.key] = datasets::ladder_shortcut_k(truth->filler);
    }
    // A random order that depends on seed and sample ids alone: sorted by hash.
    const auto hash = [seed](const std::string& key, int which) {
      return attempt_seed(seed, key, which);
    };
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return hash(questions[a].key, 1) < hash(questions[b].key, 1);
    });
    for (size_t i = 0; i < n; ++i) {
      out.shuffled[questions[order[i]].key] = questions[order[(i + 1) % n]].k;
      out.matched_random[questions[i].key] =
          questions[hash(questions[i].key, 2) % static_cast<uint64_t>(n)].k;
    }
    std::vector<int32_t> ks;
    for (const auto& q : questions) ks.push_back(q.k);
    std::sort(ks.begin(), ks.end());
    std::map<std::string, int64_t> length;
    for (const auto& q : questions) length[q.key] = length_of(task, q.sample);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      const auto& x = questions[a].key;
      const auto& y = questions[b].key;
      return length[x] != length[y] ? length[x] < length[y] : hash(x, 3) < hash(y, 3);
    });
    for (size_t i = 0; i < n; ++i) out.length_only[questions[order[i]].key] = ks[i];
  }
  return out;
}

std::filesystem::path write_table(const std::filesystem::path& folder, const std::string& name,
                                  const std::string& model_sha256, const std::string& note,
                                  const KTable& table) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const nlohmann::json j{
      {"format", "moeval_table/1"}, {"model_sha256", model_sha256}, {"note", note}, {"k", table}};
  const auto path = folder / (name + ".json"), partial = folder / (name + ".json.partial");
  std::ofstream out(partial, std::ios::binary);
  out << j.dump(1) << "\n";
  out.close();
  if (out) std::filesystem::rename(partial, path, error);
  if (!out || error)
    throw InfrastructureError(fmt::format("{}: could not be written", path.string()));
  return path;
}

std::vector<std::filesystem::path> write_tables(const std::filesystem::path& folder,
                                                const Sweep& sweep, const StandardTables& tables) {
  std::vector<std::filesystem::path> files;
  const auto write = [&](const char* name, const KTable& table) {
    if (!table.empty())
      files.push_back(write_table(folder, name, sweep.weights_sha256,
                                  fmt::format("{} of sweep {}", name, sweep.run_uuid), table));
  };
  write("oracle", tables.oracle);
  write("shuffled", tables.shuffled);
  write("matched_random", tables.matched_random);
  write("length_only", tables.length_only);
  write("shortcut", tables.shortcut);
  return files;
}

}  // namespace harness
