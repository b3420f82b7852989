#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/stored_runs.h"
#include "harness/text_table.h"
#include "results/result_store.h"

namespace harness {

int command_verify(const VerifyOptions& o) {
  using results::ResultStore;
  if (o.migrate) {
    if (!std::filesystem::exists(o.db))  // opening to write would make one
      throw results::StoreError(fmt::format("{}: there is no such file", o.db));
    ResultStore::open(o.db, ResultStore::Mode::write);
  }
  const auto store = ResultStore::open(o.db, ResultStore::Mode::read);
  const auto report = store->verify(o.run.empty() ? "" : find_run(*store, o.run));
  if (o.format == Format::json) {
    nlohmann::json j{{"runs", report.runs},
                     {"attempts", report.attempts},
                     {"verdicts", report.verdicts},
                     {"prefixes", report.prefixes},
                     {"problems", nlohmann::json::array()},
                     {"incomplete", report.incomplete.size()}};
    for (const auto& p : report.problems)
      j["problems"].push_back({{"where", p.where}, {"what", p.what}});
    fmt::print("{}\n", j.dump(2));
  } else {
    constexpr size_t kShown = 20;
    TextTable table({{"where"}, {"what"}});
    for (size_t i = 0; i < report.problems.size() && i < kShown; ++i)
      table.add({report.problems[i].where, report.problems[i].what});
    for (size_t i = 0; i < report.incomplete.size() && i < kShown; ++i)
      table.add({report.incomplete[i].where, report.incomplete[i].what});
    if (!table.empty())
      fmt::print("{}\n", o.format == Format::markdown ? table.markdown() : table.terminal());
    fmt::print("{} runs, {} attempts, {} verdicts, {} prefixes: {} problems, {} not done\n",
               report.runs, report.attempts, report.verdicts, report.prefixes,
               report.problems.size(), report.incomplete.size());
  }
  if (!report.problems.empty()) return kDatabase;
  return report.incomplete.empty() ? kOk : kIncomplete;
}

}  // namespace harness
