#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/asset.h"
#include "harness/clock.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/ladder.h"
#include "harness/places.h"
#include "harness/pull.h"
#include "harness/text_table.h"

namespace harness {
namespace {

const char* state_word(PullState s) {
  switch (s) {
    case PullState::absent:
      return "absent";
    case PullState::present:
      return "present";
    case PullState::damaged:
      return "damaged";
  }
  return "";
}

const Asset& asset_named(const std::string& name) {
  std::string known;
  for (const Asset& a : assets()) {
    if (a.name == name) return a;
    known += (known.empty() ? "" : ", ") + a.name;
  }
  if (name == kLadderModel)
    throw UsageError("pull ladder: nothing to fetch, the program makes this model when it is run");
  throw UsageError(fmt::format("pull {}: unknown name (known: {})", name, known));
}

int list(const std::vector<const Asset*>& chosen, const std::filesystem::path& cache,
         Format format) {
  bool damaged = false;
  TextTable table({{"name"}, {"kind"}, {"state"}, {"size", Align::right}, {"licence"}, {"what"}});
  auto json = nlohmann::json::array();
  for (const Asset* a : chosen) {
    const auto state = state_of(*a, cache);
    damaged |= state == PullState::damaged;
    const char* kind = a->kind == Asset::Kind::model ? "model" : "data";
    table.add({a->name, kind, state_word(state),
               a->bytes ? si(static_cast<double>(a->bytes)) + "B" : "n/a", a->licence, a->about});
    json.push_back({{"name", a->name},
                    {"kind", kind},
                    {"state", state_word(state)},
                    {"path", (cache / a->path).string()},
                    {"sha256", a->sha256.empty() ? nlohmann::json() : nlohmann::json(a->sha256)},
                    {"licence", a->licence}});
  }
  if (format == Format::json)
    fmt::print("{}\n", json.dump(2));
  else
    fmt::print("{}\ncache: {}\n", format == Format::markdown ? table.markdown() : table.terminal(),
               cache.string());
  return damaged ? kBadInput : kOk;
}

PullProgress progress_line(const std::string& name) {
  if (isatty(STDERR_FILENO) != 1) return {};
  return [name, last = int64_t{0}](int64_t now, int64_t total) mutable {
    if (steady_ns() - last < 200'000'000) return;
    last = steady_ns();
    fmt::print(stderr, "\r{}  {}B of {}B\x1b[K", name, si(static_cast<double>(now)),
               total > 0 ? si(static_cast<double>(total)) : "?");
  };
}

}  // namespace

int command_pull(const PullOptions& o) {
  const auto cache = cache_folder();
  std::vector<const Asset*> chosen;
  for (const auto& name : o.names) chosen.push_back(&asset_named(name));
  if (o.all || o.names.empty())
    for (const Asset& a : assets())
      if (std::find(chosen.begin(), chosen.end(), &a) == chosen.end()) chosen.push_back(&a);
  if (o.verify || (o.names.empty() && !o.all)) return list(chosen, cache, o.format);
  for (const Asset* a : chosen) {
    if (state_of(*a, cache) == PullState::present) {
      fmt::print("{}: already at {}\n", a->name, (cache / a->path).string());
      continue;
    }
    fmt::print(stderr, "fetching {} ({})\n", a->name, a->about);
    pull(*a, cache, progress_line(a->name));
    fmt::print("{}: {}{}\n", a->name, (cache / a->path).string(),
               a->sha256.empty() ? "" : "  (sha256 right)");
  }
  return kOk;
}

}  // namespace harness
