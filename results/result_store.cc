#include "results/result_store.h"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "results/attempt_writer.h"
#include "results/lease.h"
#include "results/plan.h"
#include "results/side_file.h"
#include "results/store_file.h"
#include "results/store_reader.h"
#include "results/verify.h"

namespace results {

using Lock = std::unique_lock<std::mutex>;

// database_mutex serialises the connection; queue_mutex guards the queue and the writer's state. No
// thread holds both.
struct ResultStore::Impl {
  std::filesystem::path path;
  Mode mode = Mode::read;
  StoreOptions options;

  mutable std::mutex database_mutex;
  std::unique_ptr<Database> db;
  std::unique_ptr<Lease> lease;
  ActiveRun run;
  std::unique_ptr<AttemptWriter> attempt_writer;

  struct Item {
    AttemptBundle bundle;
    std::function<void()> on_committed;
  };
  mutable std::mutex queue_mutex;
  std::condition_variable changed;
  std::deque<Item> queue;
  bool writing = false;   // the writer holds an item that is not in the queue any more
  bool stopping = false;  // no more items will come
  std::string failure;    // first write error; empty = none
  std::filesystem::path unstored_file;
  std::thread writer;

  void require_write() const {
    if (mode != Mode::write) throw StoreError(path.string() + ": opened for reading only");
  }

  // Called with queue_mutex held.
  void set_aside(const AttemptBundle& bundle) {
    const std::filesystem::path file = path.string() + ".unstored-" + run.run_uuid + ".jsonl";
    if (append_to_side_file(file, run.run_uuid, bundle)) unstored_file = file;
  }

  std::string failure_message() const {
    return unstored_file.empty()
               ? failure
               : fmt::format("{}; results not stored are in {}", failure, unstored_file.string());
  }

  void write_loop() {
    for (;;) {
      Lock lock(queue_mutex);
      changed.wait(lock, [&] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      Item item = std::move(queue.front());
      queue.pop_front();
      writing = true;
      lock.unlock();
      changed.notify_all();

      std::string error;
      try {
        const Lock database_lock(database_mutex);
        attempt_writer->store(item.bundle);
      } catch (const std::exception& e) {
        error = e.what();
      }
      if (error.empty() && item.on_committed) item.on_committed();

      lock.lock();
      writing = false;
      if (!error.empty()) {
        failure = error;
        set_aside(item.bundle);
        for (const Item& waiting : queue) set_aside(waiting.bundle);
        queue.clear();
        changed.notify_all();
        return;
      }
      changed.notify_all();
    }
  }

  void stop_writer() {
    if (!writer.joinable()) return;
    {
      const Lock lock(queue_mutex);
      stopping = true;
    }
    changed.notify_all();
    writer.join();
  }
};

ResultStore::ResultStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::unique_ptr<ResultStore> ResultStore::open(const std::filesystem::path& path, Mode mode,
                                               const StoreOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->mode = mode;
  impl->options = options;
  impl->db = open_store_file(path, mode, options);
  return std::unique_ptr<ResultStore>(new ResultStore(std::move(impl)));
}

ResultStore::~ResultStore() {
  impl_->stop_writer();
  impl_->attempt_writer.reset();
  if (impl_->lease) {
    try {
      impl_->lease->release();
    } catch (const StoreError&) {
      // The row stays; the process that it names will be gone.
    }
  }
}

RunStart ResultStore::begin_or_resume(const RunPlan& plan) {
  impl_->require_write();
  if (impl_->writer.joinable() || impl_->run.run_id != 0)
    throw StoreError(impl_->path.string() + ": this store object has a run already");
  const Lock lock(impl_->database_mutex);
  auto lease = std::make_unique<Lease>(*impl_->db);
  RunStart start;
  try {
    start = begin_run(*impl_->db, *lease, plan, impl_->run);
  } catch (...) {
    impl_->run = {};
    throw;
  }
  if (start.complete) return start;
  impl_->lease = std::move(lease);
  impl_->attempt_writer = std::make_unique<AttemptWriter>(*impl_->db, impl_->run);
  impl_->writer = std::thread([this] { impl_->write_loop(); });
  return start;
}

void ResultStore::append(AttemptBundle bundle, std::function<void()> on_committed) {
  Lock lock(impl_->queue_mutex);
  impl_->changed.wait(lock, [&] {
    return !impl_->failure.empty() || impl_->queue.size() < impl_->options.queue_capacity;
  });
  if (!impl_->failure.empty()) {
    impl_->set_aside(bundle);
    throw StoreError(impl_->failure_message());
  }
  if (!impl_->writer.joinable() || impl_->stopping)
    throw StoreError(impl_->path.string() + ": no run in progress");
  impl_->queue.push_back({std::move(bundle), std::move(on_committed)});
  lock.unlock();
  impl_->changed.notify_all();
}

void ResultStore::flush() {
  Lock lock(impl_->queue_mutex);
  impl_->changed.wait(
      lock, [&] { return !impl_->failure.empty() || (impl_->queue.empty() && !impl_->writing); });
  if (!impl_->failure.empty()) throw StoreError(impl_->failure_message());
}

std::string ResultStore::finish(std::string_view status) {
  impl_->require_write();
  if (impl_->run.was_complete) return "complete";
  if (!impl_->lease) throw StoreError(impl_->path.string() + ": no run in progress");
  flush();
  impl_->stop_writer();
  const Lock lock(impl_->database_mutex);
  Database& db = *impl_->db;
  const ActiveRun& run = impl_->run;
  const RunCounts counts = count_run(db, run.run_id);
  std::string recorded(status);
  VerifyReport report;
  if (recorded == "complete") {
    verify_run(db, run.run_id, report);
    if (counts.done != counts.planned || !report.problems.empty()) recorded = "incomplete";
  }
  const std::string now = utc_now();
  Transaction tx(db);
  Statement session = db.prepare(
      "UPDATE run_session SET ended_at = ?, status = ?, n_done = ?, n_attempts = ?, n_infra = ?, "
      "last_chain_sha256 = ? WHERE run_id = ? AND session_ix = ?");
  session.bind(1, now).bind(2, recorded).bind(3, counts.done).bind(4, counts.attempts);
  session.bind(5, counts.infra).bind(6, run.last_chain_sha256).bind(7, run.run_id);
  session.bind(8, run.session_ix);
  session.run();
  Statement end = db.prepare("UPDATE run SET status = ?, ended_at = ? WHERE run_id = ?");
  end.bind(1, recorded).bind(2, now).bind(3, run.run_id);
  end.run();
  impl_->lease->release();
  tx.commit();
  impl_->attempt_writer.reset();
  impl_->lease.reset();
  db.checkpoint_truncate();
  if (!report.problems.empty())
    throw StoreError(fmt::format("{}: {}: {}", impl_->path.string(), report.problems[0].where,
                                 report.problems[0].what));
  return recorded;
}

RunCounts ResultStore::counts(int64_t run_id) const {
  const Lock lock(impl_->database_mutex);
  return count_run(*impl_->db, run_id);
}

void ResultStore::put_verdicts(const std::vector<AttemptVerdict>& verdicts) {
  impl_->require_write();
  const Lock lock(impl_->database_mutex);
  if (impl_->lease) throw StoreError(impl_->path.string() + ": a run is in progress");
  Database& db = *impl_->db;
  const Lease only_writer(db);
  Transaction tx(db);
  VerdictWriter writer(db);
  Statement find = db.prepare("SELECT row_sha256 FROM attempt WHERE attempt_id = ?");
  for (const AttemptVerdict& v : verdicts) {
    find.bind(1, v.attempt_id);
    if (!find.step())
      throw StoreError(fmt::format("{}: no attempt {}", impl_->path.string(), v.attempt_id));
    writer.put(v.attempt_id, find.text(0), v.verdict);
    find.reset();
  }
  tx.commit();
}

VerifyReport ResultStore::verify(std::string_view run_uuid) const {
  const Lock lock(impl_->database_mutex);
  Database& db = *impl_->db;
  VerifyReport report;
  std::vector<int64_t> runs;
  Statement find = db.prepare("SELECT run_id FROM run WHERE ?1 = '' OR run_uuid = ?1");
  find.bind(1, run_uuid);
  while (find.step()) runs.push_back(find.integer(0));
  if (runs.empty() && !run_uuid.empty())
    throw StoreError(fmt::format("{}: there is no run {}", impl_->path.string(), run_uuid));
  verify_file(db, report);
  for (const int64_t run : runs) verify_run(db, run, report);
  return report;
}

const std::filesystem::path& ResultStore::path() const { return impl_->path; }

std::filesystem::path ResultStore::unstored_file() const {
  const Lock lock(impl_->queue_mutex);
  return impl_->unstored_file;
}

StoreReader::StoreReader(const ResultStore& store)
    : lock_(store.impl_->database_mutex), db_(*store.impl_->db) {}

}  // namespace results
