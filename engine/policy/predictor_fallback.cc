#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/model_file/printable.h"
#include "engine/model_file/strict_json.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/predictor_reader.h"

namespace engine {

// width: of the last hidden layer; 0 where there is none.
void PredictorNetwork::read_fallback(const Reader& reader, const JsonFields& j, int64_t width) {
  FallbackRule f;
  j.allow_only({"detector", "kind", "units", "threshold", "neighbours", "k", "prior"});
  const auto name = j.require_string("detector");
  const OodDetector* detector = find_ood_detector(name);
  if (detector == nullptr)
    j.fail("detector", fmt::format("is {}, want mahalanobis or nearest", printable(name)));
  const auto kind = j.require_string("kind");
  const Fallback* fallback = find_fallback(kind);
  if (fallback == nullptr || *fallback == Fallback::none)
    j.fail("kind", fmt::format("is {}, want full, fixed, shrink or cap", printable(kind)));
  f.choice = {*detector, *fallback};
  if (width == 0) j.fail("detector", "has no hidden layer to read");
  f.units = j.require_int("units", 1, width);
  const auto* threshold = j.find("threshold");
  if (threshold == nullptr || !threshold->is_number() || !std::isfinite(threshold->get<double>()) ||
      threshold->get<double>() < 0)
    j.fail("threshold", fmt::format("is {}, want a distance, 0 or more",
                                    threshold == nullptr ? "missing" : threshold->dump()));
  f.threshold = threshold->get<double>();
  if (*fallback == Fallback::fixed || *fallback == Fallback::cap) {
    f.k = static_cast<int32_t>(j.require_int("k", 1, k_.back()));
    if (std::find(k_.begin(), k_.end(), f.k) == k_.end())
      j.fail("k", fmt::format("is {}, want one of {}", f.k, fmt::join(k_, ", ")));
  }
  if (*fallback == Fallback::shrink) {
    if (rule_ != Rule::plug_in) j.fail("kind", "is shrink, but the rule is not plug_in");
    const auto* prior = j.find("prior");
    if (prior == nullptr || !prior->is_array() || prior->size() != k_.size())
      j.fail("prior", fmt::format("wants {} numbers, one per k", k_.size()));
    for (const auto& p : *prior) {
      if (!p.is_number() || !(p.get<double>() >= 0 && p.get<double>() <= 1))
        j.fail("prior", fmt::format("holds {}, want shares of 0 to 1", p.dump(-1, ' ', true)));
      f.prior.push_back(p.get<double>());
    }
  }

  const auto doubles = [&](const std::string& tensor, const std::vector<int64_t>& shape) {
    const auto values = reader.floats(tensor, shape);
    return std::vector<double>(values.begin(), values.end());
  };
  OodMeasure& m = f.measure;
  m.detector = *detector;
  m.width = f.units;
  if (*detector == OodDetector::nearest) {
    m.n_rows = reader.first_dimension("ood.rows");
    m.rows = doubles("ood.rows", {m.n_rows, m.width});
    if (m.rows.empty()) reader.fail("tensor ood.rows has no rows");
    m.neighbours = j.require_int("neighbours", 1, std::max(m.n_rows, kOodNeighbours));
  } else {
    m.mean = doubles("ood.mean", {m.width});
    m.factor = doubles("ood.factor", {m.width, m.width});
    for (int64_t row = 0; row < m.width; ++row)
      for (int64_t column = row; column < m.width; ++column) {
        const double v = m.factor[static_cast<size_t>(row * m.width + column)];
        if (column == row ? v < 0 : v != 0)
          reader.fail(fmt::format(
              "tensor ood.factor holds {} at [{}, {}], want a lower triangle, 0 or more on its "
              "diagonal",
              v, row, column));
      }
  }
  fallback_ = std::move(f);
}

// Index of k. activations: of the last hidden layer.
size_t PredictorNetwork::fall_back(std::span<const float> activations, size_t usual,
                                   Output* out) const {
  const FallbackRule& f = *fallback_;
  const auto read = activations.first(static_cast<size_t>(f.units));
  Prospect q;
  q.p = out->p_k;
  q.p.resize(k_.size());  // without the head: only their number counts
  q.prior = f.prior;
  q.cost = cost_;
  while (f.k > 0 && k_[q.fixed] != f.k) ++q.fixed;
  q.score = f.measure.distance(std::vector<double>(read.begin(), read.end()));
  q.threshold = f.threshold;
  if (!std::isfinite(q.score))
    throw PolicyError(fmt::format("{}: the {} distance of the question is {}", file_,
                                  ood_detector_name(f.choice.detector), q.score));
  out->ood_score = q.score;
  out->ood_flagged = q.flagged();
  return engine::fall_back(f.choice.fallback, q, usual, lambda_);
}

}  // namespace engine
