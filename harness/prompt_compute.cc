#include "harness/prompt_compute.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "datasets/prompt_reader.h"
#include "tasks/multiple_tests.h"
#include "tasks/paired.h"

namespace harness {
namespace {

using tasks::ratio;

constexpr double kTestLevel = 0.05;  // of p-values

GivenCompute group_of(const std::string& name, bool is_kind,
                      const std::vector<const GivenPrompt*>& prompts) {
  enum { kN, kK, kFlops, kTokens, kWidth };
  GivenCompute out;
  out.name = name;
  out.is_kind = is_kind;
  std::vector<double> rows;
  int64_t refused = 0;
  for (const auto* p : prompts) {
    if (p->failed) {
      ++out.failed;
      continue;
    }
    ++out.n;
    refused += p->refused;
    out.tokens += static_cast<double>(p->tokens);
    rows.insert(rows.end(), {1, p->k, p->flops, static_cast<double>(p->tokens)});
  }
  if (out.n == 0) return out;
  out.tokens /= static_cast<double>(out.n);
  const auto e = tasks::bootstrap_sums(rows, kWidth, 3, [](auto s, auto o) {
    o[0] = ratio(s[kK], s[kN]);
    o[1] = ratio(s[kFlops], s[kN]);
    o[2] = ratio(s[kFlops], s[kTokens]);
  });
  out.k = e[0];
  out.flops = e[1];
  out.flops_per_token = e[2];
  out.refused = tasks::share(refused, out.n);
  return out;
}

struct Counterparts {
  const GivenPrompt* harmful = nullptr;
  const GivenPrompt* harmless = nullptr;
};

CounterpartReport report_of(const std::string& theme, const std::vector<Counterparts>& pairs) {
  enum { kN, kDifference, kHarmful, kHarmless, kHarmfulTokens, kHarmlessTokens, kWidth };
  CounterpartReport out;
  out.theme = theme;
  out.n = static_cast<int64_t>(pairs.size());
  std::vector<double> rows, differences;
  for (const auto& [harmful, harmless] : pairs) {
    differences.push_back(harmful->k - harmless->k);
    rows.insert(rows.end(),
                {1, differences.back(), harmful->flops, harmless->flops,
                 static_cast<double>(harmful->tokens), static_cast<double>(harmless->tokens)});
  }
  const auto e = tasks::bootstrap_sums(rows, kWidth, 3, [](auto s, auto o) {
    o[0] = ratio(s[kDifference], s[kN]);
    o[1] = ratio(s[kHarmful], s[kHarmless]);
    o[2] = ratio(ratio(s[kHarmful], s[kHarmfulTokens]), ratio(s[kHarmless], s[kHarmlessTokens]));
  });
  out.k_difference = e[0];
  out.flops_ratio = e[1];
  out.flops_per_token_ratio = e[2];
  out.p = tasks::sign_flip_p(differences);
  return out;
}

}  // namespace

PromptAudit prompt_audit(const std::string& task, const std::vector<GivenPrompt>& prompts) {
  PromptAudit out;
  out.task = task;
  std::map<std::string, std::vector<const GivenPrompt*>> labels, kinds;
  // By theme and number.
  std::map<std::string, std::map<std::string, Counterparts>> themes;
  for (const auto& p : prompts) {
    ++(p.failed ? out.failed : out.n);
    kinds[p.kind].push_back(&p);
    const auto place = datasets::prompt_place(p.sample);
    if (!place) continue;
    labels[place->harmful ? "harmful" : "harmless"].push_back(&p);
    if (p.failed) continue;
    auto& pair = themes[place->theme][place->number];
    (place->harmful ? pair.harmful : pair.harmless) = &p;
  }
  for (const auto& [name, members] : labels) out.groups.push_back(group_of(name, false, members));
  for (const auto& [name, members] : kinds) out.groups.push_back(group_of(name, true, members));
  std::vector<Counterparts> all;
  std::vector<double> p;
  for (const auto& [theme, numbers] : themes) {
    std::vector<Counterparts> pairs;
    for (const auto& [number, pair] : numbers)
      if (pair.harmful != nullptr && pair.harmless != nullptr) pairs.push_back(pair);
    if (pairs.empty()) continue;
    all.insert(all.end(), pairs.begin(), pairs.end());
    out.counterparts.push_back(report_of(theme, pairs));
    p.push_back(out.counterparts.back().p);
  }
  if (labels.contains("harmless"))
    out.alone = std::count_if(labels["harmful"].begin(), labels["harmful"].end(),
                              [](const auto* p) { return !p->failed; }) -
                static_cast<int64_t>(all.size());
  if (all.empty()) return out;
  const auto adjusted = tasks::holm(p);
  for (size_t i = 0; i < p.size(); ++i) out.counterparts[i].p_holm = adjusted[i];
  out.counterparts.insert(out.counterparts.begin(), report_of("all", all));
  out.counterparts.front().p_holm = out.counterparts.front().p;
  return out;
}

void add_filter(const std::vector<GivenPrompt>& prompts, const std::string& filter,
                int64_t without_text, PromptAudit* audit) {
  auto& out = audit->filtered.emplace();
  out.filter = filter;
  out.without_text = without_text;
  if (without_text > 0) return;
  auto turned_away = prompts;
  for (auto& p : turned_away)
    if (p.refused) p.k = p.flops = 0;
  auto again = prompt_audit(audit->task, turned_away);
  out.groups = std::move(again.groups);
  out.counterparts = std::move(again.counterparts);
}

std::vector<std::string> findings(const PromptAudit& a) {
  std::vector<std::string> out;
  if (a.filtered && a.filtered->without_text == 0) {
    std::string shares;
    for (const auto& g : a.filtered->groups)
      if (!g.is_kind && g.refused.value)
        shares += fmt::format("{}{:.1f}% of the {} prompts", shares.empty() ? "" : " and ",
                              100 * *g.refused.value, g.name);
    out.push_back(fmt::format("the filter {} would turn away {}", a.filtered->filter, shares));
  }
  if (a.alone > 0)
    out.push_back(fmt::format(
        "{} harmful prompts have no counterpart in this run (--limit N keeps pairs together, "
        "--sample does not)",
        a.alone));
  if (a.counterparts.empty()) return out;
  const auto& all = a.counterparts.front();
  if (all.n < tasks::kFewestClusters) {
    out.push_back(fmt::format("only {} pairs of counterparts: too few to compare, want {} or more",
                              all.n, tasks::kFewestClusters));
    return out;
  }
  const double difference = all.k_difference.value.value_or(0);
  if (all.p < kTestLevel)
    out.push_back(fmt::format(
        "harmful prompts get {:.2f} experts {} than their harmless counterparts (n {}, p {:.4f})",
        std::abs(difference), difference > 0 ? "more" : "fewer", all.n, all.p));
  else
    out.push_back(fmt::format(
        "no difference in k between harmful prompts and their harmless counterparts is shown: "
        "{:+.2f} (n {}, p {:.2f})",
        difference, all.n, all.p));
  for (const auto& c : a.counterparts)
    if (c.theme != "all" && c.p_holm < kTestLevel)
      out.push_back(fmt::format("{}: harmful ones get {:+.2f} experts (n {}, adjusted p {:.4f})",
                                c.theme, *c.k_difference.value, c.n, c.p_holm));
  return out;
}

}  // namespace harness
