#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "datasets/data_error.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/interrupt.h"
#include "harness/perplexity.h"
#include "harness/places.h"
#include "harness/progress.h"
#include "harness/run_plan.h"
#include "harness/text_table.h"

namespace harness {
namespace {

using nlohmann::json;

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  std::error_code ignored;
  if (!in || std::filesystem::is_directory(path, ignored))
    throw datasets::DataError(fmt::format("{}: cannot be read as text", path));
  return text.str();
}

std::vector<engine::TokenId> tokens_of(const PerplexityOptions& o, const LoadedModel& model) {
  auto tokens = model.tokenizer->encode(read_text(o.file), false, false);
  if (o.tokens > 0 && static_cast<int64_t>(tokens.size()) > o.tokens)
    tokens.resize(static_cast<size_t>(o.tokens));
  if (tokens.size() < 2)
    throw UsageError(fmt::format("--file {}: {} tokens, want at least 2", o.file, tokens.size()));
  return tokens;
}

std::string with_interval(const BudgetPerplexity::Mean& m) {
  return m.half_width ? fmt::format("{:.4f} ± {:.4f}", m.value, *m.half_width)
                      : fmt::format("{:.4f} (n/a)", m.value);
}

json mean_json(const BudgetPerplexity::Mean& m) {
  return {{"mean", m.value}, {"half_width_95", m.half_width ? json(*m.half_width) : json(nullptr)}};
}

std::string render(const PerplexityOptions& o, const std::string& device,
                   const std::vector<BudgetPerplexity>& all) {
  const bool reference = !o.reference.empty();
  if (o.format == Format::json) {
    json rows = json::array();
    for (const auto& p : all) {
      json row{{"k", p.k},
               {"tokens", p.tokens()},
               {"windows", p.windows.size()},
               {"nll_nats", mean_json(p.nll())},
               {"perplexity", std::exp(p.nll().value)},
               {"flops", p.flops},
               {"seconds", p.seconds}};
      if (reference) {
        row["kl_nats"] = mean_json(p.kl());
        row["same_best"] = p.same_best();
      }
      rows.push_back(std::move(row));
    }
    return json{{"model", o.model}, {"reference", reference ? json(o.reference) : json(nullptr)},
                {"file", o.file},   {"context", o.context},
                {"device", device}, {"by_k", rows}}
               .dump(1) +
           "\n";
  }
  std::vector<TextTable::Column> columns{
      {"k", Align::right},          {"tokens", Align::right},      {"NLL/token", Align::right},
      {"perplexity", Align::right}, {"FLOPs/token", Align::right}, {"tokens/s", Align::right}};
  if (reference) {
    columns.push_back({"KL/token", Align::right});
    columns.push_back({"same top-1", Align::right});
  }
  TextTable table(columns);
  for (const auto& p : all) {
    const auto n = static_cast<double>(p.tokens() + static_cast<int64_t>(p.windows.size()));
    std::vector<std::string> cells{fmt::format("{}", p.k),
                                   fmt::format("{}", p.tokens()),
                                   with_interval(p.nll()),
                                   fmt::format("{:.3f}", std::exp(p.nll().value)),
                                   si(static_cast<double>(p.flops) / n),
                                   fmt::format("{:.0f}", n / p.seconds)};
    if (reference) {
      cells.push_back(with_interval(p.kl()));
      cells.push_back(fmt::format("{:.1f}%", 100 * p.same_best()));
    }
    table.add(std::move(cells));
  }
  const std::string note = fmt::format("\nNats; ± is 95%, clustered on windows of {} tokens.{}\n",
                                       o.context, reference ? " KL(reference || model)." : "");
  return (o.format == Format::markdown ? table.markdown() : table.terminal()) + note;
}

}  // namespace

int command_perplexity(const PerplexityOptions& o) {
  RunSpec spec;
  spec.model = o.model;
  spec.threads = o.threads;
  spec.device = o.device;
  spec.gate_norm = o.gate_norm;
  const InterruptGuard interrupt;
  for (size_t i = 0; i < o.grid.size(); ++i)
    if (o.grid[i] < 1 || o.grid[i] > engine::kMaxBudget || (i > 0 && o.grid[i] <= o.grid[i - 1]))
      throw UsageError(fmt::format("--grid {}: want rising budgets of 1 to {}",
                                   fmt::join(o.grid, ","), engine::kMaxBudget));
  const LoadedModel model = load_model(spec);
  const auto tokens = tokens_of(o, model);
  const auto& config = model.engine->config();
  if (o.context < 2 || o.context > model.engine->max_tokens())
    throw UsageError(fmt::format("--context {}: want 2 to {}, what the model holds", o.context,
                                 model.engine->max_tokens()));
  LoadedModel reference;
  if (!o.reference.empty()) {
    spec.model = o.reference;
    spec.gate_norm = engine::GateNorm::model;
    reference = load_model(spec);
    if (reference.engine->config().vocab != config.vocab)
      throw UsageError(fmt::format("--reference {}: {} tokens in its vocabulary, {} has {}",
                                   o.reference, reference.engine->config().vocab, o.model,
                                   config.vocab));
  }
  const auto grid = o.grid.empty() ? std::vector<int32_t>{config.moe.trained_k}
                                   : clipped_grid(o.grid, config.moe.max_k());
  const auto n_windows = (static_cast<int64_t>(tokens.size()) + o.context - 1) / o.context;
  Progress progress("perplexity", n_windows * static_cast<int64_t>(grid.size()));
  const auto all = perplexity(*model.engine, reference.engine.get(), tokens, o.context, grid, [&] {
    progress.step();
    return !interrupt.flag();
  });
  progress.finish();
  if (interrupt.flag()) return interrupt.exit_code();
  fmt::print("{}", render(o, device_label(model.engine->device()), all));
  return kOk;
}

}  // namespace harness
