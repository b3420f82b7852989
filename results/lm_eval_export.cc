#include "results/lm_eval_export.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "results/checksum.h"

namespace results {
namespace {

namespace fs = std::filesystem;
using ordered = nlohmann::ordered_json;

std::string dump(const ordered& j, int indent) {
  return j.dump(indent, ' ', false, ordered::error_handler_t::replace);
}

ordered parse_object(const std::string& text, const std::string& what) {
  ordered j = ordered::parse(text, nullptr, false);
  if (!j.is_object()) throw StoreError(fmt::format("export: {} is no JSON object", what));
  return j;
}

template <class T>
ordered or_null(const std::optional<T>& v) {
  return v ? ordered(*v) : ordered();
}

ordered or_null(const std::string& v) { return v.empty() ? ordered() : ordered(v); }

ordered version_of(const std::string& text) {
  char* end = nullptr;
  const double v = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' ? ordered(v) : ordered(text);
}

void add_metrics(ordered& entry, const std::vector<LmEvalMetric>& metrics) {
  for (const LmEvalMetric& m : metrics) {
    entry[m.name + "," + m.filter] = m.value;
    entry[m.name + "_stderr," + m.filter] =
        m.standard_error ? ordered(*m.standard_error) : ordered("N/A");
  }
}

ordered higher_is_better(const std::vector<LmEvalMetric>& metrics) {
  ordered j = ordered::object();
  for (const LmEvalMetric& m : metrics) j[m.name] = m.higher_is_better;
  return j;
}

// Python's words, because lm-eval turns every response into text.
std::string real_text(double v) {
  std::string s = fmt::format("{}", v);
  if (s.find_first_of(".einf") == std::string::npos) s += ".0";
  return s;
}

struct SampleLine {
  std::string text, hashes;
};

SampleLine sample_line(const LmEvalSample& s) {
  const ordered doc = parse_object(s.doc_json, fmt::format("item {}", s.doc_id));
  ordered j;
  j["doc_id"] = s.doc_id;
  j["doc"] = doc;
  j["target"] = s.target;
  j["arguments"] = ordered::object();
  j["resps"] = ordered::array();
  j["filtered_resps"] = ordered::array();
  for (size_t i = 0; i < s.requests.size(); ++i) {
    const LmEvalRequest& r = s.requests[i];
    const bool generates = !r.gen_kwargs_json.empty();
    ordered& arguments = j["arguments"][fmt::format("gen_args_{}", i)];
    arguments["arg_0"] = r.context;
    arguments["arg_1"] = generates ? parse_object(r.gen_kwargs_json, "generation settings")
                                   : ordered(r.continuation);
    if (generates) {
      j["resps"].push_back(r.generations);
    } else {
      const ordered response = {r.logprob_nats ? real_text(*r.logprob_nats) : "nan",
                                r.is_greedy ? "True" : "False"};
      j["resps"].push_back(ordered::array({response}));
      j["filtered_resps"].push_back(response);
    }
  }
  for (const std::string& f : s.filtered) j["filtered_resps"].push_back(f);
  j["filter"] = s.filter;
  j["metrics"] = ordered::array();
  for (const auto& m : s.metrics) j["metrics"].push_back(m.first);
  const std::string doc_hash = sha256_hex(dump(doc, 2));
  const std::string prompt_hash =
      sha256_hex(s.requests.empty() ? std::string() : s.requests[0].context);
  const std::string target_hash = sha256_hex(s.target);
  j["doc_hash"] = doc_hash;
  j["prompt_hash"] = prompt_hash;
  j["target_hash"] = target_hash;
  for (const auto& m : s.metrics) j[m.first] = m.second;
  j["moeval"] = {{"experts", or_null(s.experts)},
                 {"useful_flops", or_null(s.useful_flops)},
                 {"executed_flops", or_null(s.executed_flops)},
                 {"latency_ms", or_null(s.latency_ms)}};
  return {dump(j, -1) + "\n", doc_hash + prompt_hash + target_hash};
}

ordered results_of(const LmEvalReport& r) {
  ordered j;
  for (const char* key : {"results", "groups", "group_subtasks", "configs", "versions", "n-shot",
                          "higher_is_better", "n-samples"})
    j[key] = ordered::object();
  for (const LmEvalGroup& g : r.groups) {
    ordered entry = {{"name", g.name}, {"alias", g.alias.empty() ? g.name : g.alias}};
    entry["sample_count"] = ordered::object();
    for (const LmEvalMetric& m : g.metrics)
      entry["sample_count"][m.name + "," + m.filter] = g.sample_count;
    add_metrics(entry, g.metrics);
    j["results"][g.name] = entry;
    j["groups"][g.name] = entry;
    j["group_subtasks"][g.name] = g.subtasks;
    j["versions"][g.name] = version_of(g.version);
    j["higher_is_better"][g.name] = higher_is_better(g.metrics);
  }
  if (r.groups.empty()) j.erase("groups");
  for (const LmEvalTask& t : r.tasks) {
    ordered entry = {{"name", t.name},
                     {"alias", t.alias.empty() ? t.name : t.alias},
                     {"sample_len", t.n_effective}};
    add_metrics(entry, t.metrics);
    j["results"][t.name] = entry;
    if (!j["group_subtasks"].contains(t.name)) j["group_subtasks"][t.name] = ordered::array();
    j["configs"][t.name] = parse_object(t.config_json, "configuration of " + t.name);
    j["versions"][t.name] = version_of(t.version);
    j["n-shot"][t.name] = t.n_shot;
    j["higher_is_better"][t.name] = higher_is_better(t.metrics);
    j["n-samples"][t.name] = {{"original", t.n_original}, {"effective", t.n_effective}};
  }
  return j;
}

void add_run_facts(ordered& j, const LmEvalReport& r) {
  j["config"] = {{"model", r.model_source},
                 {"model_args", r.model_args},
                 {"model_num_parameters", or_null(r.model_num_parameters)},
                 {"model_dtype", r.model_dtype},
                 {"model_revision", r.model_revision},
                 {"model_sha", r.model_sha},
                 {"batch_size", r.batch_size},
                 {"batch_sizes", ordered::array()},
                 {"device", r.device},
                 {"use_cache", nullptr},
                 {"limit", or_null(r.limit)},
                 {"bootstrap_iters", 0},
                 {"gen_kwargs", or_null(r.gen_kwargs)},
                 {"random_seed", r.seed},
                 {"numpy_seed", r.seed},
                 {"torch_seed", r.seed},
                 {"fewshot_seed", r.seed}};
  j["git_hash"] = or_null(r.git_hash);
  j["date"] = r.date;
  j["pretty_env_info"] = r.environment;
  j["transformers_version"] = nullptr;
  j["lm_eval_version"] = "moeval " + r.tool_version;
  j["upper_git_hash"] = nullptr;
  for (const char* which : {"pad", "eos", "bos"}) {
    const auto it = r.tokenizer_tokens.find(which);
    const bool known = it != r.tokenizer_tokens.end();
    j[fmt::format("tokenizer_{}_token", which)] =
        known ? ordered::array({it->second.first, it->second.second})
              : ordered::array({"None", "None"});
  }
  j["eot_token_id"] = or_null(r.eot_token_id);
  j["max_length"] = or_null(r.max_length);
}

void add_model_facts(ordered& j, const LmEvalReport& r) {
  j["model_source"] = r.model_source;
  j["model_name"] = r.model_name;
  j["model_name_sanitized"] = sanitise_model_name(r.model_name);
  j["system_instruction"] = or_null(r.system_instruction);
  j["system_instruction_sha"] =
      r.system_instruction ? ordered(sha256_hex(*r.system_instruction)) : ordered();
  j["fewshot_as_multiturn"] = r.fewshot_as_multiturn;
  j["chat_template"] = or_null(r.chat_template);
  j["chat_template_sha"] = r.chat_template ? ordered(sha256_hex(*r.chat_template)) : ordered();
  j["total_evaluation_time_seconds"] = real_text(r.total_evaluation_time_s);
  ordered own = parse_object(r.moeval_json, "moeval block");
  own["tasks"] = ordered::object();
  for (const LmEvalTask& t : r.tasks)
    own["tasks"][t.name] = parse_object(t.moeval_json, "moeval block of " + t.name);
  j["moeval"] = own;
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  out.flush();
  if (!out) throw StoreError(fmt::format("{}: cannot write", path.string()));
}

}  // namespace

std::string sanitise_model_name(const std::string& name) {
  constexpr std::string_view kForbidden = "\"<>:/|\\?*[]";
  std::string safe;
  bool in_run = false;
  for (const char c : name) {
    const bool forbidden = kForbidden.find(c) != std::string_view::npos;
    if (forbidden && !in_run) safe += "__";
    if (!forbidden) safe += c;
    in_run = forbidden;
  }
  return safe;
}

std::vector<fs::path> write_lm_eval_files(const fs::path& output, const LmEvalReport& report) {
  std::string time = report.time;
  for (char& c : time) {
    if (c == ':') c = '-';
  }
  const bool named = output.extension() == ".json";
  // A model called "." or ".." must not name a folder of its own choosing.
  std::string model = sanitise_model_name(report.model_name);
  if (model.empty() || model == "." || model == "..") model = "model";
  const fs::path folder = named ? output.parent_path() : output / model;
  std::error_code ec;
  if (!folder.empty()) fs::create_directories(folder, ec);
  if (ec) throw StoreError(fmt::format("{}: {}", folder.string(), ec.message()));

  ordered results = results_of(report);
  add_run_facts(results, report);
  results["task_hashes"] = ordered::object();
  std::vector<fs::path> written(1);
  for (const LmEvalTask& t : report.tasks) {
    if (t.samples.empty()) continue;
    std::string lines, hashes;
    for (const LmEvalSample& s : t.samples) {
      SampleLine line = sample_line(s);
      lines += line.text;
      hashes += line.hashes;
    }
    results["task_hashes"][t.name] = sha256_hex(hashes);
    std::string task = t.name;
    for (char& c : task) {
      if (c == '/' || c == '\0') c = '_';
    }
    written.push_back(folder / fmt::format("samples_{}_{}.jsonl", task, time));
    write_file(written.back(), lines);
  }
  add_model_facts(results, report);
  written[0] = folder / (named ? fmt::format("{}_{}.json", output.stem().string(), time)
                               : fmt::format("results_{}.json", time));
  write_file(written[0], dump(results, 2));
  return written;
}

}  // namespace results
