// Owns the plain rows that go into the store and come out of it. No SQL, no project types. A field
// that was not measured is empty (NULL in the file), never 0. Units are the suffix of the name;
// each field is the column of the same name (schema/001_initial.sql, table `columns`).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace results {

// ---- dimensions: stored once, found again by their content ----

struct EnvironmentRow {
  std::string fingerprint;  // the caller's hash of everything below: the row's identity
  std::optional<std::string> host_class, os, kernel, cpu_model, instruction_set;
  std::optional<int64_t> cpu_cores, ram_bytes;
  std::optional<std::string> gpu_model;
  int64_t gpu_count = 0;
  std::optional<std::string> gpu_driver, cuda_version, clock_policy, compiler, build_flags;
  std::optional<std::string> extra_json;
};

struct ModelRow {
  std::string name;
  std::string weights_sha256;  // with tokenizer_sha256 and config_json: the row's identity
  std::string tokenizer_sha256;
  std::string config_json;  // the architecture as data
  std::string dtype;        // q4_1, bf16, ...
  int64_t n_layers = 0, n_experts = 1;
  int64_t params_total = 0, params_dense = 0, params_per_expert = 0;
};

struct PolicyRow {
  std::string kind;                // open: fixed, trained, top_p, predictor, table, ...
  std::optional<int64_t> k_fixed;  // for fixed
  std::optional<std::string> predictor_sha256;
  std::string config_json = "{}";
  std::string policy_sha256;  // the row's identity
  std::string label;          // what the user typed: "fixed:1"
};

struct DatasetRow {
  std::string name, split;
  std::optional<std::string> revision;  // official, embedded, unverified, or a version
  std::string sha256;
  int64_t n_rows = 0;
  std::optional<std::string> licence;
};

struct TaskRow {
  std::string name, suite;
  int64_t version = 1;
  std::string scorer;  // the scoring rule's name and version; verdicts of this scorer are the score
  std::string metric;  // acc, acc_norm, pass@1
  int64_t n_shot = 0;
  std::string config_json = "{}";  // the resolved task file
  std::string prompt_sha256;       // of the template
  std::optional<double> chance;
  std::string task_sha256;  // with the data set: the row's identity
};

struct SampleRow {
  std::string source_key;              // "mmlu/virology/test/12"; unique in its task
  std::optional<std::string> cluster;  // unit that repeats: MMLU subject, base question
  std::optional<std::string> gold;
  std::optional<int64_t> n_choices;
};

struct ShiftRow {  // a label-preserving change; the default is "none at all"
  std::string name = "clean", family = "clean";
  int64_t severity = 0, version = 1;
  std::string config_json = "{}";
};

// ---- the plan ----

struct RunRow {
  std::string run_uuid;                    // empty: the store makes one
  std::string kind = "policy";             // policy | sweep
  std::optional<std::string> parent_uuid;  // of a sharded run
  std::optional<int64_t> shard_ix, shard_n;
  // Everything that must not change between a run and its resumption, one entry per fact.
  std::map<std::string, std::string> fingerprint;
  std::string config_json = "{}";  // the exact plan, for people and for tools
  std::string argv;                // as typed
  std::string tool_version;
  std::optional<std::string> git_sha;
  std::optional<int64_t> git_dirty;  // 0 | 1
  std::string binary_sha256;
  int64_t seed = 0;
  std::string determinism;            // e.g. "bitwise per instruction set"
  std::string scenario;               // closed, open, ...
  std::optional<double> target_rate;  // queries per second, open scenario
  std::optional<int64_t> concurrency;
  std::optional<std::string> note;
};

struct PlannedTask {
  DatasetRow dataset;
  TaskRow task;
  std::vector<SampleRow> samples;
};

// One attempt that the run promises to make. Its ordinal is its index in RunPlan::planned.
struct PlannedRow {
  int32_t task = 0;    // index into RunPlan::tasks
  int32_t sample = 0;  // index into that task's samples
  int32_t policy = 0;  // index into RunPlan::policies
  int32_t shift = 0;   // index into RunPlan::shifts
  int64_t shift_seed = 0;
  int32_t repeat_ix = 0;  // 0.. n-1 when a query is answered several times (pass@k)
};

enum class StartMode {
  automatic,  // continue the newest run with this fingerprint, else begin one
  new_run,    // always begin one
  resume      // continue; nothing to continue is an error
};

struct RunPlan {
  RunRow run;
  EnvironmentRow environment;
  ModelRow model;
  std::vector<PolicyRow> policies;
  std::vector<PlannedTask> tasks;
  std::vector<ShiftRow> shifts{ShiftRow{}};
  std::vector<PlannedRow> planned;
  StartMode mode = StartMode::automatic;
  bool reuse_complete = true;  // automatic: a complete run with this fingerprint is returned as is
};

struct PlannedState {
  bool done = false;  // an attempt that is not an infrastructure failure is stored
  int32_t tries = 0;  // attempts stored, infrastructure failures included
};

struct RunStart {
  int64_t run_id = 0;
  std::string run_uuid;
  bool resumed = false;              // rows of an earlier session exist or may exist
  bool complete = false;             // nothing left to do
  int64_t session_ix = 0;            // 0 first process, 1 first resumption, ...
  std::vector<PlannedState> states;  // by ordinal
};

// ---- what happened ----

struct FlopsByPart {  // a multiply-add is 2
  int64_t attention_flops = 0, router_flops = 0, experts_flops = 0, head_flops = 0,
          predictor_flops = 0;
  int64_t total() const {
    return attention_flops + router_flops + experts_flops + head_flops + predictor_flops;
  }
  friend bool operator==(const FlopsByPart&, const FlopsByPart&) = default;
};

// The prompt as sent. The whole prompt is prefix_text + prompt_text; the prefix is stored once.
struct QueryRow {
  std::string prefix_text;                 // header and demonstrations; may be empty
  std::string prompt_text;                 // the rest
  bool store_text = true;                  // false: hashes only
  std::optional<int64_t> label_preserved;  // 0 | 1, for shifted queries
};

struct OptionRow {                     // one scored continuation, in option order
  std::optional<double> logprob_nats;  // sum over its tokens
  int64_t n_tokens = 0;
  std::optional<std::string> text;  // the continuation that was scored
};

struct LayerRow {  // how many experts ran in a layer, over the query's tokens
  int64_t layer = 0, tokens = 0, k_sum = 0, k_max = 0;
  std::optional<int64_t> k_min;
  std::optional<double> margin_mean, margin_min;  // of the router's choice, when asked for
};

struct ExpertCounts {  // tokens routed to each expert, row-major [n_layers, n_experts]
  int64_t n_layers = 0, n_experts = 0;
  std::vector<uint32_t> tokens;
};

struct AttemptRow {
  int64_t ordinal = 0;  // of the planned row that this answers
  int64_t seed = 0;
  std::string status = "ok";                 // ok | too_long | not_finite | timeout | error | infra
  std::optional<std::string> status_detail;  // one line when not ok
  std::optional<std::string> finish_reason;  // stop_token | stop_string | length | ...

  std::optional<double> complexity;   // the predictor's estimate
  std::optional<std::string> budget;  // all that was granted, one line
  std::optional<int64_t> k_requested;
  std::optional<double> k_mean;
  std::optional<int64_t> k_min, k_max;
  std::optional<int64_t> capped;  // 0 | 1: the latency cap lowered k
  std::optional<int64_t> k_uncapped;
  std::optional<double> ood_score;  // policies with a fallback: how unlike its training it is
  std::optional<int64_t> ood_flagged, k_without_fallback;
  std::optional<std::string> p_k_json;  // predictor's estimate of P(right | k): [[k, p], ...]

  std::optional<int64_t> prompt_tokens, prefix_tokens, output_tokens;
  std::optional<int64_t> dropped_tokens, dropped_demonstrations;  // by the truncation rule
  std::optional<std::string> prefix_sha256;                       // PrefixRow that it used

  std::optional<int64_t> scheduled_ns;  // steady clock, from the start of the session
  std::optional<int64_t> queue_us, predict_us, prefill_us, decode_us, ttft_us, latency_us,
      service_us, itl_max_us;
  std::optional<double> batch_size, batch_experts;  // means over its steps
  std::optional<int64_t> batch_k_max;

  std::optional<FlopsByPart> useful, executed;
  std::optional<int64_t> weights_bytes;  // read from memory for it
  std::optional<int64_t> energy_uj;
  std::optional<std::string> energy_source;

  std::optional<double> reference_logprob_nats;  // of the reference solution, sum
  std::optional<int64_t> reference_tokens;
  int64_t warmup = 0;  // 1: kept out of every view
};

struct VerdictRow {
  std::string scorer;
  // passed wrong error timeout_cpu timeout_wall memory output_limit crash_signal policy_kill
  // protocol load_error too_long infra not_run unscored
  std::string outcome;
  std::optional<std::string> answer;  // chosen letter, or the program that was judged
  std::optional<int64_t> correct;     // 0 | 1; empty when unscored
  std::optional<double> score;
  std::optional<double> margin_nats;    // best right minus best wrong option
  std::optional<double> gold_nll_nats;  // of the right option or reference solution
  std::optional<std::string> detail;    // one line
  std::optional<int64_t> score_us;      // time of the marking; no part of the latency
};

struct AttemptVerdict {  // marking again
  int64_t attempt_id = 0;
  VerdictRow verdict;
};

// A token prefix computed once for several queries: run-level, so that FLOPs add up.
struct PrefixRow {
  std::string prefix_sha256;  // of its token ids and the budget that computed it
  int32_t policy = 0;         // index into RunPlan::policies
  int64_t n_tokens = 0;
  FlopsByPart executed;
  std::optional<int64_t> prefill_us;
  std::optional<std::string> budget;  // that computed it
};

// Everything about one finished attempt: stored in one transaction, or not at all.
struct AttemptBundle {
  QueryRow query;
  AttemptRow attempt;
  std::optional<std::string> output_text;  // generated text, raw bytes
  std::vector<OptionRow> options;
  std::vector<LayerRow> layers;
  std::optional<ExpertCounts> experts;
  std::vector<VerdictRow> verdicts;
  std::vector<PrefixRow> prefixes;  // prefixes computed since the last bundle, if any
};

}  // namespace results
