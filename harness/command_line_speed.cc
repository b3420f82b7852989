#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <map>

#include "engine/random_checkpoint.h"
#include "harness/command_line_parts.h"

namespace harness {

void add_speed(CLI::App& app, BenchOptions& o, Command& chosen) {
  std::map<std::string, kernels::Dtype> types;
  std::string type_names;
  for (const auto t : engine::random_dtypes()) {
    types.emplace(kernels::dtype_name(t), t);
    type_names += (type_names.empty() ? "" : "|") + std::string(kernels::dtype_name(t));
  }
  auto* sub = add(app, "bench", "How fast a model runs, beside what the machine can do",
                  "moeval bench --shape olmoe:4 --dtype q8_0 --grid 2,8 --only prefill,decode");
  auto* model =
      sub->add_option("-M,--model", o.model, "path or catalog name")->capture_default_str();
  sub->add_option(
         "--shape", o.shape,
         fmt::format("random weights of a published shape instead, NAME or NAME:LAYERS: {}",
                     fmt::join(engine::shape_names(), ", ")))
      ->excludes(model);
  sub->add_option("--dtype", o.dtype, "type of the random weights (default: f16)")
      ->transform(CLI::CheckedTransformer(types).description(""))
      ->option_text(type_names);
  sub->add_option("--grid", o.settings.grid,
                  "budgets, comma-separated; beyond the model's most: clipped")
      ->delimiter(',')
      ->capture_default_str();
  sub->add_option("--only", o.settings.only,
                  fmt::format("some of {}, comma-separated", fmt::join(bench_case_names(), ", ")))
      ->delimiter(',');
  sub->add_option("--prompt", o.settings.prompt_tokens, "tokens of a prefill")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--new-tokens", o.settings.new_tokens, "tokens that a stream decodes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--streams", o.settings.streams, "sequences that decode together")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  sub->add_option("--mmlu-questions", o.settings.mmlu_questions,
                  "of case mmlu; 14042 is all of it, in 57 subjects")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  sub->add_option("--rounds", o.settings.rounds, "every round times each case once")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_device(sub, o.device);
  sub->add_option("--batch-rows", o.batch_rows,
                  "tokens of one prefill step; 0 = 512 on the CPU, 4096 on a GPU")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  sub->add_option("--threads", o.threads, "0 = one per core");
  add_format(sub, o.format);
  sub->callback([&] { chosen = [&] { return command_bench(o); }; });
}

}  // namespace harness
