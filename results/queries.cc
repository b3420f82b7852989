#include "results/queries.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "results/attempt_parts.h"
#include "results/row_columns.h"
#include "results/store_reader.h"
#include "results/verify.h"

namespace results {
namespace {

// Reads a row's columns from column `at` on and moves it behind them.
template <class Row>
void read_row(const Statement& s, int& at, Row& row) {
  ColumnReader reader{s, at};
  visit_columns(row, reader);
  at = reader.next;
}

std::vector<RunInfo> read_runs(Database& db, std::string_view where, std::string_view value) {
  Statement s = db.prepare(
      "SELECT r.run_id, r.fingerprint_json, r.started_at, r.status, r.ended_at, "
      "(SELECT COUNT(*) FROM run_session x WHERE x.run_id = r.run_id), " +
      column_list<RunRow>("r.") + ", " + column_list<ModelRow>("m.") + ", " +
      column_list<EnvironmentRow>("e.") +
      " FROM run r JOIN model m ON m.model_id = r.model_id "
      "JOIN environment e ON e.environment_id = r.environment_id WHERE " +
      std::string(where) + " ORDER BY r.run_id");
  s.bind(1, value);
  std::vector<RunInfo> all;
  while (s.step()) {
    RunInfo& info = all.emplace_back();
    info.run_id = s.integer(0);
    info.started_at = s.text(2);
    info.status = s.text(3);
    s.read(4, info.ended_at);
    info.sessions = s.integer(5);
    int at = 6;
    read_row(s, at, info.run);
    read_row(s, at, info.model);
    read_row(s, at, info.environment);
    const auto fingerprint = nlohmann::json::parse(s.text(1), nullptr, false);
    if (fingerprint.is_object()) {
      for (const auto& f : fingerprint.items())
        if (f.value().is_string()) info.run.fingerprint[f.key()] = f.value().get<std::string>();
    }
    info.counts = count_run(db, info.run_id);
  }
  return all;
}

}  // namespace

std::vector<RunInfo> runs(const ResultStore& store) {
  StoreReader reader(store);
  return read_runs(reader.db(), "?1 = ''", "");
}

RunInfo find_run(const ResultStore& store, std::string_view name) {
  StoreReader reader(store);
  std::vector<RunInfo> found;
  if (name == "latest") {
    found =
        read_runs(reader.db(), "?1 = 'latest' AND r.run_id = (SELECT MAX(run_id) FROM run)", name);
  } else {
    found = read_runs(reader.db(), "r.run_uuid = ?1", name);
    if (found.empty() && !name.empty())
      found = read_runs(reader.db(), "substr(r.run_uuid, 1, length(?1)) = ?1", name);
  }
  if (found.empty())
    throw StoreError(fmt::format("{}: there is no run {}", reader.db().name(), name));
  if (found.size() > 1)
    throw StoreError(fmt::format("{}: {} runs begin with {}: {}, {}, ...", reader.db().name(),
                                 found.size(), name, found[0].run.run_uuid, found[1].run.run_uuid));
  return found[0];
}

std::vector<LeaderboardCell> leaderboard(const ResultStore& store, std::string_view run_uuid) {
  StoreReader reader(store);
  Database& db = reader.db();
  Statement s = db.prepare(
      "SELECT v.run_id, v.task_id, v.run_uuid, r.status, v.model, v.policy, v.policy_kind, "
      "v.suite, "
      "v.task, t.metric, v.shift, v.severity, v.chance, SUM(v.graded), "
      "SUM(CASE WHEN v.graded THEN COALESCE(v.correct, 0) ELSE 0 END), "
      "SUM(v.graded AND v.status <> 'ok'), SUM(NOT v.graded), AVG(v.k_mean), SUM(v.useful_flops), "
      "SUM(v.executed_flops), COUNT(v.useful_flops), v.policy_id, "
      "(SELECT COUNT(*) FROM planned_attempt p JOIN sample s USING(sample_id) "
      "JOIN shift sh USING(shift_id) WHERE p.run_id = v.run_id AND s.task_id = v.task_id "
      "AND p.policy_id = v.policy_id AND sh.name = v.shift AND sh.severity = v.severity) "
      "FROM v_attempt v JOIN run r ON r.run_id = v.run_id JOIN task t ON t.task_id = v.task_id "
      "WHERE ?1 = '' OR v.run_uuid = ?1 "
      "GROUP BY v.run_id, v.task_id, v.policy_id, v.shift, v.severity "
      "ORDER BY v.run_id, v.task_id, v.policy_id, v.shift, v.severity");
  s.bind(1, run_uuid);
  Statement latency = db.prepare(
      "SELECT latency_us FROM v_attempt WHERE run_id = ? AND task_id = ? AND policy_id = ? AND "
      "shift = ? AND severity = ? AND status IN ('ok', 'timeout') AND latency_us IS NOT NULL "
      "ORDER BY latency_us");
  std::vector<LeaderboardCell> cells;
  while (s.step()) {
    LeaderboardCell& c = cells.emplace_back();
    int at = 0;
    const auto next = [&](auto& field) { s.read(at++, field); };
    next(c.run_id), next(c.task_id), next(c.run_uuid), next(c.run_status), next(c.model);
    next(c.policy), next(c.policy_kind), next(c.suite), next(c.task), next(c.metric);
    next(c.shift), next(c.severity), next(c.chance), next(c.n), next(c.n_correct);
    next(c.n_failed), next(c.n_ungraded), next(c.mean_k), next(c.useful_flops);
    next(c.executed_flops), next(c.n_flops);
    int64_t policy_id = 0;
    next(policy_id), next(c.n_planned);
    latency.bind(1, c.run_id).bind(2, c.task_id).bind(3, policy_id).bind(4, c.shift);
    latency.bind(5, c.severity);
    while (latency.step()) c.latencies_us.push_back(latency.integer(0));
    latency.reset();
  }
  return cells;
}

std::vector<StoredTask> tasks_of_run(const ResultStore& store, int64_t run_id) {
  StoreReader reader(store);
  Statement s = reader.db().prepare(
      "SELECT t.task_id, " + column_list<TaskRow>("t.") + ", " + column_list<DatasetRow>("d.") +
      " FROM task t JOIN dataset d ON d.dataset_id = t.dataset_id WHERE t.task_id IN "
      "(SELECT s.task_id FROM planned_attempt p JOIN sample s ON s.sample_id = p.sample_id "
      "WHERE p.run_id = ?) ORDER BY t.task_id");
  s.bind(1, run_id);
  std::vector<StoredTask> tasks;
  while (s.step()) {
    StoredTask& t = tasks.emplace_back();
    t.task_id = s.integer(0);
    int at = 1;
    read_row(s, at, t.task);
    read_row(s, at, t.dataset);
  }
  return tasks;
}

std::vector<PolicyRow> policies_of_run(const ResultStore& store, int64_t run_id) {
  StoreReader reader(store);
  Statement s = reader.db().prepare(
      "SELECT " + column_list<PolicyRow>() +
      " FROM policy WHERE policy_id IN (SELECT policy_id FROM planned_attempt WHERE run_id = ?) "
      "ORDER BY policy_id");
  s.bind(1, run_id);
  std::vector<PolicyRow> policies;
  while (s.step()) visit_columns(policies.emplace_back(), ColumnReader{s, 0});
  return policies;
}

std::vector<PlannedCell> planned_cells(const ResultStore& store, int64_t run_id) {
  StoreReader reader(store);
  Statement s = reader.db().prepare(
      "SELECT t.task_id, t.name, y.label, COUNT(*), "
      "SUM(EXISTS (SELECT 1 FROM attempt a WHERE a.run_id = p.run_id AND a.ordinal = p.ordinal "
      "AND a.status <> 'infra')), "
      "SUM(EXISTS (SELECT 1 FROM attempt a JOIN verdict v USING(attempt_id) "
      "WHERE a.run_id = p.run_id AND a.ordinal = p.ordinal AND a.status <> 'infra' "
      "AND v.scorer = t.scorer AND v.correct IS NOT NULL)) "
      "FROM planned_attempt p JOIN sample s USING(sample_id) JOIN task t USING(task_id) "
      "JOIN policy y USING(policy_id) WHERE p.run_id = ? "
      "GROUP BY t.task_id, y.policy_id ORDER BY t.task_id, y.policy_id");
  s.bind(1, run_id);
  std::vector<PlannedCell> cells;
  while (s.step()) {
    PlannedCell& c = cells.emplace_back();
    int at = 0;
    const auto next = [&](auto& field) { s.read(at++, field); };
    next(c.task_id), next(c.task), next(c.policy), next(c.planned), next(c.done), next(c.graded);
  }
  return cells;
}

void for_each_attempt(const ResultStore& store, const AttemptFilter& filter,
                      const std::function<bool(const StoredAttempt&)>& callback) {
  StoreReader reader(store);
  Database& db = reader.db();
  Statement s = db.prepare(
      "SELECT a.attempt_id, sa.task_id, a.try_ix, a.ordinal, q.shift_seed, a.repeat_ix, "
      "q.prompt_sha256, CASE WHEN ?4 THEN COALESCE(pre.body, '') || prompt.body END, "
      "CASE WHEN ?4 THEN o.body END, t.scorer, " +
      column_list<AttemptRow>("a.") + ", " + column_list<PolicyRow>("p.") + ", " +
      column_list<SampleRow>("sa.") + ", " + column_list<ShiftRow>("sh.") +
      " FROM attempt a JOIN policy p ON p.policy_id = a.policy_id "
      "JOIN query q ON q.query_id = a.query_id JOIN sample sa ON sa.sample_id = q.sample_id "
      "JOIN task t ON t.task_id = sa.task_id JOIN shift sh ON sh.shift_id = q.shift_id "
      "LEFT JOIN text pre ON pre.text_id = q.prefix_text_id "
      "LEFT JOIN text prompt ON prompt.text_id = q.prompt_text_id "
      "LEFT JOIN text o ON o.text_id = a.output_text_id "
      "WHERE a.run_id = ?1 AND (?2 IS NULL OR sa.task_id = ?2) AND (?3 = '' OR p.label = ?3) "
      "AND a.warmup = 0 AND NOT EXISTS (SELECT 1 FROM attempt b WHERE b.run_id = a.run_id "
      "AND b.ordinal = a.ordinal AND b.try_ix > a.try_ix) ORDER BY a.ordinal");
  s.bind(1, filter.run_id).bind(2, filter.task_id).bind(3, filter.policy);
  s.bind(4, filter.with_text ? 1 : 0);
  Statement verdicts = db.prepare("SELECT " + column_list<VerdictRow>() +
                                  " FROM verdict WHERE attempt_id = ? ORDER BY scorer");
  AttemptParts parts(db);
  while (s.step()) {
    StoredAttempt row;
    row.attempt_id = s.integer(0);
    row.task_id = s.integer(1);
    row.try_ix = s.integer(2);
    row.shift_seed = s.integer(4);
    row.repeat_ix = s.integer(5);
    row.prompt_sha256 = s.text(6);
    s.read(7, row.prompt);
    s.read(8, row.output_text);
    const std::string scorer = s.text(9);
    int at = 10;
    read_row(s, at, row.attempt);
    row.attempt.ordinal = s.integer(3);
    read_row(s, at, row.policy);
    read_row(s, at, row.sample);
    read_row(s, at, row.shift);
    row.options = parts.options(row.attempt_id);
    verdicts.bind(1, row.attempt_id);
    while (verdicts.step()) {
      VerdictRow v;
      visit_columns(v, ColumnReader{verdicts, 0});
      if (v.scorer == scorer) row.verdict = v;
      row.verdicts.push_back(std::move(v));
    }
    verdicts.reset();
    if (!callback(row)) return;
  }
}

namespace {

FlopsByPart sum_prefixes(Statement& s) {
  FlopsByPart sum;
  while (s.step()) {
    PrefixRow row;
    visit_columns(row, ColumnReader{s, 0});
    for (const auto& c : kFlopsColumns) sum.*c.value += row.executed.*c.value;
  }
  return sum;
}

}  // namespace

FlopsByPart prefix_flops(const ResultStore& store, int64_t run_id) {
  StoreReader reader(store);
  Statement s =
      reader.db().prepare("SELECT " + column_list<PrefixRow>() + " FROM prefix WHERE run_id = ?");
  s.bind(1, run_id);
  return sum_prefixes(s);
}

FlopsByPart prefix_flops(const ResultStore& store, int64_t run_id, int64_t task_id,
                         std::string_view policy) {
  StoreReader reader(store);
  Statement s = reader.db().prepare(
      "WITH owner AS (SELECT a.prefix_sha256, a.policy_id, MIN(s.task_id) AS task_id "
      "FROM attempt a JOIN query q USING(query_id) JOIN sample s USING(sample_id) "
      "WHERE a.run_id = ?1 AND a.prefix_sha256 IS NOT NULL GROUP BY 1, 2) "
      "SELECT " +
      column_list<PrefixRow>("p.") +
      " FROM prefix p JOIN owner o ON o.prefix_sha256 = p.prefix_sha256 AND o.policy_id = "
      "p.policy_id JOIN policy y ON y.policy_id = p.policy_id "
      "WHERE p.run_id = ?1 AND o.task_id = ?2 AND y.label = ?3");
  s.bind(1, run_id).bind(2, task_id).bind(3, policy);
  return sum_prefixes(s);
}

}  // namespace results
