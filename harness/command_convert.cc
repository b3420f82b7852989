#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/convert/convert.h"
#include "engine/tokenizer.h"
#include "harness/calibration_text.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/interrupt.h"
#include "harness/places.h"
#include "harness/progress.h"
#include "harness/run_plan.h"
#include "kernels/thread_pool.h"

namespace harness {
namespace {

namespace convert = engine::convert;

std::vector<convert::Window> windows_of(const CalibrationText& text,
                                        const engine::Tokenizer& tokenizer, int64_t length,
                                        int64_t tokens) {
  std::vector<std::vector<engine::TokenId>> documents;
  for (const auto& d : text.documents) documents.push_back(tokenizer.encode(d, true, false));
  return convert::sample_windows(convert::cut_windows(documents, length), tokens);
}

}  // namespace

int command_convert(const ConvertOptions& o) {
  const InterruptGuard interrupt;
  const auto path = resolve_model(o.model);
  const auto parent = engine::Checkpoint::open(path);
  convert::check_options(o.options, parent->config(), parent->config().moe.d_shared, path.string());
  const auto tokenizer = engine::Tokenizer::load(path);
  const CalibrationText text =
      o.calibration.empty() ? default_calibration() : calibration_files(o.calibration);
  const int64_t window = std::min(o.options.window, parent->config().max_tokens);
  convert::Job job{.parent = *parent,
                   .parent_sha256 = weights_sha256(*parent),
                   .windows = windows_of(text, *tokenizer, window, o.calibration_tokens),
                   .calibration = text.name,
                   .calibration_sha256 = text.sha256,
                   .options = o.options,
                   .out = o.out,
                   .tokenizer = path,
                   .threads = o.threads > 0 ? o.threads : kernels::usable_cores()};
  const int64_t tokens = convert::count_tokens(job.windows);
  std::optional<Progress> progress;
  int32_t last = 0;
  const auto on_progress = [&](int32_t done, int32_t all, const std::string& note) {
    if (!progress) {
      fmt::print(stderr, "{}: {} layers, {} calibration tokens ({}){}\n", model_label(o.model), all,
                 tokens, text.name,
                 done > 0 ? fmt::format("; {} layers done before", done) : std::string());
      progress.emplace("convert", all, done);
      last = done;
    }
    progress->step(done - last, note);
    last = done;
  };
  const convert::Outcome outcome = convert::convert(job, on_progress, interrupt.flag());
  progress.reset();
  if (!outcome.finished) {
    fmt::print(stderr, "interrupted; the same command goes on from {}.partial\n", o.out);
    return interrupt.exit_code();
  }
  const bool fitted = o.options.router == convert::RouterFit::ridge;
  if (o.format == Format::json) {
    nlohmann::ordered_json j{{"out", o.out},
                             {"parent", path.string()},
                             {"experts", o.options.n_experts},
                             {"shared", o.options.n_shared},
                             {"partition", convert::partition_name(o.options.partition)},
                             {"router", convert::router_fit_name(o.options.router)},
                             {"compensation", o.options.compensate},
                             {"calibration_tokens", tokens},
                             {"shared_importance", outcome.shared_importance},
                             {"router_explained", nullptr}};
    if (fitted) j["router_explained"] = outcome.router_explained;
    fmt::print("{}\n", j.dump(2));
  } else {
    fmt::print("{}: {} experts a layer ({} shared), {} / {}{}\n", o.out, o.options.n_experts,
               o.options.n_shared, convert::partition_name(o.options.partition),
               convert::router_fit_name(o.options.router),
               o.options.compensate ? "" : ", no compensation");
    fmt::print(
        "shared experts hold {:.1f} % of the importance{}\n", 100 * outcome.shared_importance,
        fitted ? fmt::format("; the router explains {:.1f} % of the variance it is fitted to",
                             100 * outcome.router_explained)
               : std::string());
  }
  return kOk;
}

}  // namespace harness
