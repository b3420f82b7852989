#include "engine/convert/convert.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/convert/durable_file.h"
#include "engine/convert/nested_writer.h"
#include "engine/convert/plan_layer.h"
#include "engine/convert/ridge.h"
#include "engine/convert/workspace.h"
#include "engine/model_file_error.h"

namespace engine::convert {
namespace {

// Changes when the same job gives other bytes.
constexpr int kAlgorithm = 1;

using Facts = std::vector<std::pair<std::string, std::string>>;

// All that the result depends on.
Facts facts_of(const Job& job) {
  const Options& o = job.options;
  return {{"algorithm", std::to_string(kAlgorithm)},
          {"parent_sha256", job.parent_sha256},
          {"calibration_sha256", job.calibration_sha256},
          {"calibration_tokens", std::to_string(count_tokens(job.windows))},
          {"window", std::to_string(o.window)},
          {"experts", std::to_string(o.n_experts)},
          {"shared", std::to_string(o.n_shared)},
          {"partition", partition_name(o.partition)},
          {"router", router_fit_name(o.router)},
          {"representatives", std::to_string(o.representatives_read())},
          {"compensation", o.compensate ? "yes" : "no"},
          {"active", std::to_string(o.active)},
          {"marker_rows", std::to_string(o.marker_rows)},
          {"ridge_lambda", fmt::format("{}", o.ridge_lambda)},
          {"seed", std::to_string(o.seed)}};
}

// Of what the plans depend on; the type of the weights is chosen when they are written.
std::string fingerprint(const Job& job) {
  std::string text;
  for (const auto& [key, value] : facts_of(job)) text += fmt::format("{} {}\n", key, value);
  return text;
}

void write_record(const Job& job, const std::vector<LayerPlan>& plans,
                  const std::filesystem::path& path) {
  nlohmann::ordered_json record;
  record["parent"] = job.parent.path().filename().string();
  record["parent_family"] = job.parent.config().family;
  record["calibration"] = job.calibration;
  for (const auto& [key, value] : facts_of(job)) record[key] = value;
  record["dtype"] = kernels::dtype_name(job.options.dtype);
  auto& layers = record["layers"] = nlohmann::ordered_json::array();
  for (const LayerPlan& p : plans) {
    nlohmann::ordered_json layer = {{"shared_importance", p.shared_importance}};
    layer["router_explained"] = p.mix.empty() || job.options.router != RouterFit::ridge
                                    ? nlohmann::ordered_json()
                                    : nlohmann::ordered_json(p.router_explained);
    layers.push_back(std::move(layer));
  }
  const std::string text =
      record.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  DurableFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

bool fits(const LayerPlan& p, int64_t width) {
  return static_cast<int64_t>(p.order.size()) == width;
}

// Plans of all layers; fewer when `stop` came true.
std::vector<LayerPlan> plan_layers(const Job& job, const Workspace& work,
                                   const OnProgress& progress, const std::atomic<bool>& stop,
                                   int32_t* resumed) {
  const ModelConfig& config = job.parent.config();
  const int32_t n = config.n_layers;
  std::vector<LayerPlan> plans;
  while (static_cast<int32_t>(plans.size()) < n) {
    auto plan = load_plan(work.plan(static_cast<int32_t>(plans.size())));
    if (!plan || !fits(*plan, config.moe.d_shared)) break;
    plans.push_back(std::move(*plan));
  }
  *resumed = static_cast<int32_t>(plans.size());
  if (*resumed == n) return plans;
  kernels::ThreadPool pool(job.threads);
  progress(*resumed, n, "loading");
  const Weights weights = load_weights(job.parent, pool);
  Calibration calibration(config, weights, job.windows, pool);
  for (int32_t layer = 0; layer < n; ++layer) {
    progress(static_cast<int32_t>(plans.size()), n, fmt::format("layer {}: running", layer));
    if (!calibration.advance(stop)) return plans;
    if (layer < *resumed) continue;
    progress(layer, n, fmt::format("layer {}: experts", layer));
    try {
      plans.push_back(plan_layer(weights.layers[layer].experts.front(), calibration.ffn_inputs(),
                                 calibration.n_tokens(), layer, job.options, pool, Stop(stop)));
    } catch (const Stopped&) {
      return plans;
    } catch (const NoFit& e) {
      throw ModelFileError(
          fmt::format("{}: layer {}: no router can be fitted to {} calibration tokens of {} with a "
                      "lambda of {}: {}",
                      job.parent.path().string(), layer, calibration.n_tokens(), job.calibration,
                      job.options.ridge_lambda, e.what()));
    }
    save_plan(work.plan(layer), plans.back());
  }
  return plans;
}

}  // namespace

int64_t least_tokens(const ModelConfig& config, const Options& o) {
  return 2 * (config.d_model + int64_t{o.n_routed()} * o.representatives_read());
}

Outcome convert(const Job& job, const OnProgress& progress, const std::atomic<bool>& stop) {
  const ModelConfig& config = job.parent.config();
  check_options(job.options, config, config.moe.d_shared, job.parent.path().string());
  const int64_t least = least_tokens(config, job.options), tokens = count_tokens(job.windows);
  if (tokens < least) {
    throw ModelFileError(fmt::format("{}: {} calibration tokens, this model needs {} at least",
                                     job.calibration, tokens, least));
  }
  Workspace work(job.out, fingerprint(job));
  Outcome outcome;
  const std::vector<LayerPlan> plans =
      plan_layers(job, work, progress, stop, &outcome.layers_resumed);
  if (static_cast<int32_t>(plans.size()) < config.n_layers) return outcome;
  progress(config.n_layers, config.n_layers, "writing");
  for (const LayerPlan& p : plans) {
    outcome.shared_importance += p.shared_importance / config.n_layers;
    outcome.router_explained += p.router_explained / config.n_layers;
  }
  if (!write_weights(job.parent, job.options, plans, work.folder() / "model.safetensors", stop)) {
    return outcome;
  }
  write_config(nested_config(job.parent, job.options), work.folder() / "config.json");
  write_record(job, plans, work.folder() / "conversion.json");
  if (!job.tokenizer.empty()) write_tokenizer(job.tokenizer, work.folder());
  work.finish();
  outcome.finished = true;
  return outcome;
}

}  // namespace engine::convert
