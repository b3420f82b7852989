#include "harness/gadget.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tasks/strict_json.h"

namespace harness {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostBytes = 4096;  // of one gadget

ordered_json list_json(const std::array<Gadget, tasks::kMostSeverity>& gadgets) {
  auto list = ordered_json::array();
  for (const Gadget& g : gadgets)
    list.push_back({{"text", g.text},
                    {"tokens", g.tokens},
                    {"k_before", g.k_before},
                    {"k_after", g.k_after},
                    {"other_k_before", g.other_k_before},
                    {"other_k_after", g.other_k_after}});
  return list;
}

void read_list(const tasks::StrictObject& root, const std::string& file, const std::string& key,
               std::array<Gadget, tasks::kMostSeverity>* out) {
  const auto list = root.objects(
      key, {"text", "tokens", "k_before", "k_after", "other_k_before", "other_k_after"});
  if (list.size() != out->size())
    throw tasks::TaskError(fmt::format("{}: /{}: holds {} gadgets, want {}, one per severity", file,
                                       key, list.size(), out->size()));
  for (size_t i = 0; i < list.size(); ++i) {
    Gadget& g = (*out)[i];
    g.text = list[i].text("text");
    if (g.text.empty() || g.text.size() > kMostBytes)
      throw tasks::TaskError(fmt::format("{}: /{}/{}/text: holds {} bytes, want 1 to {}", file, key,
                                         i, g.text.size(), kMostBytes));
    for (size_t at = 0; at < g.text.size(); ++at)
      if (g.text[at] < ' ' || g.text[at] > '~')
        throw tasks::TaskError(
            fmt::format("{}: /{}/{}/text: byte {} is 0x{:02x}, want printable ASCII", file, key, i,
                        at, static_cast<unsigned char>(g.text[at])));
    g.tokens = static_cast<int64_t>(list[i].number("tokens", 1, kMostBytes));
    const auto k = [&](const char* name) { return list[i].number(name, 0, 1e6); };
    g.k_before = k("k_before");
    g.k_after = k("k_after");
    g.other_k_before = k("other_k_before");
    g.other_k_after = k("other_k_after");
  }
}

}  // namespace

const Gadget& Gadgets::of(const tasks::Shift& s) const {
  return (s.family == tasks::ShiftFamily::gadget_up ? up : down)
      .at(static_cast<size_t>(s.severity - 1));
}

bool is_gadget(tasks::ShiftFamily f) {
  return f == tasks::ShiftFamily::gadget_up || f == tasks::ShiftFamily::gadget_down;
}

std::string gadgets_json(const Gadgets& g) {
  const ordered_json j{{"moeval_gadgets", 1},
                       {"model_sha256", g.model_sha256},
                       {"predictor_sha256", g.predictor_sha256},
                       {"tasks", g.tasks},
                       {"seed", g.seed},
                       {"questions", g.questions},
                       {"other_questions", g.other_questions},
                       {"up", list_json(g.up)},
                       {"down", list_json(g.down)}};
  return j.dump(2) + "\n";
}

Gadgets read_gadgets(const std::filesystem::path& path) {
  const std::string file = path.string();
  auto root =
      tasks::StrictObject::parse(tasks::read_config_file(file), file,
                                 {"moeval_gadgets", "model_sha256", "predictor_sha256", "tasks",
                                  "seed", "questions", "other_questions", "up", "down"});
  if (!root.has("moeval_gadgets"))
    throw tasks::TaskError(
        fmt::format("{}: has no moeval_gadgets: this is no file of moeval gadget", file));
  root.integer("moeval_gadgets", 1, 1, 1);
  Gadgets g;
  g.model_sha256 = root.text("model_sha256");
  g.predictor_sha256 = root.text("predictor_sha256");
  g.tasks = root.text("tasks");
  g.seed = static_cast<uint64_t>(root.number("seed", 0, static_cast<double>(kMostSeed)));
  g.questions = static_cast<int64_t>(root.number("questions", 1, 1e9));
  g.other_questions = static_cast<int64_t>(root.number("other_questions", 0, 1e9));
  read_list(root, file, "up", &g.up);
  read_list(root, file, "down", &g.down);
  return g;
}

}  // namespace harness
