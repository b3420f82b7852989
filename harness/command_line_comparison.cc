#include <CLI/CLI.hpp>

#include "harness/command_line_parts.h"

namespace harness {
namespace {

void add_audit(CLI::App& app, AuditOptions& a, Command& chosen) {
  auto* sub = add(app, "audit", "Did the compute go where it was needed?",
                  "moeval audit --run latest --sweep latest~1");
  sub->add_option(
         "--run", a.run,
         "the policy's run: uuid or its beginning, 'latest'; RUN@POLICY of one with several")
      ->capture_default_str();
  sub->add_option("--sweep", a.sweep,
                  "run that tells the need (default: newest complete sweep of the same weights)");
  add_db(sub, a.db);
  sub->add_option("--lambda", a.lambda, "accuracy that the full FLOPs of a question are worth")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  sub->add_option("--worst", a.max_worst, "queries listed for each task, under and over")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  sub->add_option(
      "--refusal-filter", a.refusal_filter,
      "JSON file {\"name\": \"mine\", \"phrases\": [\"build a bomb\"]}: what harmful and "
      "harmless prompts would cost if those with such words were turned away");
  add_data(sub, a.data, a.allow_unverified);
  add_format(sub, a.format);
  sub->callback([&] { chosen = [&] { return command_audit(a); }; });
}

void add_compare_and_gate(CLI::App& app, CompareOptions& c, GateOptions& g, Command& chosen) {
  auto* sub = add(app, "compare", "Two runs, question by question: scores, flips, experts, FLOPs",
                  "moeval compare latest~1 latest");
  sub->add_option("A", c.run_a,
                  "uuid or its beginning, 'latest', 'latest~1'; RUN@POLICY of a run with several")
      ->required();
  sub->add_option("B", c.run_b, "the other run; differences are B - A")->required();
  add_db(sub, c.db);
  sub->add_option("--db-b", c.db_b, "SQLite file of B (default: --db)");
  sub->add_option("--max-flips", c.max_flips, "how many changed answers are listed a task")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_format(sub, c.format);
  sub->callback([&] { chosen = [&] { return command_compare(c); }; });

  sub = add(app, "gate", "Is a run good enough beside a baseline? Says so by its exit code",
            "moeval gate --baseline latest~1 --candidate latest --policy gate.json");
  sub->add_option("--candidate", g.candidate, "RUN or RUN@POLICY, as in compare");
  sub->add_option("--baseline", g.baseline, "RUN or RUN@POLICY");
  sub->add_option("--policy", g.policy, "policy file, JSON (default: the built-in one)");
  sub->add_flag("--print-policy", g.print_policy, "print the policy with every default filled in");
  add_db(sub, g.db);
  sub->add_option("--baseline-db", g.baseline_db, "SQLite file of the baseline (default: --db)");
  add_format(sub, g.format);
  sub->callback([&] { chosen = [&] { return command_gate(g); }; });
}

}  // namespace

void add_comparisons(CLI::App& app, CompareOptions& c, GateOptions& g, AuditOptions& a,
                     Command& chosen) {
  add_compare_and_gate(app, c, g, chosen);
  add_audit(app, a, chosen);
}

}  // namespace harness
