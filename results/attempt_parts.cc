#include "results/attempt_parts.h"

#include <fmt/format.h>

#include "results/attempt_writer.h"

namespace results {

AttemptParts::AttemptParts(Database& db)
    : db_(db),
      options_(
          db.prepare("SELECT logprob_nats, n_tokens, text FROM attempt_option WHERE attempt_id = ? "
                     "ORDER BY option_ix")),
      layers_(db.prepare("SELECT layer, tokens, k_sum, k_max, k_min, margin_mean, margin_min "
                         "FROM attempt_layer WHERE attempt_id = ? ORDER BY layer")),
      experts_(db.prepare("SELECT n_layers, n_experts, tokens FROM attempt_expert "
                          "WHERE attempt_id = ?")) {}

std::vector<OptionRow> AttemptParts::options(int64_t attempt_id) {
  std::vector<OptionRow> rows;
  options_.bind(1, attempt_id);
  while (options_.step()) {
    OptionRow& o = rows.emplace_back();
    options_.read(0, o.logprob_nats);
    options_.read(1, o.n_tokens);
    options_.read(2, o.text);
  }
  options_.reset();
  return rows;
}

std::vector<LayerRow> AttemptParts::layers(int64_t attempt_id) {
  std::vector<LayerRow> rows;
  layers_.bind(1, attempt_id);
  while (layers_.step()) {
    LayerRow& l = rows.emplace_back();
    l = {layers_.integer(0), layers_.integer(1), layers_.integer(2), layers_.integer(3)};
    layers_.read(4, l.k_min);
    layers_.read(5, l.margin_mean);
    layers_.read(6, l.margin_min);
  }
  layers_.reset();
  return rows;
}

std::optional<ExpertCounts> AttemptParts::experts(int64_t attempt_id) {
  experts_.bind(1, attempt_id);
  if (!experts_.step()) {
    experts_.reset();
    return std::nullopt;
  }
  ExpertCounts e{experts_.integer(0), experts_.integer(1), {}};
  const std::string packed = experts_.text(2);
  experts_.reset();
  // A count takes at least a byte, so a shape beyond the bytes is refused before the product.
  const auto bytes = static_cast<int64_t>(packed.size());
  const bool plausible = e.n_layers >= 1 && e.n_experts >= 1 && e.n_layers <= bytes &&
                         e.n_experts <= bytes / e.n_layers;
  if (!plausible || !unpack_counts(packed, static_cast<size_t>(e.n_layers * e.n_experts), e.tokens))
    throw StoreError(fmt::format("{}: attempt {}: expert counts are not [{}, {}]", db_.name(),
                                 attempt_id, e.n_layers, e.n_experts));
  return e;
}

}  // namespace results
