#include "harness/run_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datasets/catalog.h"
#include "datasets/ladder_suite.h"
#include "datasets/sha256.h"
#include "engine/checkpoint.h"
#include "engine/model_file_error.h"
#include "harness/device_choice.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/shifted_forms.h"
#include "tasks/option_order.h"

namespace harness {
namespace {

std::shared_ptr<const datasets::Dataset> load_data(const RunSpec& spec, const std::string& name) {
  datasets::LoadOptions options;
  options.allow_unverified = spec.allow_unverified;
  if (datasets::is_ladder_name(name))  // there is no other than the built-in one
    return std::make_shared<datasets::Dataset>(datasets::make_ladder(name));
  if (spec.data == "embedded") {
    if (name != "mmlu" && name != "humaneval")
      throw UsageError(fmt::format("--data embedded: there is no built-in suite for {}", name));
    return std::make_shared<datasets::Dataset>(datasets::load(name + "_embedded", {}, options));
  }
  std::vector<std::filesystem::path> roots;
  for (const auto& root : data_folders(spec.data))
    if (std::filesystem::is_directory(root)) roots.push_back(root);
  auto data = std::make_shared<datasets::Dataset>(datasets::load(name, roots, options));
  if (!spec.data.empty() && data->origin == "embedded")
    throw UsageError(
        fmt::format("--data {}: holds no {} files (moeval pull {} fetches them; --data "
                    "embedded runs the built-in suite)",
                    spec.data, name, name));
  return data;
}

constexpr size_t kMarkDigits = 6;  // of the sha256 of a gadget's text

// The ways in which a run asks a sample: as it is; in a sweep also in every wording or with its
// options in every order; and in the shifted forms that were asked for.
std::vector<Variant> variants(const RunSpec& spec, const std::vector<tasks::Shift>& shifts,
                              size_t suite, const tasks::Task& task, const datasets::Sample& sample,
                              std::vector<MissingForm>* missing) {
  std::vector<Variant> out{Variant{}};
  if (spec.kind == RunKind::sweep && !task.runs_code()) {
    if (!task.has_lettered_options()) {
      for (int w = 1; w < task.n_wordings(); ++w) out.push_back({Variant::Family::wording, w});
    } else if (tasks::order_is_free(sample)) {
      for (int by = 1; by < static_cast<int>(sample.choices.size()); ++by)
        out.push_back(shifted_variant({tasks::ShiftFamily::option_order, by}, 0));
    }
    if (spec.ways > 0 && out.size() > static_cast<size_t>(spec.ways))
      out.resize(static_cast<size_t>(spec.ways));
  }
  for (const Variant& v : shifted_forms(shifts, sample, spec.shift_seed, suite, missing))
    if (std::find(out.begin(), out.end(), v) == out.end()) out.push_back(v);
  return out;
}

// Prompts of one class may share their demonstrations: these are in the wording and with the labels
// of the question.
int prompt_class(const Variant& v) {
  if (v.family == Variant::Family::wording) return v.wording;
  const bool labels =
      v.family == Variant::Family::shift && v.shift.family == tasks::ShiftFamily::option_symbols;
  return labels ? -v.shift.severity : 0;
}

// Attempts that may share a prefix are one group: of one subset (demonstrations differ between
// them; without any, of the whole task), one policy and one class of prompts. A subset's policies
// follow each other, so that what an interrupted sweep has is whole questions.
void plan_suite(const RunSpec& spec, const std::vector<tasks::Shift>& shifts, size_t si,
                RunPlan* plan) {
  const auto& suite = plan->suites[si];
  const auto& samples = suite.data->samples;
  const bool by_subset = suite.task->num_fewshot() > 0;
  std::vector<std::vector<Variant>> ways;  // of each chosen sample
  std::vector<int> classes;                // in the order of their first prompt
  const auto is_seed = seed_items(spec, suite);
  for (size_t i = 0; i < suite.chosen.size(); ++i) {
    ways.push_back(variants(spec, is_seed[i] ? shifts : std::vector<tasks::Shift>(), si,
                            *suite.task, samples[suite.chosen[i]], &plan->missing));
    for (const Variant& v : ways.back())
      if (std::find(classes.begin(), classes.end(), prompt_class(v)) == classes.end())
        classes.push_back(prompt_class(v));
  }
  for (size_t begin = 0, end = 0; begin < suite.chosen.size(); begin = end) {
    const auto& subset = samples[suite.chosen[begin]].subset;
    while (end < suite.chosen.size() && (!by_subset || samples[suite.chosen[end]].subset == subset))
      ++end;
    for (size_t p = 0; p < plan->policies.size(); ++p) {
      for (const int prompts : classes) {
        Group group{si, p, suite.task->name(), {}};
        if (by_subset && !subset.empty()) group.label += " " + subset;
        if (plan->policies.size() > 1) group.label += " " + plan->policies[p];
        for (size_t i = begin; i < end; ++i) {
          for (const Variant& v : ways[i]) {
            if (prompt_class(v) != prompts) continue;
            for (int r = 0; r < suite.repeats; ++r) {
              group.ordinals.push_back(static_cast<int64_t>(plan->attempts.size()));
              plan->attempts.push_back({si, i, r, p, v});
            }
          }
        }
        if (!group.ordinals.empty()) plan->groups.push_back(std::move(group));
      }
    }
  }
}

}  // namespace

std::string main_dtype(const engine::Checkpoint& checkpoint) {
  std::map<kernels::Dtype, int64_t> elements;
  for (const auto& t : checkpoint.tensors()) {
    int64_t n = 1;
    for (const int64_t d : t.shape) n *= d;
    elements[t.dtype] += n;
  }
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return most == elements.end() ? "none" : std::string(kernels::dtype_name(most->first));
}

Variant shifted_variant(const tasks::Shift& shift, uint64_t seed) {
  if (!shift.text.empty())
    seed ^= std::stoull(datasets::sha256_hex(shift.text).substr(0, kMarkDigits), nullptr, 16);
  else if (!tasks::shift_draws(shift))
    seed = 0;
  return {Variant::Family::shift, 0, shift, seed};
}

std::string variant_name(const Variant& v) {
  switch (v.family) {
    case Variant::Family::clean:
      return "clean";
    case Variant::Family::wording:
      return "wording";
    case Variant::Family::shift:
      return tasks::shift_name(v.shift);
  }
  return "clean";
}

int variant_severity(const Variant& v) {
  return v.family == Variant::Family::shift ? v.shift.severity : v.wording;
}

std::vector<int32_t> clipped_grid(const std::vector<int32_t>& grid, int32_t max_k) {
  std::vector<int32_t> out;
  for (const int32_t k : grid)
    if (const int32_t c = std::min(k, max_k); out.empty() || out.back() != c) out.push_back(c);
  return out;
}

datasets::Sample sample_as(const datasets::Sample& sample, const Variant& v) {
  if (v.family != Variant::Family::shift) return sample;
  auto made = tasks::apply_shift(v.shift, sample, v.seed);
  if (!made.shifted)
    throw tasks::TaskError(
        fmt::format("shift {} of {}: {}", tasks::shift_label(v.shift), sample.id, made.why_not));
  return std::move(made.shifted->sample);
}

datasets::Sample asked_sample(const RunPlan& plan, const PlannedAttempt& a) {
  return sample_as(plan.sample(a), a.variant);
}

bool RunPlan::runs_code() const {
  return std::any_of(suites.begin(), suites.end(),
                     [](const auto& s) { return s.task->runs_code(); });
}

bool RunPlan::has_embedded_data() const {
  return std::any_of(suites.begin(), suites.end(),
                     [](const auto& s) { return s.data->origin == "embedded"; });
}

std::string weights_sha256(const engine::Checkpoint& checkpoint) {
  const auto files = checkpoint.files();
  if (files.size() == 1) return datasets::sha256_file(files[0]);
  std::string all;
  for (const auto& f : files)
    all += fmt::format("{} {}\n", datasets::sha256_file(f), f.filename().string());
  return datasets::sha256_hex(all);
}

LoadedModel load_model(const RunSpec& spec) {
  const auto path = resolve_model(spec.model);
  LoadedModel m;
  m.label = model_label(spec.model);
  const auto checkpoint = engine::Checkpoint::open(path);
  m.tokenizer = engine::Tokenizer::load(path);
  if (m.tokenizer->vocab_size() > checkpoint->config().vocab)
    throw engine::ModelFileError(fmt::format("{}: tokenizer has {} tokens, the embedding {} rows",
                                             path.string(), m.tokenizer->vocab_size(),
                                             checkpoint->config().vocab));
  m.weights_sha256 = weights_sha256(*checkpoint);
  m.dtype = main_dtype(*checkpoint);
  engine::EngineOptions options;
  options.threads = spec.threads;
  options.max_batch_rows = spec.batch_rows;
  options.gate_norm = spec.gate_norm;
  options.ranks = spec.ranks;
  options.max_streams = spec.scenario == Scenario::single ? 1 : spec.streams;
  m.engine = load_engine(*checkpoint, spec.device, options);
  return m;
}

RunPlan make_plan(const RunSpec& spec) {
  RunPlan plan;
  if (spec.kind == RunKind::policy) plan.policies = {spec.policy};
  for (const int32_t k : spec.grid)
    if (spec.kind == RunKind::sweep) plan.policies.push_back(fmt::format("fixed:{}", k));
  std::map<std::string, std::shared_ptr<const datasets::Dataset>> loaded;
  for (const auto& name : spec.tasks) {
    PlannedSuite suite;
    tasks::TaskOptions options;
    options.num_fewshot = spec.num_fewshot;
    suite.task = tasks::make_task(name, options);
    if (spec.kind == RunKind::sweep && !suite.task->is_marked())
      throw UsageError(fmt::format(
          "task {} has no right answers: a sweep of it shows no need. 'moeval run --tasks {} "
          "--policy ...' and 'moeval audit' show what its prompts are given",
          name, name));
    auto& data = loaded[suite.task->dataset()];
    if (!data) {
      data = load_data(spec, suite.task->dataset());
    }
    suite.data = data;
    suite.repeats = suite.task->generates() && spec.generate ? spec.num_samples : 1;
    std::vector<std::string> ids, subsets;
    for (const auto& s : data->samples) {
      ids.push_back(s.id);
      subsets.push_back(s.subset);
    }
    suite.chosen = select_samples(ids, subsets, spec.limit, spec.sample, spec.seed);
    plan.suites.push_back(std::move(suite));
  }
  std::vector<std::vector<tasks::Shift>> shifts;  // refused before any is made
  for (const auto& suite : plan.suites) shifts.push_back(shifts_of(spec, *suite.task));
  for (size_t si = 0; si < plan.suites.size(); ++si) plan_suite(spec, shifts[si], si, &plan);
  if (plan.attempts.empty()) throw UsageError("nothing to run: no sample was chosen");
  return plan;
}

tasks::Query query_of(const RunPlan& plan, const RunSpec& spec, const PlannedAttempt& a) {
  const auto& suite = plan.suites[a.suite];
  auto q = suite.task->query(asked_sample(plan, a), *suite.data, a.variant.wording);
  if (q.kind == tasks::Query::Kind::generate) {
    if (spec.temperature) q.temperature = *spec.temperature;
    if (spec.top_p) q.top_p = *spec.top_p;
    if (spec.max_new_tokens > 0) q.max_new_tokens = spec.max_new_tokens;
    if (a.repeat > 0) q.reference.clear();  // its NLL is known from the first repeat
    if (!spec.generate) q.max_new_tokens = 0;
  }
  return q;
}

}  // namespace harness
