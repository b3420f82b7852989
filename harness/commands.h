// Owns the list of commands: one plain option struct and one function each. A command returns its
// exit code; errors are exceptions (exit_code.h). Results go to stdout, the rest to stderr.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/convert/options.h"
#include "engine/train/objective.h"
#include "harness/bench_work.h"
#include "harness/device_choice.h"
#include "harness/gadget_search.h"
#include "harness/run_spec.h"

namespace harness {

enum class Format { table, markdown, json };

struct RunOptions {
  RunSpec spec;
  bool dry_run = false;
  Format format = Format::table;
};
int command_run(const RunOptions&);

struct SweepOptions {
  RunSpec spec;  // kind is sweep
  bool dry_run = false, detach = false;
  std::string tables;  // folder for the standard tables; empty = none
  Format format = Format::table;
};
int command_sweep(const SweepOptions&);

struct TrainOptions {
  std::string sweep;  // run; empty = the newest sweep
  std::string db = "results/moeval.db";
  std::string model;  // empty = the one that the sweep names
  std::string data;
  bool allow_unverified = false;
  std::string out = "predictor.safetensors";
  engine::train::Objective objective = engine::train::Objective::policy;
  engine::train::Head head = engine::train::Head::ordinal;
  std::optional<double> lambda, target_cost;  // at most one
  double mu = 0;
  std::optional<double> entropy;  // these two: engine/train/options.h
  std::optional<int> epochs;
  std::optional<double> latency_cap_ms;
  std::string latency_file;
  std::vector<int64_t> hidden = {64};  // 0 = none
  int folds = 5;
  uint64_t seed = 0;
  bool curve = false, ood = false;
  std::string fallback;  // "mahalanobis:full" (engine/policy/fallback.h); empty = none
  std::string tables;    // folder for the cross-fitted decisions; empty = none
  // Without a sweep: the engine answers what the policy draws.
  bool online = false;
  std::vector<std::string> online_tasks;
  std::optional<int> num_fewshot;
  int64_t limit = 0, sample = 0;  // as in RunSpec
  std::vector<int32_t> grid;      // empty = every k that the model runs
  double held_out = 0.25;         // share of the seed items that are kept to judge by
  std::string router_out;         // folder for the model with trained routers; empty = untouched
  std::optional<double> router_rate;
  DeviceChoice device;
  int threads = 0;
  Format format = Format::table;
};
int command_train(const TrainOptions&);

struct PredictOptions {
  std::string predictor, model = "smollm2-135m", file = "-";
  double target = 0.5;  // P(right) that a k needs to be enough
  Format format = Format::table;
};
int command_predict(const PredictOptions&);

struct GadgetOptions {
  std::string predictor, model = "smollm2-135m";
  std::vector<std::string> tasks = {"mmlu_cloze"};
  std::string data;
  bool allow_unverified = false;
  int64_t questions = 32;  // to search on, and as many to judge by
  GadgetSearch search;
  std::string out = "gadget.json";
  Format format = Format::table;
};
int command_gadget(const GadgetOptions&);

struct LeaderboardOptions {
  std::string db = "results/moeval.db";
  std::vector<std::string> tasks;  // empty = all
  std::string run;                 // uuid (or its beginning), or "latest"; empty = all
  bool all_runs = false;           // also superseded runs of the same name
  bool sweeps = true;              // also every k of every sweep
  bool subjects = false;           // MMLU categories and subjects too
  Format format = Format::table;
};
int command_leaderboard(const LeaderboardOptions&);

struct ExportOptions {
  std::string db = "results/moeval.db";
  std::string run = "latest";
  std::string format = "lm-eval";
  std::string output = "results/export";  // folder, or file of expert-load
};
int command_export(const ExportOptions&);

struct VerifyOptions {
  std::string db = "results/moeval.db";
  std::string run;       // empty = all
  bool migrate = false;  // bring a file of a former version up to date first
  Format format = Format::table;
};
int command_verify(const VerifyOptions&);

struct RescoreOptions {
  std::string db = "results/moeval.db";
  std::string run = "latest";
  std::string data;
  bool allow_unverified = false;
  int sandbox_tier = 0;
  Format format = Format::table;
};
int command_rescore(const RescoreOptions&);

struct CompareOptions {
  std::string run_a, run_b;  // RUN or RUN@POLICY; RUN as everywhere
  std::string db = "results/moeval.db";
  std::string db_b;  // of run_b; empty = db
  int64_t max_flips = 20;
  Format format = Format::table;
};
int command_compare(const CompareOptions&);

struct AuditOptions {
  std::string run;    // RUN or RUN@POLICY; empty = the newest run of a policy
  std::string sweep;  // run; empty = the one that knows most of the run's queries
  std::string db = "results/moeval.db";
  double lambda = 0.1;
  int64_t max_worst = 5;
  std::string data;
  bool allow_unverified = false;
  std::string refusal_filter;  // file; empty = none
  Format format = Format::table;
};
int command_audit(const AuditOptions&);

struct GateOptions {
  std::string candidate, baseline;  // RUN or RUN@POLICY
  std::string policy;               // file; empty = built-in
  bool print_policy = false;
  std::string db = "results/moeval.db";
  std::string baseline_db;  // empty = db
  Format format = Format::table;
};
int command_gate(const GateOptions&);

struct InspectOptions {
  std::string what;  // logits, tokens, tensors
  std::string model = "smollm2-135m";
  std::string text;
  std::vector<int32_t> ids;  // instead of text
  bool bos = true;           // as the model was trained, when it asks for one
  bool special = false;      // special tokens in the text count as such
  int top = 10;              // logits: the largest of the last position; 0 = all of every position
  int32_t k = 0;             // logits: experts; 0 = the trained k
  DeviceChoice device;       // of logits
  int threads = 0;
};
int command_inspect(const InspectOptions&);

struct PerplexityOptions {
  std::string model = "smollm2-135m";
  std::string file;                   // text
  std::string reference;              // model to measure the distance to; empty = none
  std::vector<int32_t> grid;          // budgets; empty = the trained one
  int64_t tokens = 0, context = 512;  // 0 = the whole text
  engine::GateNorm gate_norm = engine::GateNorm::model;
  DeviceChoice device;
  int threads = 0;
  Format format = Format::table;
};
int command_perplexity(const PerplexityOptions&);

struct BenchOptions {
  std::string model = "smollm2-135m";
  std::string shape;  // random weights of a named shape instead; engine/random_checkpoint.h
  kernels::Dtype dtype = kernels::Dtype::f16;  // of them
  BenchSettings settings;
  DeviceChoice device;
  int64_t batch_rows = 0;  // 0 = the backend's own
  int threads = 0;
  Format format = Format::table;
};
int command_bench(const BenchOptions&);

struct LsOptions {
  Format format = Format::table;
  std::string data;
};
int command_ls(const LsOptions&);

struct TaskShowOptions {
  std::string task;
  int64_t doc = 0;
  std::string model;  // for the token ids; empty = the default model if it is there
  std::string data;
  std::optional<int> num_fewshot;
  std::string shift;  // family:severity; empty = as it is
  uint64_t shift_seed = 0;
  std::string gadget_file;  // of a shift that wants one
  bool allow_unverified = false;
  Format format = Format::table;
};
int command_task_show(const TaskShowOptions&);

struct ConvertOptions {
  std::string model = "smollm2-135m";
  std::string out;
  engine::convert::Options options;
  std::vector<std::string> calibration;  // text files; empty = the built-in text
  int64_t calibration_tokens = 262144;   // at most; 0 = all
  int threads = 0;
  Format format = Format::table;
};
int command_convert(const ConvertOptions&);

struct PullOptions {
  std::vector<std::string> names;  // empty = list
  bool all = false;
  bool verify = false;  // hash what is there, fetch nothing
  Format format = Format::table;
};
int command_pull(const PullOptions&);

struct DoctorOptions {
  Format format = Format::table;
  int sandbox_tier = 0;
};
int command_doctor(const DoctorOptions&);

}  // namespace harness
