#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/leaderboard.h"
#include "harness/stored_runs.h"
#include "results/result_store.h"

namespace harness {

int command_leaderboard(const LeaderboardOptions& o) {
  const auto store = results::ResultStore::open(o.db, results::ResultStore::Mode::read);
  auto inputs = board_inputs(*store, o.run.empty() ? "" : find_run(*store, o.run));
  for (const auto& task : o.tasks)
    if (std::none_of(inputs.begin(), inputs.end(),
                     [&](const BoardInput& in) { return in.task == task; }))
      throw UsageError(fmt::format("--tasks {}: {} holds no result of it", task, o.db));
  std::erase_if(inputs, [&](const BoardInput& in) {
    if (in.of_sweep && !o.sweeps) return true;
    return !o.tasks.empty() && std::find(o.tasks.begin(), o.tasks.end(), in.task) == o.tasks.end();
  });
  // Newest first; of several runs of one name only the newest, unless asked for.
  std::stable_sort(inputs.begin(), inputs.end(), [](const BoardInput& a, const BoardInput& b) {
    return a.started_at > b.started_at;
  });
  size_t hidden = 0;
  if (!o.all_runs && o.run.empty()) {
    std::set<std::tuple<std::string, std::string, std::string>> seen;
    hidden = std::erase_if(inputs, [&](const BoardInput& in) {
      return !seen.emplace(in.run_name, in.task, in.identity).second;
    });
  }
  if (inputs.empty()) {
    fmt::print(stderr, "no results in {}; moeval run makes some\n", o.db);
    return kOk;
  }
  std::vector<BoardRow> rows;
  for (const auto& in : inputs) rows.push_back(make_row(in));
  std::stable_sort(rows.begin(), rows.end(), [](const BoardRow& a, const BoardRow& b) {
    return std::make_tuple(a.input->task, -a.score) < std::make_tuple(b.input->task, -b.score);
  });
  fmt::print("{}", render_board(rows, o.format, o.subjects));
  if (hidden > 0)
    fmt::print(stderr, "{} older results of the same runs are hidden (--all shows them)\n", hidden);
  return kOk;
}

}  // namespace harness
