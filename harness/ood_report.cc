#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/train/fallback_fit.h"
#include "harness/ood_study.h"
#include "harness/text_table.h"

namespace harness {
namespace {

using namespace engine;
using namespace engine::train;
using nlohmann::ordered_json;

std::string signed_estimate(const tasks::Estimate& e) {
  if (!e.value) return "n/a";
  if (!e.interval) return fmt::format("{:+.4f}", *e.value);
  return fmt::format("{:+.4f} [{:+.4f}, {:+.4f}]", *e.value, e.interval->lower, e.interval->upper);
}

std::string area(const tasks::Estimate& e) {
  if (!e.value) return "n/a";
  if (!e.interval) return fmt::format("{:.2f}", *e.value);
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", *e.value, e.interval->lower, e.interval->upper);
}

ordered_json estimate_json(const tasks::Estimate& e) {
  ordered_json j{{"value", nullptr}, {"interval", nullptr}, {"n", e.n}};
  if (e.value) j["value"] = *e.value;
  if (e.interval) j["interval"] = {e.interval->lower, e.interval->upper};
  return j;
}

}  // namespace

std::string render_ood(const OodStudy& s, bool markdown) {
  const auto as = [markdown](const TextTable& t) { return markdown ? t.markdown() : t.terminal(); };
  std::string text = fmt::format(
      "Out of distribution: {} clean and {} shifted questions of {} seed items, decided by the\n"
      "plug-in at lambda = {:.4g}\n\n",
      s.clean, s.shifted, s.clusters, s.lambda);
  TextTable found({{"shift"},
                   {"n", Align::right},
                   {"regret", Align::right},
                   {"FLOPs", Align::right},
                   {"AUROC mahalanobis"},
                   {"FPR95", Align::right},
                   {"flagged", Align::right},
                   {"AUROC nearest"},
                   {"FPR95", Align::right},
                   {"flagged", Align::right}});
  for (const auto& shift : s.shifts) {
    std::vector<std::string> cells{shift.shift, std::to_string(shift.n),
                                   fmt::format("{:.4f}", shift.regret),
                                   fmt::format("{:.3f}", shift.cost)};
    for (const auto& d : shift.detections) {
      cells.push_back(area(d.auroc));
      cells.push_back(fmt::format("{:.0f}%", 100 * d.false_positives));
      cells.push_back(fmt::format("{:.0f}%", 100 * d.flagged));
    }
    found.add(std::move(cells));
  }
  text += as(found);
  text += fmt::format(
      "\nAUROC: how often a shifted question scores higher than a clean one; 0.5 = by chance. "
      "FPR95:\n"
      "clean questions flagged where 95% of the shifted are. flagged: at the threshold that "
      "{:.0f}% of\n"
      "clean questions exceed.\n\n",
      100 * kFlaggedClean);
  TextTable fallbacks({{"fallback"},
                       {"flagged by"},
                       {"lambda", Align::right},
                       {"FLOPs", Align::right},
                       {"regret, clean", Align::right},
                       {"regret, shifted", Align::right},
                       {"regret saved, 95% interval"}});
  for (const auto& f : s.fallbacks) {
    const bool none = f.fallback == Fallback::none;
    const std::string by = none ? "-" : ood_detector_name(f.detector);
    if (!f.matched) {
      fallbacks.add({fallback_name(f.fallback), by, "n/a", "too dear", "n/a", "n/a", "n/a"});
      continue;
    }
    fallbacks.add({fallback_name(f.fallback), by, fmt::format("{:.4g}", f.lambda),
                   fmt::format("{:.3f}{}", f.cost, f.cheaper ? " (cheaper)" : ""),
                   fmt::format("{:.4f}", f.regret_clean), fmt::format("{:.4f}", f.regret_shifted),
                   none ? "-" : signed_estimate(f.regret_saved)});
  }
  text += as(fallbacks);
  text +=
      "\nOf a flagged question: full = the largest k; fixed = the one k best in training; cap = no "
      "more\n"
      "than that; shrink = p_k mixed with its training mean, the more the farther away. The "
      "others'\n"
      "lambda is such that clean and shifted questions, half and half, cost what they cost without "
      "a\n"
      "fallback, detectors included (too dear: flagged ones alone cost more; cheaper: it cannot "
      "spend\n"
      "that much). Regret is at the lambda above; saved: half and half. Intervals are over seed "
      "items,\n"
      "not adjusted for the number of rows.\n";
  if (s.left_out > 0)
    text += fmt::format("note: {} shifted questions are not graded at every k and left out\n",
                        s.left_out);
  return text;
}

std::string ood_json(const OodStudy& s) {
  ordered_json j{{"lambda", s.lambda},
                 {"clean", s.clean},
                 {"shifted", s.shifted},
                 {"seed_items", s.clusters},
                 {"left_out", s.left_out},
                 {"flagged_clean", kFlaggedClean},
                 {"fallbacks", ordered_json::array()},
                 {"shifts", ordered_json::array()}};
  for (const auto& f : s.fallbacks) {
    ordered_json one{{"fallback", fallback_name(f.fallback)}, {"detector", nullptr}};
    if (f.fallback != Fallback::none) one["detector"] = ood_detector_name(f.detector);
    one["cost_matched"] = f.matched && !f.cheaper;
    if (f.matched) {
      one["lambda"] = f.lambda;
      one["flops_ratio"] = f.cost;
      one["regret_clean"] = f.regret_clean;
      one["regret_shifted"] = f.regret_shifted;
      one["regret_saved"] = estimate_json(f.regret_saved);
    }
    j["fallbacks"].push_back(std::move(one));
  }
  for (const auto& shift : s.shifts) {
    ordered_json one{{"shift", shift.shift},
                     {"n", shift.n},
                     {"seed_items", shift.clusters},
                     {"regret", shift.regret},
                     {"flops_ratio", shift.cost}};
    for (const auto& d : shift.detections)
      one["detectors"][ood_detector_name(d.detector)] = {
          {"auroc", estimate_json(d.auroc)}, {"fpr95", d.false_positives}, {"flagged", d.flagged}};
    for (const auto& g : shift.gains)
      one["regret_saved"].push_back({{"detector", ood_detector_name(g.detector)},
                                     {"fallback", fallback_name(g.fallback)},
                                     {"saved", estimate_json(g.regret_saved)}});
    j["shifts"].push_back(std::move(one));
  }
  return j.dump();
}

}  // namespace harness
