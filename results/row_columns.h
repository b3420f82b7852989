// Owns the one list of each row's columns. Insert, read and checksum are all made from it, so they
// cannot drift apart. Internal to results/.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "results/checksum.h"
#include "results/records.h"
#include "results/sqlite.h"

namespace results {

template <class R, class Want>
concept RowOf = std::same_as<std::remove_const_t<R>, Want>;

template <RowOf<EnvironmentRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("fingerprint", r.fingerprint);
  v("host_class", r.host_class);
  v("os", r.os);
  v("kernel", r.kernel);
  v("cpu_model", r.cpu_model);
  v("instruction_set", r.instruction_set);
  v("cpu_cores", r.cpu_cores);
  v("ram_bytes", r.ram_bytes);
  v("gpu_model", r.gpu_model);
  v("gpu_count", r.gpu_count);
  v("gpu_driver", r.gpu_driver);
  v("cuda_version", r.cuda_version);
  v("clock_policy", r.clock_policy);
  v("compiler", r.compiler);
  v("build_flags", r.build_flags);
  v("extra_json", r.extra_json);
}

template <RowOf<ModelRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("name", r.name);
  v("weights_sha256", r.weights_sha256);
  v("tokenizer_sha256", r.tokenizer_sha256);
  v("config_json", r.config_json);
  v("dtype", r.dtype);
  v("n_layers", r.n_layers);
  v("n_experts", r.n_experts);
  v("params_total", r.params_total);
  v("params_dense", r.params_dense);
  v("params_per_expert", r.params_per_expert);
}

template <RowOf<PolicyRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("kind", r.kind);
  v("k_fixed", r.k_fixed);
  v("predictor_sha256", r.predictor_sha256);
  v("config_json", r.config_json);
  v("policy_sha256", r.policy_sha256);
  v("label", r.label);
}

template <RowOf<DatasetRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("name", r.name);
  v("split", r.split);
  v("revision", r.revision);
  v("sha256", r.sha256);
  v("n_rows", r.n_rows);
  v("licence", r.licence);
}

template <RowOf<TaskRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("name", r.name);
  v("suite", r.suite);
  v("version", r.version);
  v("scorer", r.scorer);
  v("metric", r.metric);
  v("n_shot", r.n_shot);
  v("config_json", r.config_json);
  v("prompt_sha256", r.prompt_sha256);
  v("chance", r.chance);
  v("task_sha256", r.task_sha256);
}

template <RowOf<SampleRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("source_key", r.source_key);
  v("cluster", r.cluster);
  v("gold", r.gold);
  v("n_choices", r.n_choices);
}

template <RowOf<ShiftRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("name", r.name);
  v("family", r.family);
  v("severity", r.severity);
  v("version", r.version);
  v("config_json", r.config_json);
}

// The caller's columns of a run; fingerprint, plan, model and environment are added by plan.cc.
template <RowOf<RunRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("run_uuid", r.run_uuid);
  v("kind", r.kind);
  v("parent_uuid", r.parent_uuid);
  v("shard_ix", r.shard_ix);
  v("shard_n", r.shard_n);
  v("config_json", r.config_json);
  v("argv", r.argv);
  v("tool_version", r.tool_version);
  v("git_sha", r.git_sha);
  v("git_dirty", r.git_dirty);
  v("binary_sha256", r.binary_sha256);
  v("seed", r.seed);
  v("determinism", r.determinism);
  v("scenario", r.scenario);
  v("target_rate", r.target_rate);
  v("concurrency", r.concurrency);
  v("note", r.note);
}

// Measured columns; keys (run, ordinal, try, query, policy) are added by the writer.
template <RowOf<AttemptRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("seed", r.seed);
  v("status", r.status);
  v("status_detail", r.status_detail);
  v("finish_reason", r.finish_reason);
  v("complexity", r.complexity);
  v("k_requested", r.k_requested);
  v("k_mean", r.k_mean);
  v("k_min", r.k_min);
  v("k_max", r.k_max);
  v("capped", r.capped);
  v("k_uncapped", r.k_uncapped);
  v("p_k_json", r.p_k_json);
  v("prompt_tokens", r.prompt_tokens);
  v("prefix_tokens", r.prefix_tokens);
  v("dropped_tokens", r.dropped_tokens);
  v("dropped_demonstrations", r.dropped_demonstrations);
  v("output_tokens", r.output_tokens);
  v("prefix_sha256", r.prefix_sha256);
  v("scheduled_ns", r.scheduled_ns);
  v("queue_us", r.queue_us);
  v("predict_us", r.predict_us);
  v("prefill_us", r.prefill_us);
  v("decode_us", r.decode_us);
  v("ttft_us", r.ttft_us);
  v("latency_us", r.latency_us);
  v("service_us", r.service_us);
  v("itl_max_us", r.itl_max_us);
  v("batch_size", r.batch_size);
  v("batch_experts", r.batch_experts);
  v("batch_k_max", r.batch_k_max);
  v("useful", r.useful);
  v("executed", r.executed);
  v("weights_bytes", r.weights_bytes);
  v("energy_uj", r.energy_uj);
  v("energy_source", r.energy_source);
  v("reference_logprob_nats", r.reference_logprob_nats);
  v("reference_tokens", r.reference_tokens);
  v("warmup", r.warmup);
  v("budget", r.budget);
  v("ood_score", r.ood_score);
  v("ood_flagged", r.ood_flagged);
  v("k_without_fallback", r.k_without_fallback);
}

template <RowOf<VerdictRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("scorer", r.scorer);
  v("outcome", r.outcome);
  v("answer", r.answer);
  v("correct", r.correct);
  v("score", r.score);
  v("margin_nats", r.margin_nats);
  v("gold_nll_nats", r.gold_nll_nats);
  v("detail", r.detail);
  v("score_us", r.score_us);
}

template <RowOf<PrefixRow> R, class V>
void visit_columns(R& r, V&& v) {
  v("prefix_sha256", r.prefix_sha256);
  v("n_tokens", r.n_tokens);
  v("executed", r.executed);
  v("prefill_us", r.prefill_us);
  v("budget", r.budget);
}

// FLOPs are five columns: <name>_attention_flops, ...
inline constexpr struct {
  const char* suffix;
  int64_t FlopsByPart::*value;
} kFlopsColumns[] = {{"_attention_flops", &FlopsByPart::attention_flops},
                     {"_router_flops", &FlopsByPart::router_flops},
                     {"_experts_flops", &FlopsByPart::experts_flops},
                     {"_head_flops", &FlopsByPart::head_flops},
                     {"_predictor_flops", &FlopsByPart::predictor_flops}};

struct ColumnNames {
  std::vector<std::string> names;
  template <class T>
  void operator()(const char* name, const T&) {
    if constexpr (std::is_same_v<T, FlopsByPart> || std::is_same_v<T, std::optional<FlopsByPart>>) {
      for (const auto& c : kFlopsColumns) names.push_back(std::string(name) + c.suffix);
    } else {
      names.emplace_back(name);
    }
  }
};

// Binds from parameter `next` on.
struct ColumnBinder {
  Statement& statement;
  int next;
  template <class T>
  void operator()(const char*, const T& v) {
    statement.bind(next++, v);
  }
  void operator()(const char*, const FlopsByPart& v) {
    for (const auto& c : kFlopsColumns) statement.bind(next++, v.*c.value);
  }
  void operator()(const char*, const std::optional<FlopsByPart>& v) {
    for (const auto& c : kFlopsColumns) {
      if (v)
        statement.bind(next++, (*v).*c.value);
      else
        statement.bind_null(next++);
    }
  }
};

// Reads from column `next` on.
struct ColumnReader {
  const Statement& statement;
  int next;
  template <class T>
  void operator()(const char*, T& v) {
    statement.read(next++, v);
  }
  void operator()(const char*, FlopsByPart& v) {
    for (const auto& c : kFlopsColumns) v.*c.value = statement.integer(next++);
  }
  void operator()(const char*, std::optional<FlopsByPart>& v) {
    v.reset();
    // The first part tells whether FLOPs were counted; a lone NULL among them changes the checksum.
    const bool counted = !statement.is_null(next);
    if (counted) v.emplace();
    for (const auto& c : kFlopsColumns) {
      if (counted) (*v).*c.value = statement.integer(next);
      ++next;
    }
  }
};

// A column that a migration added: rows of before have no value there and keep their checksum.
inline bool added_later(std::string_view column) {
  return column == "budget" || column == "ood_score" || column == "ood_flagged" ||
         column == "k_without_fallback";
}

struct ColumnHasher {
  Canonical& canonical;
  template <class T>
  void operator()(const char* name, const T& v) {
    canonical.field(name, v);
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& v) {
    if (v || !added_later(name)) canonical.field(name, v);
  }
  void operator()(const char* name, const FlopsByPart& v) {
    for (const auto& c : kFlopsColumns) canonical.field(std::string(name) + c.suffix, v.*c.value);
  }
  void operator()(const char* name, const std::optional<FlopsByPart>& v) {
    if (v)
      (*this)(name, *v);
    else
      canonical.null(name);
  }
};

template <class Row>
std::vector<std::string> column_names() {
  ColumnNames v;
  const Row row;
  visit_columns(row, v);
  return v.names;
}

// "a, b, c" with an optional prefix before each name.
template <class Row>
std::string column_list(const std::string& prefix = {}) {
  std::string list;
  for (const std::string& n : column_names<Row>()) list += (list.empty() ? "" : ", ") + prefix + n;
  return list;
}

// INSERT of `extra` columns (bound first) and then the row's own.
template <class Row>
std::string insert_sql(const std::string& table, const std::string& extra) {
  const std::string columns =
      extra.empty() ? column_list<Row>() : extra + ", " + column_list<Row>();
  std::string marks = "?";
  for (const char c : columns) {
    if (c == ',') marks += ", ?";
  }
  return "INSERT INTO " + table + "(" + columns + ") VALUES(" + marks + ")";
}

template <class Row>
std::string row_checksum(const std::string& kind, const Row& row) {
  Canonical c(kind);
  visit_columns(row, ColumnHasher{c});
  return c.sha256();
}

}  // namespace results
