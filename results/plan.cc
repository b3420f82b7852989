#include "results/plan.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "results/checksum.h"
#include "results/row_columns.h"
#include "results/store_file.h"

namespace results {
namespace {

using nlohmann::json;

// RFC 9562 version 7: sorts by time of making.
std::string new_uuid() {
  std::array<unsigned char, 16> b{};
  if (getrandom(b.data(), b.size(), 0) != static_cast<ssize_t>(b.size()))
    throw StoreError("no randomness for a run's name");
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  for (int i = 0; i < 6; ++i)
    b[static_cast<size_t>(i)] = static_cast<unsigned char>(ms >> (40 - 8 * i));
  b[6] = static_cast<unsigned char>(0x70 | (b[6] & 0x0f));
  b[8] = static_cast<unsigned char>(0x80 | (b[8] & 0x3f));
  std::string s;
  for (size_t i = 0; i < b.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) s += '-';
    s += fmt::format("{:02x}", b[i]);
  }
  return s;
}

struct Dimension {
  int64_t id = 0;
  std::string row_sha256;
};

// Finds the row by its content, or stores it. `parent`: a key column that belongs to its identity.
template <class Row>
Dimension ensure(Database& db, const std::string& table, const Row& row,
                 const std::string& parent = {}, int64_t parent_id = 0) {
  Dimension d;
  d.row_sha256 = row_checksum(table, row);
  std::string where = "row_sha256 = ?";
  std::string extra = "row_sha256";
  if (!parent.empty()) {
    where += " AND " + parent + " = ?";
    extra += ", " + parent;
  }
  Statement find = db.prepare("SELECT " + table + "_id FROM " + table + " WHERE " + where);
  find.bind(1, d.row_sha256);
  if (!parent.empty()) find.bind(2, parent_id);
  if (find.step()) {
    d.id = find.integer(0);
    return d;
  }
  Statement insert = db.prepare(insert_sql<Row>(table, extra));
  insert.bind(1, d.row_sha256);
  if (!parent.empty()) insert.bind(2, parent_id);
  visit_columns(row, ColumnBinder{insert, parent.empty() ? 2 : 3});
  insert.run();
  d.id = db.last_insert_rowid();
  return d;
}

struct StoredTaskIds {
  Dimension dataset, task;
  std::vector<int64_t> sample_ids;
};

class SampleWriter {
 public:
  explicit SampleWriter(Database& db)
      : db_(db),
        find_(db.prepare("SELECT sample_id, " + column_list<SampleRow>() +
                         " FROM sample WHERE task_id = ? AND source_key = ?")),
        insert_(db.prepare(insert_sql<SampleRow>("sample", "task_id"))) {}

  int64_t ensure(int64_t task_id, const SampleRow& row) {
    find_.bind(1, task_id).bind(2, row.source_key);
    if (!find_.step()) {
      find_.reset();
      insert_.bind(1, task_id);
      visit_columns(row, ColumnBinder{insert_, 2});
      insert_.run();
      return db_.last_insert_rowid();
    }
    const int64_t id = find_.integer(0);
    SampleRow stored;
    visit_columns(stored, ColumnReader{find_, 1});
    find_.reset();
    if (row_checksum("sample", stored) != row_checksum("sample", row))
      throw StoreError(fmt::format(
          "{}: item {} is stored with gold '{}' and subset '{}', now it has '{}' and '{}', under "
          "the same task and data set hashes",
          db_.name(), row.source_key, stored.gold.value_or(""), stored.cluster.value_or(""),
          row.gold.value_or(""), row.cluster.value_or("")));
    return id;
  }

 private:
  Database& db_;
  Statement find_, insert_;
};

struct FoundRun {
  int64_t run_id = 0;
  std::string run_uuid, status;
};

void compare_or_throw(Database& db, int64_t run_id, const std::string& fingerprint,
                      const std::string& plan_sha256) {
  Statement s =
      db.prepare("SELECT run_uuid, fingerprint_json, plan_sha256 FROM run WHERE run_id = ?");
  s.bind(1, run_id);
  s.step();
  std::string difference = fingerprint_difference(s.text(1), fingerprint);
  if (difference.empty() && s.text(2) != plan_sha256)
    difference = fmt::format("plan: stored '{}', now '{}'", s.text(2), plan_sha256);
  if (!difference.empty())
    throw FingerprintMismatch(
        fmt::format("{}: run {} was made with another plan: {}; begin a new run instead", db.name(),
                    s.text(0), difference));
}

// The run to continue, or run_id 0 to begin one.
FoundRun find_run(Database& db, const RunPlan& plan, const std::string& fingerprint,
                  const std::string& plan_sha256) {
  const auto take = [](Statement& s) { return FoundRun{s.integer(0), s.text(1), s.text(2)}; };
  if (!plan.run.run_uuid.empty()) {
    Statement s = db.prepare("SELECT run_id, run_uuid, status FROM run WHERE run_uuid = ?");
    s.bind(1, plan.run.run_uuid);
    if (!s.step()) {
      if (plan.mode != StartMode::resume) return {};
      throw StoreError(
          fmt::format("{}: there is no run {} to resume", db.name(), plan.run.run_uuid));
    }
    if (plan.mode == StartMode::new_run)
      throw StoreError(fmt::format("{}: run {} exists already", db.name(), plan.run.run_uuid));
    const FoundRun found = take(s);
    compare_or_throw(db, found.run_id, fingerprint, plan_sha256);
    return found;
  }
  if (plan.mode == StartMode::new_run) return {};
  if (plan.mode == StartMode::resume) {
    Statement s = db.prepare(
        "SELECT run_id, run_uuid, status FROM run WHERE status <> 'complete' "
        "ORDER BY run_id DESC LIMIT 1");
    if (!s.step()) throw StoreError(fmt::format("{}: there is no unfinished run", db.name()));
    const FoundRun found = take(s);
    compare_or_throw(db, found.run_id, fingerprint, plan_sha256);
    return found;
  }
  Statement s = db.prepare(
      "SELECT run_id, run_uuid, status FROM run WHERE fingerprint_sha256 = ? AND plan_sha256 = ? "
      "AND kind = ? AND (status <> 'complete' OR ?) ORDER BY run_id DESC LIMIT 1");
  s.bind(1, sha256_hex(fingerprint)).bind(2, plan_sha256).bind(3, plan.run.kind);
  s.bind(4, plan.reuse_complete ? 1 : 0);
  return s.step() ? take(s) : FoundRun{};
}

std::vector<PlannedState> planned_states(Database& db, int64_t run_id, size_t n) {
  std::vector<PlannedState> states(n);
  Statement s = db.prepare(
      "SELECT ordinal, COUNT(*), MAX(status <> 'infra') FROM attempt WHERE run_id = ? "
      "GROUP BY ordinal");
  s.bind(1, run_id);
  while (s.step())
    states.at(static_cast<size_t>(s.integer(0))) = {s.integer(2) == 1,
                                                    static_cast<int32_t>(s.integer(1))};
  return states;
}

int64_t insert_run(Database& db, const RunPlan& plan, const RunRow& run,
                   const std::string& fingerprint, const std::string& plan_sha256,
                   const Dimension& model, const Dimension& environment) {
  const std::string started_at = utc_now();
  Statement s = db.prepare(insert_sql<RunRow>(
      "run",
      "row_sha256, model_id, environment_id, fingerprint_json, fingerprint_sha256, plan_sha256, "
      "n_planned, started_at, status"));
  s.bind(1, run_checksum(run, fingerprint, plan_sha256, model.row_sha256, environment.row_sha256,
                         started_at));
  s.bind(2, model.id).bind(3, environment.id).bind(4, fingerprint);
  s.bind(5, sha256_hex(fingerprint)).bind(6, plan_sha256);
  s.bind(7, static_cast<int64_t>(plan.planned.size())).bind(8, started_at).bind(9, "running");
  visit_columns(run, ColumnBinder{s, 10});
  s.run();
  return db.last_insert_rowid();
}

}  // namespace

std::string fingerprint_json(const std::map<std::string, std::string>& fingerprint) {
  return json(fingerprint).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string fingerprint_difference(const std::string& stored_json, const std::string& new_json) {
  const json stored = json::parse(stored_json, nullptr, false);
  const json now = json::parse(new_json, nullptr, false);
  if (!stored.is_object() || !now.is_object()) return "fingerprint: unreadable";
  const auto show = [](const json& j, const std::string& key) -> std::string {
    const auto it = j.find(key);
    if (it == j.end()) return "nothing";
    return it->is_string() ? fmt::format("'{}'", it->get<std::string>()) : it->dump();
  };
  json keys = stored;
  keys.update(now);
  std::string all;
  for (const auto& item : keys.items()) {
    const std::string a = show(stored, item.key()), b = show(now, item.key());
    if (a == b) continue;
    all += fmt::format("{}{}: stored {}, now {}", all.empty() ? "" : "; ", item.key(), a, b);
  }
  return all;
}

std::string planned_identity(const std::string& task_row_sha256,
                             const std::string& dataset_row_sha256, const SampleRow& sample,
                             const std::string& shift_row_sha256,
                             const std::string& policy_row_sha256, int64_t shift_seed,
                             int64_t repeat_ix) {
  Canonical c("planned");
  c.field("task", task_row_sha256).field("dataset", dataset_row_sha256);
  visit_columns(sample, ColumnHasher{c});
  c.field("shift", shift_row_sha256).field("policy", policy_row_sha256);
  c.field("shift_seed", shift_seed).field("repeat_ix", repeat_ix);
  return c.sha256();
}

void PlanHasher::add(const std::string& identity_sha256) {
  sha_ = chain_link(sha_, identity_sha256);
}

std::string run_checksum(const RunRow& run, const std::string& fingerprint,
                         const std::string& plan_sha256, const std::string& model_row_sha256,
                         const std::string& environment_row_sha256, const std::string& started_at) {
  Canonical c("run");
  visit_columns(run, ColumnHasher{c});
  c.field("fingerprint_json", fingerprint).field("plan_sha256", plan_sha256);
  c.field("model", model_row_sha256).field("environment", environment_row_sha256);
  c.field("started_at", started_at);
  return c.sha256();
}

RunStart begin_run(Database& db, Lease& lease, const RunPlan& plan, ActiveRun& active) {
  Transaction tx(db);
  const Dimension environment = ensure(db, "environment", plan.environment);
  const Dimension model = ensure(db, "model", plan.model);
  std::vector<Dimension> policies, shifts;
  for (const PolicyRow& p : plan.policies) policies.push_back(ensure(db, "policy", p));
  for (const ShiftRow& s : plan.shifts) shifts.push_back(ensure(db, "shift", s));
  SampleWriter samples(db);
  std::vector<StoredTaskIds> tasks;
  for (const PlannedTask& t : plan.tasks) {
    StoredTaskIds& stored = tasks.emplace_back();
    stored.dataset = ensure(db, "dataset", t.dataset);
    stored.task = ensure(db, "task", t.task, "dataset_id", stored.dataset.id);
    for (const SampleRow& s : t.samples)
      stored.sample_ids.push_back(samples.ensure(stored.task.id, s));
  }

  active = {};
  PlanHasher hasher;
  for (const PlannedRow& p : plan.planned) {
    const auto sample = static_cast<size_t>(p.sample), task = static_cast<size_t>(p.task);
    const Dimension& shift = shifts.at(static_cast<size_t>(p.shift));
    const Dimension& policy = policies.at(static_cast<size_t>(p.policy));
    active.planned.push_back(
        {tasks.at(task).sample_ids.at(sample), shift.id, p.shift_seed, policy.id, p.repeat_ix,
         planned_identity(tasks[task].task.row_sha256, tasks[task].dataset.row_sha256,
                          plan.tasks[task].samples[sample], shift.row_sha256, policy.row_sha256,
                          p.shift_seed, p.repeat_ix)});
    hasher.add(active.planned.back().identity_sha256);
  }
  for (const Dimension& p : policies) {
    active.policy_ids.push_back(p.id);
    active.policy_row_sha256.push_back(p.row_sha256);
  }

  const std::string fingerprint = fingerprint_json(plan.run.fingerprint);
  const FoundRun found = find_run(db, plan, fingerprint, hasher.sha256());
  RunStart start;
  start.resumed = found.run_id != 0;
  if (start.resumed) {
    active.run_id = found.run_id;
    active.run_uuid = found.run_uuid;
  } else {
    RunRow run = plan.run;
    if (run.run_uuid.empty()) run.run_uuid = new_uuid();
    active.run_uuid = run.run_uuid;
    active.run_id = insert_run(db, plan, run, fingerprint, hasher.sha256(), model, environment);
    Statement insert = db.prepare(
        "INSERT INTO planned_attempt(run_id, ordinal, sample_id, shift_id, shift_seed, policy_id, "
        "repeat_ix) VALUES(?, ?, ?, ?, ?, ?, ?)");
    for (size_t i = 0; i < active.planned.size(); ++i) {
      const PlannedKey& k = active.planned[i];
      insert.bind(1, active.run_id).bind(2, static_cast<int64_t>(i)).bind(3, k.sample_id);
      insert.bind(4, k.shift_id).bind(5, k.shift_seed).bind(6, k.policy_id).bind(7, k.repeat_ix);
      insert.run();
    }
  }
  start.run_id = active.run_id;
  start.run_uuid = active.run_uuid;
  start.states = planned_states(db, active.run_id, active.planned.size());
  active.was_complete = found.status == "complete";
  start.complete = active.was_complete;
  if (active.was_complete) return start;  // nothing is written: the transaction is rolled back

  Statement session = db.prepare(
      "INSERT INTO run_session(run_id, session_ix, environment_id, argv, pid, host, started_at) "
      "SELECT ?1, COUNT(*), ?2, ?3, ?4, ?5, ?6 FROM run_session WHERE run_id = ?1");
  const ProcessIdentity self = ProcessIdentity::self();
  session.bind(1, active.run_id).bind(2, environment.id).bind(3, plan.run.argv);
  session.bind(4, self.pid).bind(5, self.host).bind(6, utc_now());
  session.run();
  Statement update =
      db.prepare("UPDATE run SET status = 'running', ended_at = NULL WHERE run_id = ?");
  update.bind(1, active.run_id);
  update.run();
  Statement last = db.prepare(
      "SELECT (SELECT COUNT(*) - 1 FROM run_session WHERE run_id = ?1), row_sha256 "
      "FROM run WHERE run_id = ?1");
  last.bind(1, active.run_id);
  last.step();
  active.session_ix = start.session_ix = last.integer(0);
  active.last_chain_sha256 = last.text(1);
  Statement chain = db.prepare(
      "SELECT chain_ix, chain_sha256 FROM attempt WHERE run_id = ? ORDER BY chain_ix DESC LIMIT 1");
  chain.bind(1, active.run_id);
  if (chain.step()) {
    active.next_chain_ix = chain.integer(0) + 1;
    active.last_chain_sha256 = chain.text(1);
  }
  lease.write_row(active.run_id);
  tx.commit();
  return start;
}

}  // namespace results
