#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "datasets/catalog.h"
#include "datasets/data_error.h"
#include "engine/policy/policy_spec.h"
#include "harness/asset.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/ladder.h"
#include "harness/places.h"
#include "harness/pull.h"
#include "harness/text_table.h"
#include "tasks/shift.h"
#include "tasks/task.h"

namespace harness {
namespace {

using nlohmann::json;

// Where a data set would come from now; hashes are checked when it is loaded.
std::string data_state(const std::string& name, const std::vector<std::filesystem::path>& roots) {
  try {
    const auto data = datasets::load(name, roots);
    return fmt::format("{} ({} samples)", data.origin, data.samples.size());
  } catch (const datasets::DataNotFound&) {
    return "not found";
  } catch (const std::exception& e) {
    return fmt::format("unusable: {}", e.what());
  }
}

std::string as(const TextTable& t, Format f) {
  return f == Format::markdown ? t.markdown() : t.terminal();
}

}  // namespace

int command_ls(const LsOptions& o) {
  std::vector<std::filesystem::path> roots;
  for (const auto& r : data_folders(o.data))
    if (std::filesystem::is_directory(r)) roots.push_back(r);
  json j;
  TextTable tasks_table({{"task"},
                         {"metric"},
                         {"shots", Align::right},
                         {"chance", Align::right},
                         {"data"},
                         {"shift"},
                         {"what"}});
  for (const auto& name : tasks::task_names()) {
    const auto t = tasks::make_task(name);
    const auto chance = t->chance();
    tasks_table.add({name, t->metric(), std::to_string(t->num_fewshot()),
                     chance ? fmt::format("{:.2f}", *chance) : "n/a", t->dataset(),
                     std::string(tasks::data_shift_name(t->data_shift())), t->description()});
    j["tasks"].push_back({{"name", name},
                          {"metric", t->metric()},
                          {"num_fewshot", t->num_fewshot()},
                          {"chance", chance ? json(*chance) : json()},
                          {"dataset", t->dataset()},
                          {"data_shift", tasks::data_shift_name(t->data_shift())},
                          {"version", t->version()},
                          {"description", t->description()}});
  }
  TextTable data_table({{"data"}, {"found"}, {"licence"}, {"source"}});
  for (const auto& d : datasets::dataset_infos()) {
    const auto state = data_state(d.name, roots);
    data_table.add({d.name, state, d.licence, d.source});
    j["data"].push_back(
        {{"name", d.name}, {"found", state}, {"licence", d.licence}, {"source", d.source}});
  }
  TextTable models({{"model"}, {"cached"}, {"licence"}, {"what"}});
  models.add({kLadderModel, "made when run", "written for this project",
              "constructed mixture of 16 experts with planted truth: tasks ladder, ladder_train, "
              "ladder_shifted"});
  j["models"].push_back(
      {{"name", kLadderModel}, {"cached", true}, {"licence", "written for this project"}});
  for (const Asset& a : assets()) {
    if (a.kind != Asset::Kind::model) continue;
    const bool there = std::filesystem::exists(cache_folder() / a.path);
    models.add({a.name, there ? "yes" : "no (moeval pull " + a.name + ")", a.licence, a.about});
    j["models"].push_back({{"name", a.name}, {"cached", there}, {"licence", a.licence}});
  }
  TextTable policies({{"policy"}, {"what"}});
  for (const auto& p : engine::policy_kinds()) {
    policies.add({std::string(p.form), std::string(p.about)});
    j["policies"].push_back({{"policy", p.form}, {"what", p.about}});
  }
  TextTable shifts({{"shift"}, {"for"}, {"severities 1, 2, 3"}});
  for (const auto& family : tasks::shift_families()) {
    const auto shift = tasks::parse_shift(family + ":1");
    const bool code = tasks::why_never(shift, true, true).empty();
    const bool cloze = tasks::why_never(shift, false, false).empty();
    const bool letters = tasks::why_never(shift, true, false).empty();
    const bool ladder = shift.family == tasks::ShiftFamily::ladder_cue;
    const std::string tasks_that_fit = ladder     ? "ladder"
                                       : !letters ? "code"
                                       : !cloze   ? "letters"
                                       : code     ? "all"
                                                  : "questions";
    shifts.add({family, tasks_that_fit, std::string(tasks::shift_about(shift))});
    j["shifts"].push_back({{"shift", family},
                           {"for", tasks_that_fit},
                           {"guarantee", tasks::guarantee_name(tasks::guarantee_of(shift))},
                           {"what", tasks::shift_about(shift)}});
  }
  const auto recode = tasks::parse_shift("recode.doc2comments:0");
  shifts.add(
      {"recode.METHOD", "humaneval, humaneval_partial", std::string(tasks::shift_about(recode))});
  j["shifts"].push_back({{"shift", "recode.METHOD"},
                         {"for", "humaneval, humaneval_partial"},
                         {"guarantee", tasks::guarantee_name(tasks::guarantee_of(recode))},
                         {"what", tasks::shift_about(recode)}});
  if (o.format == Format::json) {
    fmt::print("{}\n", j.dump(2));
    return kOk;
  }
  fmt::print("{}\n{}\n{}\n{}\n{}", as(tasks_table, o.format), as(data_table, o.format),
             as(models, o.format), as(policies, o.format), as(shifts, o.format));
  return kOk;
}

}  // namespace harness
