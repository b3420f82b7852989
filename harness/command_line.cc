#include "harness/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <new>

#include "harness/build_info.h"
#include "harness/command_line_parts.h"
#include "harness/commands.h"
#include "harness/exit_code.h"

namespace harness {
namespace {

const std::map<std::string, Scenario> kScenarios = {{"offline", Scenario::offline},
                                                    {"single", Scenario::single}};

// A flag that turns something off.
void add_off(CLI::App* sub, const char* name, bool& on, const char* about) {
  sub->add_flag_callback(
      name, [&on] { on = false; }, about);
}

const std::map<std::string, engine::GateNorm> kGateNorms = {
    {"model", engine::GateNorm::model},
    {"raw", engine::GateNorm::raw},
    {"renormalised", engine::GateNorm::renormalised},
    {"trained_mass", engine::GateNorm::trained_mass}};

// What run and sweep have in common.
void add_run_options(CLI::App* sub, RunSpec& s) {
  sub->add_option("-M,--model", s.model, "path (.gguf, or a Hugging Face folder) or catalog name")
      ->capture_default_str();
  sub->add_option(
         "-t,--tasks", s.tasks,
         "task names or task files, comma-separated; ood adds every shift of 60 samples of each")
      ->delimiter(',')
      ->required();
  add_data(sub, s.data, s.allow_unverified);
  sub->add_option("-f,--num-fewshot", s.num_fewshot, "demonstrations (default: the task's own)");
  sub->add_option("-L,--limit", s.limit, "only the first N samples of each subject");
  sub->add_option("--sample", s.sample, "only N samples of each task, drawn by --seed");
  sub->add_option("--seed", s.seed, "seed of sampling and of --sample")->capture_default_str();
  sub->add_option("--shift", s.shifts,
                  "ask samples in changed form too, as family:severity, comma-separated, or all "
                  "(moeval ls); recode: ReCode's HumanEval, recode.METHOD[:draw]")
      ->delimiter(',');
  sub->add_option("--shift-seed", s.shift_seed, "seed of the shifts")->capture_default_str();
  sub->add_option("--gadget", s.gadget_file,
                  "file of moeval gadget, for --shift gadget_up:S and gadget_down:S");
  sub->add_option("--shift-items", s.shift_items,
                  "only N samples of each task in changed form, drawn by --seed");
  sub->add_option("--max-new-tokens", s.max_new_tokens, "0 = the task's own")
      ->capture_default_str();
  sub->add_option("--gate-norm", s.gate_norm,
                  "weights of the experts when k is not the trained one: the model's rule, raw "
                  "softmax, divided by their sum, or scaled to what the trained k would sum to")
      ->transform(CLI::CheckedTransformer(kGateNorms).description(""))
      ->option_text("model|raw|renormalised|trained_mass");
  sub->add_flag("--router-margins", s.router_margins,
                "store how close the router's choice was, per attempt and layer");
  sub->add_option("--ranks", s.ranks,
                  "thread ranks that share the experts, one thread each; changes no result")
      ->capture_default_str();
  sub->add_option("--scenario", s.scenario,
                  "offline: all at once, throughput; single: one at a time, latency")
      ->transform(CLI::CheckedTransformer(kScenarios).description(""))
      ->option_text("offline|single");
  add_device(sub, s.device);
  add_db(sub, s.db);
  sub->add_flag("--new-run", s.new_run, "start afresh even if this run was begun or done before");
  sub->add_option("--resume", s.resume, "continue this run (uuid)");
  add_off(sub, "--no-text", s.store_text, "store hashes instead of prompt texts");
  sub->add_option("--threads", s.threads, "0 = one per core")->capture_default_str();
  sub->add_option("--streams", s.streams, "sequences that decode together")->capture_default_str();
  sub->add_option("--batch-rows", s.batch_rows,
                  "tokens of one prefill step; 0 = 512 on the CPU, 4096 on a GPU")
      ->capture_default_str();
  add_off(sub, "--no-prefix-reuse", s.reuse_prefix, "compute every prompt whole (slower)");
  sub->add_option("--sandbox-tier", s.sandbox_tier,
                  "0 best of 1 (root) and 2 (user namespaces); 3 without namespaces, on request "
                  "only")
      ->check(CLI::Range(0, 3))
      ->capture_default_str();
}

void add_run(CLI::App& app, RunOptions& o, Command& chosen) {
  auto* sub = add(app, "run", "Run tasks on a model; every query becomes a row",
                  "moeval run --model smollm2-135m --tasks mmlu_cloze,humaneval --sample 100");
  auto& s = o.spec;
  add_run_options(sub, s);
  sub->add_option("--policy", s.policy,
                  "experts per query: trained, fixed:K, top_p:P, table:FILE, ... (moeval ls)")
      ->capture_default_str();
  sub->add_option("--latency-cap", s.latency_cap_ms,
                  "lower a query's k until its predicted latency fits, ms");
  sub->add_option("--latency-coefficients", s.latency_file,
                  "measured ms per token at each k (JSON), for --latency-cap");
  sub->add_option("--num-samples", s.num_samples, "completions per problem, for pass@k")
      ->capture_default_str();
  sub->add_option("--temperature", s.temperature, "0 = greedy (default: the task's own)");
  sub->add_option("--top-p", s.top_p, "nucleus sampling (default: the task's own)");
  sub->add_flag("-n,--dry-run", o.dry_run,
                "show prompts, tokens, FLOPs, time and disk; run nothing");
  add_format(sub, o.format);
  sub->callback([&o, &chosen] { chosen = [&o] { return command_run(o); }; });
}

void add_sweep(CLI::App& app, SweepOptions& o, Command& chosen) {
  auto* sub = add(app, "sweep", "The same queries at every k: what each of them needs",
                  "moeval sweep --model M --tasks mmlu_cloze,humaneval --sample 200 --write-tables "
                  "results/tables");
  auto& s = o.spec;
  s.grid = {1, 2, 4, 8, 12, 16};
  add_run_options(sub, s);
  sub->add_option("--grid", s.grid, "budgets, comma-separated; beyond the model's most: clipped")
      ->delimiter(',')
      ->capture_default_str();
  sub->add_option("--ways", s.ways,
                  "ask a question in at most so many option orders or wordings (default: all)");
  add_off(sub, "--no-generate", s.generate,
          "score the reference solutions of generation tasks only");
  sub->add_option("--write-tables", o.tables,
                  "folder for oracle, shuffled, matched_random and length_only tables");
  sub->add_flag("--detach", o.detach, "go on in the background; prints the pid and the log's path");
  sub->add_flag("-n,--dry-run", o.dry_run,
                "show prompts, tokens, FLOPs, time and disk; run nothing");
  add_format(sub, o.format);
  sub->callback([&o, &chosen] { chosen = [&o] { return command_sweep(o); }; });
}

void add_leaderboard(CLI::App& app, LeaderboardOptions& o, Command& chosen) {
  auto* sub = add(app, "leaderboard", "Accuracy with intervals, compute and latency of the runs",
                  "moeval leaderboard --format md > board.md");
  add_db(sub, o.db);
  sub->add_option("-t,--tasks", o.tasks, "only these")->delimiter(',');
  sub->add_option("--run", o.run, "only this run (uuid or its beginning, or 'latest')");
  sub->add_flag("--all", o.all_runs, "also older runs of the same name");
  add_off(sub, "--no-sweeps", o.sweeps, "leave the rows of sweeps out");
  sub->add_flag("--subjects", o.subjects, "MMLU's categories (both maps) and subjects too");
  add_format(sub, o.format);
  sub->callback([&o, &chosen] { chosen = [&o] { return command_leaderboard(o); }; });
}

void add_store_commands(CLI::App& app, ExportOptions& e, VerifyOptions& v, RescoreOptions& r,
                        Command& chosen) {
  auto* sub = add(app, "export", "Write a run in another tool's format",
                  "moeval export --format lm-eval --output results/export");
  add_db(sub, e.db);
  sub->add_option("--run", e.run, "uuid or its beginning, or 'latest'")->capture_default_str();
  sub->add_option(
         "--format", e.format,
         "lm-eval: results_*.json and samples_*.jsonl; expert-load: CSV of the tokens per layer "
         "and expert")
      ->check(CLI::IsMember({"lm-eval", "expert-load"}))
      ->capture_default_str();
  sub->add_option("-o,--output", e.output, "folder; of expert-load: file, - for stdout")
      ->capture_default_str();
  sub->callback([&] { chosen = [&] { return command_export(e); }; });

  sub = add(app, "verify", "Recompute every checksum; compare what was planned with what is there",
            "moeval verify --db results/moeval.db");
  add_db(sub, v.db);
  sub->add_option("--run", v.run, "uuid or its beginning, or 'latest' (default: all)");
  sub->add_flag("--migrate", v.migrate,
                "first bring a file of a former version up to date; a copy of it stays beside");
  add_format(sub, v.format);
  sub->callback([&] { chosen = [&] { return command_verify(v); }; });

  sub = add(app, "rescore", "Mark stored answers again without running the model",
            "moeval rescore --run latest");
  add_db(sub, r.db);
  sub->add_option("--run", r.run, "uuid or its beginning, or 'latest'")->capture_default_str();
  add_data(sub, r.data, r.allow_unverified);
  sub->add_option("--sandbox-tier", r.sandbox_tier, "as in run")->check(CLI::Range(0, 3));
  add_format(sub, r.format);
  sub->callback([&] { chosen = [&] { return command_rescore(r); }; });
}

void add_perplexity(CLI::App& app, PerplexityOptions& o, Command& chosen) {
  auto* sub = add(app, "perplexity", "Perplexity of a text at every k, and the distance to a model",
                  "moeval perplexity --model nested --reference smollm2-135m --file text.txt "
                  "--grid 1,4,16");
  sub->add_option("-M,--model", o.model, "path or catalog name")->capture_default_str();
  sub->add_option("--file", o.file, "text, UTF-8")->required();
  sub->add_option("--reference", o.reference,
                  "model of the same vocabulary, at its trained k: KL and agreement are reported");
  sub->add_option("--grid", o.grid, "budgets, comma-separated (default: the trained k)")
      ->delimiter(',');
  sub->add_option("--tokens", o.tokens, "only the first N; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  sub->add_option("--context", o.context, "tokens of a window; windows do not see each other")
      ->capture_default_str();
  sub->add_option("--gate-norm", o.gate_norm,
                  "weights of the experts when k is not the trained one")
      ->transform(CLI::CheckedTransformer(kGateNorms).description(""))
      ->option_text("model|raw|renormalised|trained_mass");
  add_device(sub, o.device);
  sub->add_option("--threads", o.threads, "0 = one per core");
  add_format(sub, o.format);
  sub->callback([&] { chosen = [&o] { return command_perplexity(o); }; });
}

void add_inspect(CLI::App& app, InspectOptions& o, Command& chosen) {
  auto* sub = add(app, "inspect", "Logits, tokens or tensors of a model as JSON",
                  "moeval inspect logits --model smollm2-135m --text 'The capital of France is'");
  sub->require_subcommand(1);
  const auto one = [&](const char* what, const char* about, bool prompt) {
    auto* s = sub->add_subcommand(what, about);
    s->add_option("-M,--model", o.model, "path or catalog name")->capture_default_str();
    if (prompt) {
      auto* text = s->add_option("--text", o.text, "prompt");
      s->add_option("--ids", o.ids, "token ids instead, comma-separated")
          ->delimiter(',')
          ->excludes(text);
      add_off(s, "--no-bos", o.bos, "leave the beginning-of-sequence token out");
      s->add_flag("--special", o.special, "special tokens in the text count as such");
    }
    if (std::string(what) == "logits") {
      s->add_option("--top", o.top,
                    "the largest of the last position; 0 = every one of each position")
          ->capture_default_str();
      s->add_option("-k,--k", o.k, "experts a token and layer (default: the trained k)");
      add_device(s, o.device);
      s->add_option("--threads", o.threads, "0 = one per core");
    }
    s->callback([&o, &chosen, what] {
      o.what = what;
      chosen = [&o] { return command_inspect(o); };
    });
  };
  one("logits", "Logits of a prompt", true);
  one("tokens", "Token ids and bytes of a text", true);
  one("tensors", "Names, types, shapes and architecture", false);
}

void add_tasks(CLI::App& app, LsOptions& ls, TaskShowOptions& show, Command& chosen) {
  auto* sub = add(app, "ls", "What exists: tasks, data, models, policies", "moeval ls");
  sub->add_option("--data", ls.data, "folder of official data");
  add_format(sub, ls.format);
  sub->callback([&] { chosen = [&] { return command_ls(ls); }; });

  auto* task = add(app, "task", "Look into a task", "moeval task show mmlu --doc 3");
  task->require_subcommand(1);
  sub = add(*task, "show", "The exact bytes of one prompt, and its token ids",
            "moeval task show mmlu --doc 3");
  sub->add_option("task", show.task, "task name or file")->required();
  sub->add_option("--doc", show.doc, "index of the sample")->capture_default_str();
  sub->add_option("-M,--model", show.model, "whose tokenizer (default: the default model's)");
  sub->add_option("-f,--num-fewshot", show.num_fewshot, "demonstrations");
  sub->add_option("--shift", show.shift, "the sample in changed form: family:severity");
  sub->add_option("--shift-seed", show.shift_seed, "seed of the shift")->capture_default_str();
  sub->add_option("--gadget", show.gadget_file, "file of moeval gadget, for --shift gadget_up:S");
  add_data(sub, show.data, show.allow_unverified);
  add_format(sub, show.format);
  sub->callback([&] { chosen = [&] { return command_task_show(show); }; });
}

void add_convert(CLI::App& app, ConvertOptions& o, Command& chosen) {
  namespace c = engine::convert;
  static const std::map<std::string, c::Partition> kPartitions = {
      {"coactivation", c::Partition::coactivation},
      {"parameters", c::Partition::parameters},
      {"random", c::Partition::random},
      {"importance", c::Partition::importance}};
  static const std::map<std::string, c::RouterFit> kRouters = {
      {"ridge", c::RouterFit::ridge},
      {"cmoe", c::RouterFit::cmoe},
      {"gate_first", c::RouterFit::gate_first},
      {"exact_norm", c::RouterFit::exact_norm},
      {"static", c::RouterFit::static_order}};
  static const std::map<std::string, kernels::Dtype> kTypes = {{"f32", kernels::Dtype::f32},
                                                               {"f16", kernels::Dtype::f16}};
  auto* sub = add(app, "convert", "Turn a dense llama or qwen checkpoint into adaptive experts",
                  "moeval convert smollm2-135m --out nested --calibration my_text.txt");
  sub->add_option("model", o.model, "the dense parent: path or catalog name")
      ->capture_default_str();
  sub->add_option("-o,--out", o.out, "folder to make; work in progress is in OUT.partial")
      ->required();
  sub->add_option("--calibration", o.calibration,
                  "text files that the experts are fitted to (default: a small built-in text)");
  sub->add_option("--calibration-tokens", o.calibration_tokens,
                  "an even sample of at most so many tokens; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  sub->add_option("--experts", o.options.n_experts, "experts a layer, shared ones included")
      ->capture_default_str();
  sub->add_option("--shared", o.options.n_shared, "experts that are always on")
      ->capture_default_str();
  sub->add_option("--partition", o.options.partition, "how neurons come together")
      ->transform(CLI::CheckedTransformer(kPartitions).description(""))
      ->option_text("coactivation|parameters|random|importance");
  sub->add_option(
         "--router", o.options.router,
         "how a token's experts are chosen; gate_first runs the gates of all of them, a third of "
         "the block; exact_norm runs all of them, a diagnostic; "
         "static: always the same order, with --partition importance a static mask")
      ->transform(CLI::CheckedTransformer(kRouters).description(""))
      ->option_text("ridge|cmoe|gate_first|exact_norm|static");
  add_off(sub, "--no-compensation", o.options.compensate,
          "an expert left out is not replaced by its mean output");
  sub->add_option("--dtype", o.options.dtype, "type of the matrices written")
      ->transform(CLI::CheckedTransformer(kTypes).description(""))
      ->option_text("f32|f16");
  sub->add_option("--seed", o.options.seed, "seed of the clustering")->capture_default_str();
  sub->add_option("--threads", o.threads, "0 = one per core; changes no byte");
  add_format(sub, o.format);
  sub->callback([&] { chosen = [&] { return command_convert(o); }; });
}

void add_machine(CLI::App& app, PullOptions& pull, DoctorOptions& doctor, Command& chosen) {
  auto* sub = add(app, "pull", "Fetch models and data sets, pinned by sha256 (no name: list)",
                  "moeval pull smollm2-135m");
  sub->add_option("name", pull.names, "what to fetch");
  sub->add_flag("--all", pull.all, "everything");
  sub->add_flag("--verify", pull.verify, "hash what is there, fetch nothing");
  add_format(sub, pull.format);
  sub->callback([&] { chosen = [&] { return command_pull(pull); }; });

  sub = add(app, "doctor", "What this machine can do, and what is missing", "moeval doctor");
  add_format(sub, doctor.format);
  sub->callback([&] { chosen = [&] { return command_doctor(doctor); }; });
}

}  // namespace

int run_command_line(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // `moeval ... | head` must not lose a run
  CLI::App app("moeval: did the model spend its compute where it was needed?", "moeval");
  app.set_version_flag("--version", fmt::format("moeval {} {}", build::kVersion, build::kGitSha));
  app.require_subcommand(1);
  app.footer("Start with: moeval doctor, moeval ls\n\n" + exit_code_help());
  RunOptions run;
  SweepOptions sweep;
  LeaderboardOptions leaderboard;
  ExportOptions export_options;
  VerifyOptions verify;
  RescoreOptions rescore;
  CompareOptions compare;
  AuditOptions audit;
  GateOptions gate;
  InspectOptions inspect;
  PerplexityOptions perplexity;
  BenchOptions bench;
  LsOptions ls;
  TaskShowOptions show;
  PullOptions pull;
  ConvertOptions convert;
  DoctorOptions doctor;
  TrainOptions train;
  PredictOptions predict;
  GadgetOptions gadget;
  Command chosen;
  add_run(app, run, chosen);
  add_sweep(app, sweep, chosen);
  add_training(app, train, predict, gadget, chosen);
  add_leaderboard(app, leaderboard, chosen);
  add_store_commands(app, export_options, verify, rescore, chosen);
  add_comparisons(app, compare, gate, audit, chosen);
  add_tasks(app, ls, show, chosen);
  add_inspect(app, inspect, chosen);
  add_perplexity(app, perplexity, chosen);
  add_speed(app, bench, chosen);
  add_convert(app, convert, chosen);
  add_machine(app, pull, doctor, chosen);
  run.spec.argv.assign(argv, argv + argc);
  sweep.spec.argv = run.spec.argv;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? kOk : kUsage;
  }
  try {
    const int code = chosen();
    if (std::fflush(stdout) != 0 && errno != EPIPE) {
      fmt::print(stderr, "moeval: standard output: {}\n", std::strerror(errno));
      return kIncomplete;
    }
    return code;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "moeval: out of memory\n");
    return kIncomplete;
  } catch (const std::exception& e) {
    fmt::print(stderr, "moeval: {}\n", e.what());
    return exit_code_of(e);
  }
}

}  // namespace harness
