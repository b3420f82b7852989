#include "results/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "results/attempt_parts.h"
#include "results/attempt_writer.h"
#include "results/checksum.h"
#include "results/plan.h"
#include "results/row_columns.h"

namespace results {
namespace {

// Runs one check; what SQLite itself cannot read becomes a problem like any other.
template <class F>
void guarded(VerifyReport& report, const std::string& where, F check) {
  try {
    check();
  } catch (const StoreError& e) {
    report.problems.push_back({where, e.what()});
  }
}

template <class Row>
void verify_dimension(Database& db, const std::string& table, VerifyReport& report) {
  guarded(report, table, [&] {
    Statement s =
        db.prepare("SELECT " + table + "_id, row_sha256, " + column_list<Row>() + " FROM " + table);
    while (s.step()) {
      Row row;
      visit_columns(row, ColumnReader{s, 2});
      if (row_checksum(table, row) != s.text(1))
        report.problems.push_back(
            {fmt::format("{} {}", table, s.integer(0)), "content does not fit its checksum"});
    }
  });
}

void verify_texts(Database& db, VerifyReport& report) {
  Statement s = db.prepare("SELECT text_id, sha256, body FROM text WHERE body IS NOT NULL");
  while (s.step()) {
    if (sha256_hex(s.text(2)) != s.text(1))
      report.problems.push_back(
          {fmt::format("text {}", s.integer(0)), "body does not fit its sha256"});
  }
  Statement q = db.prepare(
      "SELECT q.query_id, q.prompt_sha256, COALESCE(a.body, '') || b.body FROM query q "
      "LEFT JOIN text a ON a.text_id = q.prefix_text_id "
      "JOIN text b ON b.text_id = q.prompt_text_id WHERE b.body IS NOT NULL "
      "AND (q.prefix_text_id IS NULL OR a.body IS NOT NULL)");
  while (q.step()) {
    if (sha256_hex(q.text(2)) != q.text(1))
      report.problems.push_back(
          {fmt::format("query {}", q.integer(0)), "prompt does not fit its sha256"});
  }
}

class RunVerifier {
 public:
  RunVerifier(Database& db, int64_t run_id, VerifyReport& report)
      : db_(db), run_id_(run_id), report_(report) {}

  void verify() {
    guarded(report_, fmt::format("run {}", run_id_), [&] { plan_and_run_row(); });
    guarded(report_, fmt::format("run {} attempts", run_id_), [&] { attempts(); });
    guarded(report_, fmt::format("run {} verdicts", run_id_), [&] { verdicts(); });
    guarded(report_, fmt::format("run {} prefixes", run_id_), [&] { prefixes(); });
    guarded(report_, fmt::format("run {} sessions", run_id_), [&] { sessions(); });
    for (size_t i = 0; i < done_.size(); ++i) {
      if (!done_[i])
        report_.incomplete.push_back(
            {fmt::format("run {} planned {}", run_id_, i), "planned, not done"});
    }
  }

 private:
  void problem(const std::string& where, std::string what) {
    report_.problems.push_back({fmt::format("run {} {}", run_id_, where), std::move(what)});
  }

  void plan_and_run_row() {
    Statement planned = db_.prepare(
        "SELECT p.ordinal, p.shift_seed, p.repeat_ix, t.row_sha256, d.row_sha256, sh.row_sha256, "
        "po.row_sha256, " +
        column_list<SampleRow>("s.") +
        " FROM planned_attempt p JOIN sample s ON s.sample_id = p.sample_id "
        "JOIN task t ON t.task_id = s.task_id JOIN dataset d ON d.dataset_id = t.dataset_id "
        "JOIN shift sh ON sh.shift_id = p.shift_id JOIN policy po ON po.policy_id = p.policy_id "
        "WHERE p.run_id = ? ORDER BY p.ordinal");
    planned.bind(1, run_id_);
    PlanHasher hasher;
    while (planned.step()) {
      SampleRow sample;
      visit_columns(sample, ColumnReader{planned, 7});
      if (planned.integer(0) != static_cast<int64_t>(identities_.size())) {
        problem(fmt::format("planned {}", identities_.size()), "row is missing");
        return;
      }
      identities_.push_back(planned_identity(planned.text(3), planned.text(4), sample,
                                             planned.text(5), planned.text(6), planned.integer(1),
                                             planned.integer(2)));
      hasher.add(identities_.back());
    }
    done_.assign(identities_.size(), false);

    Statement s = db_.prepare(
        "SELECT r.row_sha256, r.fingerprint_json, r.fingerprint_sha256, r.plan_sha256, "
        "r.n_planned, r.started_at, r.status, m.row_sha256, e.row_sha256, " +
        column_list<RunRow>("r.") +
        " FROM run r JOIN model m ON m.model_id = r.model_id "
        "JOIN environment e ON e.environment_id = r.environment_id WHERE r.run_id = ?");
    s.bind(1, run_id_);
    if (!s.step()) {
      problem("row", "run, model or environment is missing");
      return;
    }
    RunRow run;
    visit_columns(run, ColumnReader{s, 9});
    run_uuid_ = run.run_uuid;
    first_link_ = s.text(0);
    complete_ = s.text(6) == "complete";
    if (s.text(3) != hasher.sha256() || s.integer(4) != static_cast<int64_t>(identities_.size()))
      problem("plan", fmt::format("planned rows do not fit the plan's checksum ({} of {} rows)",
                                  identities_.size(), s.integer(4)));
    if (sha256_hex(s.text(1)) != s.text(2)) problem("fingerprint", "does not fit its checksum");
    if (run_checksum(run, s.text(1), s.text(3), s.text(7), s.text(8), s.text(5)) != s.text(0))
      problem("row", "content does not fit its checksum");
    ++report_.runs;
  }

  void attempts() {
    Statement s = db_.prepare(
        "SELECT a.attempt_id, a.ordinal, a.try_ix, a.chain_ix, a.chain_sha256, a.row_sha256, "
        "q.prompt_sha256, o.sha256, (q.sample_id = p.sample_id AND q.shift_id = p.shift_id AND "
        "q.shift_seed = p.shift_seed AND a.policy_id = p.policy_id AND "
        "a.repeat_ix = p.repeat_ix), " +
        column_list<AttemptRow>("a.") +
        " FROM attempt a JOIN planned_attempt p ON p.run_id = a.run_id AND p.ordinal = a.ordinal "
        "JOIN query q ON q.query_id = a.query_id "
        "LEFT JOIN text o ON o.text_id = a.output_text_id "
        "WHERE a.run_id = ? ORDER BY a.chain_ix");
    s.bind(1, run_id_);
    AttemptParts parts(db_);
    std::string link = first_link_;
    int64_t next_ix = 0;
    while (s.step()) {
      const int64_t id = s.integer(0);
      const std::string where = fmt::format("attempt {}", id);
      ++report_.attempts;
      AttemptRow row;
      row.ordinal = s.integer(1);
      visit_columns(row, ColumnReader{s, 9});
      AttemptContext context{run_uuid_, {}, s.integer(2), s.text(6), {}};
      s.read(7, context.output_sha256);
      const auto ordinal = static_cast<size_t>(row.ordinal);
      if (ordinal < identities_.size()) {
        context.identity_sha256 = identities_[ordinal];
        done_[ordinal] = done_[ordinal] || row.status != "infra";
      }
      if (s.integer(8) != 1) problem(where, "its query or policy is not the planned one");
      guarded(report_, fmt::format("run {} {}", run_id_, where), [&] {
        if (attempt_checksum(context, row, parts.options(id), parts.layers(id),
                             parts.experts(id)) != s.text(5))
          problem(where, "content does not fit its checksum");
      });
      if (s.integer(3) != next_ix)
        problem(where, fmt::format("chain place is {}, want {}: a row is missing before it",
                                   s.integer(3), next_ix));
      next_ix = s.integer(3) + 1;
      link = chain_link(link, s.text(5));
      if (link != s.text(4)) problem(where, "chain value does not follow from the row before it");
      link = s.text(4);  // report a break once, not for every row after it
      chain_[s.integer(3)] = link;
    }
  }

  void verdicts() {
    Statement s = db_.prepare(
        "SELECT v.attempt_id, v.row_sha256, v.scored_at, a.row_sha256, " +
        column_list<VerdictRow>("v.") +
        " FROM verdict v JOIN attempt a ON a.attempt_id = v.attempt_id WHERE a.run_id = ?");
    s.bind(1, run_id_);
    while (s.step()) {
      ++report_.verdicts;
      VerdictRow v;
      visit_columns(v, ColumnReader{s, 4});
      if (verdict_checksum(s.text(3), v, s.text(2)) != s.text(1))
        problem(fmt::format("verdict {} of attempt {}", v.scorer, s.integer(0)),
                "content does not fit its checksum");
    }
  }

  void prefixes() {
    Statement s =
        db_.prepare("SELECT x.prefix_id, x.row_sha256, x.compute_ix, p.row_sha256, " +
                    column_list<PrefixRow>("x.") +
                    " FROM prefix x JOIN policy p ON p.policy_id = x.policy_id WHERE x.run_id = ?");
    s.bind(1, run_id_);
    while (s.step()) {
      ++report_.prefixes;
      PrefixRow row;
      visit_columns(row, ColumnReader{s, 4});
      if (prefix_checksum(run_uuid_, s.text(3), s.integer(2), row) != s.text(1))
        problem(fmt::format("prefix {}", s.integer(0)), "content does not fit its checksum");
    }
  }

  void sessions() {
    Statement s = db_.prepare(
        "SELECT session_ix, n_done, n_attempts, last_chain_sha256 FROM run_session "
        "WHERE run_id = ? AND ended_at IS NOT NULL ORDER BY session_ix");
    s.bind(1, run_id_);
    while (s.step()) {
      const std::string where = fmt::format("session {}", s.integer(0));
      const int64_t n = s.integer(2);
      if (n == 0 && s.text(3) != first_link_)
        problem(where, "ended without attempts, but not on the run's own checksum");
      if (n == 0) continue;
      const auto last = chain_.find(n - 1);
      if (last == chain_.end())
        problem(where, fmt::format("ended with {} attempts; its last is missing", n));
      else if (last->second != s.text(3))
        problem(where, "last chain value is not that of its last attempt");
    }
    if (complete_ && std::find(done_.begin(), done_.end(), false) != done_.end())
      problem("status", "is complete, but planned rows are not done");
  }

  Database& db_;
  int64_t run_id_;
  VerifyReport& report_;
  std::string run_uuid_, first_link_;
  bool complete_ = false;
  std::vector<std::string> identities_;   // by ordinal
  std::vector<bool> done_;                // by ordinal
  std::map<int64_t, std::string> chain_;  // by chain_ix
};

}  // namespace

void verify_file(Database& db, VerifyReport& report) {
  guarded(report, "file", [&] {
    Statement s = db.prepare("PRAGMA integrity_check(20)");
    while (s.step()) {
      if (s.text(0) != "ok") report.problems.push_back({"file", s.text(0)});
    }
  });
  guarded(report, "file", [&] {
    Statement s = db.prepare("PRAGMA foreign_key_check");
    while (s.step())
      report.problems.push_back({fmt::format("{} row {}", s.text(0), s.integer(1)),
                                 fmt::format("names a row of {} that is not there", s.text(2))});
  });
  verify_dimension<EnvironmentRow>(db, "environment", report);
  verify_dimension<ModelRow>(db, "model", report);
  verify_dimension<PolicyRow>(db, "policy", report);
  verify_dimension<DatasetRow>(db, "dataset", report);
  verify_dimension<TaskRow>(db, "task", report);
  verify_dimension<ShiftRow>(db, "shift", report);
  guarded(report, "text", [&] { verify_texts(db, report); });
}

void verify_run(Database& db, int64_t run_id, VerifyReport& report) {
  RunVerifier(db, run_id, report).verify();
}

RunCounts count_run(Database& db, int64_t run_id) {
  Statement s = db.prepare(
      "SELECT (SELECT COUNT(*) FROM planned_attempt WHERE run_id = ?1), "
      "(SELECT COUNT(DISTINCT ordinal) FROM attempt WHERE run_id = ?1 AND status <> 'infra'), "
      "(SELECT COUNT(*) FROM attempt WHERE run_id = ?1), "
      "(SELECT COUNT(*) FROM attempt WHERE run_id = ?1 AND status = 'infra')");
  s.bind(1, run_id);
  s.step();
  return {s.integer(0), s.integer(1), s.integer(2), s.integer(3)};
}

}  // namespace results
