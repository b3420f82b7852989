#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "harness/audit_report.h"
#include "harness/page.h"
#include "harness/text_table.h"

namespace harness {
namespace {

constexpr size_t kShownLayers = 3;

TextTable drift_table(const TaskAudit& t) {
  TextTable table({{"shift"},
                   {"n", Align::right},
                   {"failed", Align::right},
                   {"k drift [95%]"},
                   {"p", Align::right},
                   {"less neutral's"},
                   {"same k", Align::right},
                   {"FLOPs ratio"},
                   {"accuracy, pp"},
                   {"p", Align::right}});
  for (const auto& d : t.drifts)
    table.add({d.form, std::to_string(d.n), std::to_string(d.failed), show(d.drift),
               p_value(d.drift_holm), show(d.beside_neutral), plain_percent(d.same_k),
               show(d.flops_ratio), show(d.accuracy, 100, 1), p_value(d.accuracy_holm)});
  return table;
}

TextTable excess_table(const TaskAudit& t) {
  TextTable table({{"shift"},
                   {"n", Align::right},
                   {"k drift [95%]"},
                   {"need drift"},
                   {"excess drift"},
                   {"p", Align::right},
                   {"need lost", Align::right},
                   {"won", Align::right},
                   {"regret change"},
                   {"adaptivity change"}});
  for (const auto& d : t.drifts)
    if (d.n_need > 0)
      table.add({d.form, std::to_string(d.n_need), show(d.drift_of_need_n), show(d.need_drift),
                 show(d.excess), p_value(d.excess_holm), std::to_string(d.lost),
                 std::to_string(d.gained), show(d.regret_change, 1, 3), show(d.adaptivity_change)});
  return table;
}

TextTable graded_table(const TaskAudit& t) {
  TextTable table({{"shift"},
                   {"n", Align::right},
                   {"gold NLL, shifted less clean [95%]"},
                   {"p", Align::right},
                   {"n swept", Align::right},
                   {"of it not at the largest k"}});
  for (const auto& d : t.graded_drifts)
    table.add({d.form, std::to_string(d.n), show(d.nll_change, 1, 3), p_value(d.p_holm),
               std::to_string(d.n_swept), show(d.regret_change, 1, 3)});
  return table;
}

// "12 (0.31), 4 (0.28), 0 (0.25)"
std::string farthest_layers(const ExpertDrift& d) {
  std::vector<size_t> order(d.layers.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::erase_if(order, [&](size_t i) { return std::isnan(d.layers[i]); });
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return d.layers[a] > d.layers[b]; });
  if (order.size() > kShownLayers) order.resize(kShownLayers);
  std::string out;
  for (const size_t i : order)
    out += fmt::format("{}{} ({:.2f})", out.empty() ? "" : ", ", i, d.layers[i]);
  return out;
}

TextTable experts_table(const TaskAudit& t) {
  TextTable table({{"shift"},
                   {"n", Align::right},
                   {"other k", Align::right},
                   {"distance [95%]"},
                   {"less neutral's"},
                   {"farthest layers"}});
  for (const auto& d : t.expert_drifts)
    table.add({d.form, std::to_string(d.n), std::to_string(d.other_k), show(d.distance, 1, 3),
               show(d.beside_neutral, 1, 3), farthest_layers(d)});
  return table;
}

}  // namespace

void render_drifts(const TaskAudit& t, Page* page) {
  if (t.drifts.empty()) return;
  page->heading("Under shifts: each query beside the same sample as it is", 3);
  page->table(drift_table(t));
  page->line("");
  page->prose(
      "p: of k sign-flip, of accuracy McNemar, adjusted over all shifts (Holm). less neutral's: "
      "beside an edit of the same length without content. FLOPs ratio: longer prompts count.");
  if (const auto excess = excess_table(t); !excess.empty()) {
    page->line("");
    page->table(excess);
    page->line("");
    page->prose(
        "Of pairs with a stable k on both sides, asked in one way. need lost, won: pairs with a "
        "stable k on one side only. adaptivity: what is saved of all FLOPs that could be.");
  }
  if (!t.graded_drifts.empty()) {
    page->heading("Graded: how much less probable the right answer became, in nats", 3);
    page->table(graded_table(t));
    page->line("");
    page->prose(
        "p: sign-flip, adjusted over all shifts (Holm). The last column is what the policy's k "
        "adds "
        "to what the shift does at the largest k.");
  }
  if (t.expert_drifts.empty()) return;
  page->heading("Which experts: distance of the routed experts' frequencies from the clean twin's",
                3);
  page->table(experts_table(t));
  page->line("");
  page->prose(
      "Jensen-Shannon distance, 0 alike, 1 nothing in common, mean over layers; short texts differ "
      "by chance too. other k: pairs that were granted another k.");
}

}  // namespace harness
