#include "engine/policy/fallback.h"

#include <algorithm>

#include "engine/policy/plug_in.h"

namespace engine {

const char* fallback_name(Fallback f) {
  static constexpr const char* kNames[] = {"none", "full", "fixed", "shrink", "cap"};
  return kNames[static_cast<int>(f)];
}

const Fallback* find_fallback(std::string_view name) {
  for (const Fallback& f : kFallbacks)
    if (name == fallback_name(f)) return &f;
  return nullptr;
}

std::string FallbackChoice::label() const {
  return std::string(ood_detector_name(detector)) + ":" + fallback_name(fallback);
}

std::optional<FallbackChoice> parse_fallback(std::string_view label) {
  const size_t colon = label.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const OodDetector* detector = find_ood_detector(label.substr(0, colon));
  const Fallback* fallback = find_fallback(label.substr(colon + 1));
  if (detector == nullptr || fallback == nullptr || *fallback == Fallback::none)
    return std::nullopt;
  return FallbackChoice{*detector, *fallback};
}

size_t fall_back(Fallback fallback, const Prospect& q, size_t usual, double lambda) {
  if (!q.flagged()) return usual;
  switch (fallback) {
    case Fallback::none:
      break;
    case Fallback::full:
      return q.p.size() - 1;
    case Fallback::fixed:
      return q.fixed;
    case Fallback::cap:
      return std::min(q.fixed, usual);
    case Fallback::shrink: {
      const double away = 1 - q.threshold / q.score;
      std::vector<double> mixed(q.p.size());
      for (size_t k = 0; k < mixed.size(); ++k) mixed[k] = (1 - away) * q.p[k] + away * q.prior[k];
      return plug_in(mixed, q.cost, lambda);
    }
  }
  return usual;
}

size_t decide(Fallback fallback, const Prospect& q, double lambda) {
  return fall_back(fallback, q, plug_in(q.p, q.cost, lambda), lambda);
}

}  // namespace engine
