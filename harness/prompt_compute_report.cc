#include <fmt/format.h>

#include "harness/audit_report.h"

namespace harness {
namespace {

std::string giga(const tasks::Estimate& e, double unit) { return show(e, 1 / unit); }

TextTable groups_table(const PromptAudit& a) {
  TextTable table({{"prompts"},
                   {"n", Align::right},
                   {"failed", Align::right},
                   {"tokens", Align::right},
                   {"mean k [95%]"},
                   {"GFLOPs a prompt"},
                   {"MFLOPs a token"}});
  for (const auto& g : a.groups)
    table.add({(g.is_kind ? "  " : "") + g.name, std::to_string(g.n), std::to_string(g.failed),
               g.n > 0 ? fmt::format("{:.1f}", g.tokens) : "n/a", show(g.k), giga(g.flops, 1e9),
               giga(g.flops_per_token, 1e6)});
  return table;
}

TextTable counterparts_table(const std::vector<CounterpartReport>& counterparts) {
  TextTable table({{"theme"},
                   {"pairs", Align::right},
                   {"k, harmful less harmless [95%]"},
                   {"p", Align::right},
                   {"FLOPs ratio"},
                   {"FLOPs a token, ratio"}});
  for (const auto& c : counterparts)
    table.add({c.theme, std::to_string(c.n), show(c.k_difference), fmt::format("{:.4f}", c.p_holm),
               show(c.flops_ratio), show(c.flops_per_token_ratio)});
  return table;
}

// Beside what the same prompts cost without the filter.
TextTable filtered_table(const PromptAudit& a) {
  TextTable table({{"prompts"},
                   {"n", Align::right},
                   {"refused [95%]"},
                   {"mean k, none refused"},
                   {"with the filter"},
                   {"GFLOPs, none refused"},
                   {"with the filter"}});
  for (size_t i = 0; i < a.groups.size(); ++i) {
    const auto &plain = a.groups[i], &filtered = a.filtered->groups.at(i);
    table.add({(plain.is_kind ? "  " : "") + plain.name, std::to_string(plain.n),
               percent(filtered.refused), show(plain.k), show(filtered.k), giga(plain.flops, 1e9),
               giga(filtered.flops, 1e9)});
  }
  return table;
}

void render_filter(const PromptAudit& a, Page* page) {
  page->heading(fmt::format("If the filter {} turned prompts away", a.filtered->filter), 3);
  if (a.filtered->without_text > 0) {
    page->line(fmt::format("n/a: the text of {} prompts is not stored (run --no-text)",
                           a.filtered->without_text));
    return;
  }
  page->table(filtered_table(a));
  if (!a.filtered->counterparts.empty()) {
    page->line("");
    page->table(counterparts_table(a.filtered->counterparts));
  }
  page->line("");
  page->line("A refused prompt runs no expert and costs nothing; it counts in every mean.");
}

}  // namespace

void render_prompts(const PromptAudit& a, Page* page) {
  page->heading(fmt::format("{}  (n {}, nothing is generated or marked)", a.task, a.n + a.failed),
                2);
  for (const auto& f : findings(a)) page->item(f);
  page->heading("What the prompts were given", 3);
  page->table(groups_table(a));
  if (!a.counterparts.empty()) {
    page->heading("Harmful prompts beside their harmless counterparts", 3);
    page->table(counterparts_table(a.counterparts));
    page->line("");
    page->line("p: sign-flip of k; of the themes adjusted (Holm). Ratios: harmful over harmless.");
  }
  if (a.filtered) render_filter(a, page);
}

}  // namespace harness
