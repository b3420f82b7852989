#include "harness/shifted_forms.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "datasets/ladder_suite.h"
#include "harness/exit_code.h"
#include "harness/gadget.h"
#include "harness/recode.h"

namespace harness {
namespace {

const std::string kAllShifts = "all";
constexpr size_t kListed = 3;  // ids of one reason in one line

std::string listed(const std::vector<std::string>& ids, bool all) {
  const size_t n = all ? ids.size() : std::min(ids.size(), kListed);
  const std::vector<std::string> first(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
  std::string out = fmt::format("{}", fmt::join(first, ", "));
  if (n < ids.size()) out += fmt::format(" and {} more", ids.size() - n);
  return out;
}

// ReCode's shifts are of two tasks, which one run may ask beside each other.
bool fits_another(const RunSpec& spec, const tasks::Shift& shift, const tasks::Task& task) {
  if (shift.family != tasks::ShiftFamily::recode || !task.runs_code()) return false;
  return std::any_of(spec.tasks.begin(), spec.tasks.end(), [&](const std::string& name) {
    return name != task.name() && why_not_recode(shift, *tasks::make_task(name)).empty();
  });
}

tasks::Shift with_text(tasks::Shift shift, const std::optional<Gadgets>& gadgets) {
  const bool neutral = shift.family == tasks::ShiftFamily::neutral;
  const auto family = neutral ? shift.matched : shift.family;
  if (!is_gadget(family)) return shift;
  if (!gadgets)
    throw UsageError(fmt::format("--shift {}: wants --gadget FILE (moeval gadget makes one)",
                                 tasks::shift_label(shift)));
  shift.text = gadgets->of({family, shift.severity}).text;
  return shift;
}

}  // namespace

void expand_ood(RunSpec* spec) {
  const auto found = std::find(spec->tasks.begin(), spec->tasks.end(), kOodSuite);
  if (found == spec->tasks.end()) return;
  spec->tasks.erase(found);
  if (spec->shifts.empty()) spec->shifts = {kAllShifts};
  if (spec->shift_items == 0) spec->shift_items = kOodItems;
  if (!spec->tasks.empty()) return;
  spec->tasks = {std::string(kOodTask)};
  if (spec->limit == 0 && spec->sample == 0) spec->sample = spec->shift_items;
}

std::vector<tasks::Shift> parsed_shifts(const RunSpec& spec) {
  std::vector<tasks::Shift> out;
  std::optional<Gadgets> gadgets;
  if (!spec.gadget_file.empty()) gadgets = read_gadgets(spec.gadget_file);
  if (spec.shifts == std::vector<std::string>{kAllShifts}) {
    for (const auto& family : tasks::shift_families())
      for (int severity = 1; severity <= tasks::kMostSeverity; ++severity) {
        const auto shift = tasks::parse_shift(fmt::format("{}:{}", family, severity));
        if (!is_gadget(shift.family) || gadgets) out.push_back(with_text(shift, gadgets));
      }
    return out;
  }
  if (std::find(spec.shifts.begin(), spec.shifts.end(), kAllShifts) != spec.shifts.end())
    throw UsageError(
        "--shift: all stands alone; with --gadget FILE it holds the gadgets of that file too");
  for (const auto& text : expand_recode(spec.shifts)) {
    tasks::Shift shift;
    try {
      shift = tasks::parse_shift(text);
    } catch (const tasks::TaskError& e) {
      throw UsageError(fmt::format("--{}", e.what()));
    }
    shift = with_official_file(with_text(shift, gadgets), spec.data, spec.allow_unverified);
    if (std::find(out.begin(), out.end(), shift) != out.end())
      throw UsageError(fmt::format("--shift: {} is named twice", tasks::shift_label(shift)));
    out.push_back(shift);
  }
  return out;
}

std::vector<tasks::Shift> shifts_of(const RunSpec& spec, const tasks::Task& task) {
  const bool all = spec.shifts == std::vector<std::string>{kAllShifts};
  std::vector<tasks::Shift> out;
  for (const auto& shift : parsed_shifts(spec)) {
    auto why = tasks::why_never(shift, task.has_lettered_options(), task.runs_code());
    const auto family = shift.family == tasks::ShiftFamily::neutral ? shift.matched : shift.family;
    if (family == tasks::ShiftFamily::ladder_cue && !datasets::is_ladder_name(task.dataset()))
      why = "it changes a word that only the ladder's questions have";
    if (why.empty()) why = why_not_recode(shift, task);
    if (why.empty() && !task.question_may_be_edited() && tasks::edits_question(shift))
      why = "its answers depend on the letters of the question";
    if (!task.is_marked()) why = "it has no right answer that a shift would keep";
    if (why.empty())
      out.push_back(shift);
    else if (!all && !fits_another(spec, shift, task))
      throw UsageError(fmt::format("--shift {}: cannot be applied to {}: {}",
                                   tasks::shift_label(shift), task.name(), why));
  }
  return out;
}

std::vector<bool> seed_items(const RunSpec& spec, const PlannedSuite& suite) {
  if (spec.shift_items == 0) return std::vector<bool>(suite.chosen.size(), true);
  std::vector<std::string> ids;
  for (const size_t i : suite.chosen) ids.push_back(suite.data->samples[i].id);
  std::vector<bool> out(ids.size(), false);
  for (const size_t i : select_samples(ids, ids, 0, spec.shift_items, spec.seed)) out[i] = true;
  return out;
}

std::vector<Variant> shifted_forms(const std::vector<tasks::Shift>& shifts,
                                   const datasets::Sample& sample, uint64_t seed, size_t suite,
                                   std::vector<MissingForm>* missing) {
  std::vector<Variant> out;
  for (const auto& shift : shifts) {
    const Variant variant = shifted_variant(shift, seed);
    auto made = tasks::apply_shift(shift, sample, variant.seed);
    if (!made.shifted) {
      missing->push_back({suite, sample.id, shift, std::move(made.why_not)});
      continue;
    }
    if (const auto broken = tasks::broken_guarantee(shift, sample, *made.shifted);
        !broken.empty()) {
      missing->push_back({suite, sample.id, shift, "its guarantee would not hold: " + broken});
      continue;
    }
    out.push_back(variant);
  }
  return out;
}

std::string describe_shifts(const RunSpec& spec, const RunPlan& plan, bool all) {
  std::string out;
  for (size_t suite = 0; suite < plan.suites.size(); ++suite) {
    const auto items = seed_items(spec, plan.suites[suite]);
    const auto n = static_cast<size_t>(std::count(items.begin(), items.end(), true));
    for (const auto& shift : shifts_of(spec, *plan.suites[suite].task)) {
      std::map<std::string, std::vector<std::string>> by_reason;
      size_t n_missing = 0;
      for (const auto& m : plan.missing)
        if (m.suite == suite && m.shift == shift) {
          by_reason[m.why].push_back(m.sample);
          ++n_missing;
        }
      out += fmt::format("shift {} on {}: asked of {} of {} samples", tasks::shift_label(shift),
                         plan.suites[suite].task->name(), n - n_missing, n);
      for (const auto& [why, ids] : by_reason)
        out += fmt::format("; not of {}, {} ({})", ids.size(), why, listed(ids, all));
      out += '\n';
    }
  }
  return out;
}

}  // namespace harness
