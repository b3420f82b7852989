#include <CLI/CLI.hpp>
#include <map>

#include "harness/command_line_parts.h"

namespace harness {
namespace {

using engine::train::Head;
using engine::train::Objective;

const std::map<std::string, Objective> kObjectives = {{"success", Objective::success},
                                                      {"policy", Objective::policy},
                                                      {"reinforce", Objective::reinforce}};
const std::map<std::string, Head> kHeads = {{"ordinal", Head::ordinal}, {"free", Head::free}};

void add_train(CLI::App& app, TrainOptions& o, Command& chosen) {
  auto* sub = add(app, "train", "A predictor of what each question needs, from a sweep",
                  "moeval train --out predictor.safetensors --target-cost 0.6");
  sub->add_option("--sweep", o.sweep,
                  "run to learn from: uuid or its beginning, or 'latest' (default: newest sweep)");
  add_db(sub, o.db);
  sub->add_flag("--online", o.online,
                "without a sweep: the engine answers each question of --tasks at the k that the "
                "policy draws, and only that is learned from (REINFORCE)");
  sub->add_option("-t,--tasks", o.online_tasks, "of --online, comma-separated")->delimiter(',');
  sub->add_option("-f,--num-fewshot", o.num_fewshot, "of --online (default: the task's own)");
  sub->add_option("-L,--limit", o.limit, "of --online: only the first N samples of each subject")
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--sample", o.sample, "of --online: only N samples of each task, by --seed")
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--grid", o.grid, "of --online: budgets (default: every k of the model)")
      ->delimiter(',');
  sub->add_option("--held-out", o.held_out,
                  "of --online: share of the questions that only judge the result, at every k")
      ->capture_default_str();
  sub->add_option("--train-routers", o.router_out,
                  "of --online: the model's layer routers learn too, from the same answers; writes "
                  "the model with them to this folder, and --out is of that model");
  sub->add_option("--router-rate", o.router_rate,
                  "of --train-routers: how fast they learn (default: 1)")
      ->check(CLI::PositiveNumber);
  sub->add_option("-M,--model", o.model, "path or catalog name (default: the sweep's)");
  add_data(sub, o.data, o.allow_unverified);
  sub->add_option("-o,--out", o.out, "file to write, for run --policy predictor:FILE")
      ->capture_default_str();
  sub->add_option("--objective", o.objective,
                  "success: p_k, then argmax p_k - lambda FLOPs; policy: policy gradient of "
                  "accuracy - lambda FLOPs over every k; reinforce: the same from drawn k only")
      ->transform(CLI::CheckedTransformer(kObjectives).description(""))
      ->option_text("success|policy|reinforce");
  sub->add_option("--head", o.head, "p_k that grows with k, or any")
      ->transform(CLI::CheckedTransformer(kHeads).description(""))
      ->option_text("ordinal|free");
  sub->add_option("--lambda", o.lambda,
                  "accuracy that the full FLOPs of a question are worth (default: 0.1)");
  sub->add_option("--target-cost", o.target_cost,
                  "find lambda for this mean share of the full FLOPs instead");
  sub->add_flag("--curve", o.curve, "also the policy at ten lambdas of 0.003 to 3");
  sub->add_flag("--ood", o.ood,
                "also: how well the sweep's shifted questions are recognised as out of "
                "distribution, and what fallbacks for them are worth at equal FLOPs");
  sub->add_option(
      "--fallback", o.fallback,
      "DETECTOR:FALLBACK for questions that are more unlike those of the sweep than 95% "
      "of these, which none of them was trained on, are: mahalanobis or nearest; full "
      "(the largest k), fixed (the one best k), shrink (towards the mean p_k), cap (at "
      "most the one best k)");
  sub->add_option("--mu", o.mu, "price of lateness: predicted time beyond --latency-cap, in caps")
      ->capture_default_str();
  sub->add_option("--latency-cap", o.latency_cap_ms, "ms, for --mu");
  sub->add_option("--latency-coefficients", o.latency_file, "as in run, for --mu");
  sub->add_option("--entropy", o.entropy, "weight of the entropy bonus (default: 0.01)")
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--hidden", o.hidden, "widths of the hidden layers, comma-separated; 0 = none")
      ->delimiter(',')
      ->capture_default_str();
  sub->add_option("--folds", o.folds, "for cross-fitting by seed item")->capture_default_str();
  sub->add_option("--epochs", o.epochs,
                  "at most (default: 300); training stops early. --online: passes over the "
                  "questions, all of them (default: 60)")
      ->check(CLI::PositiveNumber);
  sub->add_option("--seed", o.seed, "of folds, weights, order and draws")->capture_default_str();
  sub->add_option("--write-tables", o.tables,
                  "folder for the cross-fitted decisions, for run --policy table:FILE");
  add_device(sub, o.device);
  sub->add_option("--threads", o.threads, "0 = one per core; changes no byte");
  add_format(sub, o.format);
  sub->callback([&] { chosen = [&] { return command_train(o); }; });
}

void add_predict(CLI::App& app, PredictOptions& o, Command& chosen) {
  auto* sub = add(app, "predict", "What a predictor says of questions, one a line",
                  "moeval predict --predictor predictor.safetensors --model M --file q.txt");
  sub->add_option("--predictor", o.predictor, "file that train wrote")->required();
  sub->add_option("-M,--model", o.model, "path or catalog name")->capture_default_str();
  sub->add_option("--file", o.file, "text, one question a line; - = stdin")->capture_default_str();
  sub->add_option("--target", o.target, "P(right) from which a k is enough")->capture_default_str();
  add_format(sub, o.format);
  sub->callback([&] { chosen = [&] { return command_predict(o); }; });
}

void add_gadget(CLI::App& app, GadgetOptions& o, Command& chosen) {
  auto* sub = add(app, "gadget", "Find text that makes a predictor spend more, or less",
                  "moeval gadget --predictor predictor.safetensors --model M --tasks mmlu_cloze");
  sub->add_option("--predictor", o.predictor, "file that train wrote")->required();
  sub->add_option("-M,--model", o.model, "path or catalog name")->capture_default_str();
  sub->add_option("-t,--tasks", o.tasks, "where the questions come from, comma-separated")
      ->delimiter(',')
      ->capture_default_str();
  add_data(sub, o.data, o.allow_unverified);
  sub->add_option("--questions", o.questions,
                  "of each task to search on, drawn by --seed; as many others to judge by")
      ->capture_default_str();
  sub->add_option("--candidates", o.search.candidates, "tokens tried at each place")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--rounds", o.search.rounds, "over all places")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--seed", o.search.seed, "of questions and candidates")->capture_default_str();
  sub->add_option("-o,--out", o.out, "file to write, for --shift gadget_up:S --gadget FILE")
      ->capture_default_str();
  add_format(sub, o.format);
  sub->callback([&] { chosen = [&] { return command_gadget(o); }; });
}

}  // namespace

void add_training(CLI::App& app, TrainOptions& t, PredictOptions& p, GadgetOptions& g,
                  Command& chosen) {
  add_train(app, t, chosen);
  add_predict(app, p, chosen);
  add_gadget(app, g, chosen);
}

}  // namespace harness
