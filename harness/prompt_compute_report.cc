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

TextTable counterparts_table(const PromptAudit& a) {
  TextTable table({{"theme"},
                   {"pairs", Align::right},
                   {"k, harmful less harmless [95%]"},
                   {"p", Align::right},
                   {"FLOPs ratio"},
                   {"FLOPs a token, ratio"}});
  for (const auto& c : a.counterparts)
    table.add({c.theme, std::to_string(c.n), show(c.k_difference), fmt::format("{:.4f}", c.p_holm),
               show(c.flops_ratio), show(c.flops_per_token_ratio)});
  return table;
}

}  // namespace

void render_prompts(const PromptAudit& a, Page* page) {
  page->heading(fmt::format("{}  (n {}, nothing is generated or marked)", a.task, a.n + a.failed),
                2);
  for (const auto& f : findings(a)) page->item(f);
  page->heading("What the prompts were given", 3);
  page->table(groups_table(a));
  if (a.counterparts.empty()) return;
  page->heading("Harmful prompts beside their harmless counterparts", 3);
  page->table(counterparts_table(a));
  page->line("");
  page->line("p: sign-flip of k; of the themes adjusted (Holm). Ratios: harmful over harmless.");
}

}  // namespace harness
