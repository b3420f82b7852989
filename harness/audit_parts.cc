#include "harness/audit_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tasks/multiple_tests.h"
#include "tasks/permutation.h"
#include "tasks/ranks.h"

namespace harness {
namespace {

using Queries = std::vector<const AuditedQuery*>;

constexpr double kPartLevel = 0.05;
constexpr size_t kMostFindings = 3;

struct Members {
  std::string kind, name;
  Queries queries;
};

void add_subjects(const Queries& clean, std::vector<Members>* out) {
  std::map<std::string, Queries> subjects;
  for (const auto* q : clean) subjects[q->subject].push_back(q);
  // Where every question is its own subject there is nothing to tell apart.
  if (subjects.size() < 2 || subjects.size() == clean.size()) return;
  for (auto& [name, members] : subjects) out->push_back({"subject", name, std::move(members)});
}

void add_lengths(const Queries& clean, std::vector<Members>* out) {
  auto by_length = clean;
  std::stable_sort(by_length.begin(), by_length.end(), [](const auto* a, const auto* b) {
    return a->prompt_tokens < b->prompt_tokens;
  });
  const size_t n = by_length.size();
  if (n < 3 || by_length.front()->prompt_tokens == by_length.back()->prompt_tokens) return;
  const char* names[] = {"short", "middle", "long"};
  for (size_t third = 0; third < 3; ++third) {
    Queries members(by_length.begin() + static_cast<std::ptrdiff_t>(third * n / 3),
                    by_length.begin() + static_cast<std::ptrdiff_t>((third + 1) * n / 3));
    auto name = fmt::format("{} ({} to {} tokens)", names[third], members.front()->prompt_tokens,
                            members.back()->prompt_tokens);
    out->push_back({"length", std::move(name), std::move(members)});
  }
}

void add_outside(const Queries& clean, const datasets::OutsideLabels& labels,
                 std::vector<Members>* out) {
  for (const auto d : datasets::kOutsideDifficulties) {
    Members m{"outside", std::string(datasets::outside_difficulty_name(d)), {}};
    for (const auto* q : clean)
      if (const auto found = labels.of_sample.find(q->sample);
          found != labels.of_sample.end() && found->second == d)
        m.queries.push_back(q);
    if (!m.queries.empty()) out->push_back(std::move(m));
  }
}

}  // namespace

std::vector<AuditPart> audit_parts(const Queries& clean, const std::vector<int32_t>& grid,
                                   double lambda, const datasets::OutsideLabels* labels) {
  std::vector<Members> all;
  add_subjects(clean, &all);
  add_lengths(clean, &all);
  if (labels != nullptr) add_outside(clean, *labels, &all);
  const auto regrets = lambda_regrets(clean, grid, lambda);
  std::map<const AuditedQuery*, size_t> place;
  for (size_t i = 0; i < clean.size(); ++i) place[clean[i]] = i;
  std::vector<AuditPart> out;
  std::vector<double> p;
  for (const auto& m : all) {
    const auto a = allocation_report(m.queries, grid, lambda);
    std::vector<uint8_t> is_member(clean.size());
    for (const auto* q : m.queries) is_member[place.at(q)] = 1;
    p.push_back(tasks::membership_p(regrets, is_member));
    out.push_back({m.kind, m.name, a.n, a.mean_k, a.accuracy, a.under, a.over, a.waste,
                   a.lambda_regret, p.back()});
  }
  const auto adjusted = tasks::benjamini_hochberg(p);
  for (size_t i = 0; i < out.size(); ++i) out[i].p_bh = adjusted[i];
  return out;
}

std::optional<OutsideReport> outside_report(const Queries& clean, const std::vector<int32_t>& grid,
                                            const datasets::OutsideLabels& labels) {
  std::vector<double> k, of_k, need, of_need;
  for (const auto* q : clean) {
    const auto found = labels.of_sample.find(q->sample);
    if (found == labels.of_sample.end()) continue;
    const auto difficulty = static_cast<double>(found->second);
    k.push_back(q->k);
    of_k.push_back(difficulty);
    if (const auto stable = q->need->k_stable(grid)) {
      need.push_back(*stable);
      of_need.push_back(difficulty);
    }
  }
  if (k.empty()) return std::nullopt;
  const auto spearman = [](const std::vector<double>& a, const std::vector<double>& b) {
    return tasks::bootstrap_draws(static_cast<int64_t>(a.size()),
                                  [&](std::span<const int64_t> drawn) {
                                    std::vector<double> x, y;
                                    for (const int64_t i : drawn) {
                                      x.push_back(a[static_cast<size_t>(i)]);
                                      y.push_back(b[static_cast<size_t>(i)]);
                                    }
                                    return tasks::spearman(x, y);
                                  });
  };
  OutsideReport out;
  out.models = labels.models;
  out.origin = labels.origin;
  out.n = static_cast<int64_t>(k.size());
  out.n_finite = static_cast<int64_t>(need.size());
  out.spearman_k = spearman(k, of_k);
  out.spearman_need = spearman(need, of_need);
  return out;
}

std::vector<std::string> part_findings(const std::vector<AuditPart>& parts,
                                       const AllocationReport& whole) {
  if (!whole.lambda_regret.value) return {};
  const double all = *whole.lambda_regret.value;
  std::vector<const AuditPart*> shown;
  for (const auto& p : parts)
    if (p.p_bh < kPartLevel && p.lambda_regret.value) shown.push_back(&p);
  const auto distance = [&](const AuditPart* p) { return std::abs(*p->lambda_regret.value - all); };
  std::stable_sort(shown.begin(), shown.end(),
                   [&](auto* a, auto* b) { return distance(a) > distance(b); });
  std::vector<std::string> out;
  for (const auto* p : shown) {
    if (out.size() == kMostFindings) {
      out.push_back(fmt::format("{} more parts are served otherwise than the rest (table: Where)",
                                shown.size() - kMostFindings));
      break;
    }
    out.push_back(
        fmt::format("{} {}: served {} than the rest, lambda-regret {:.3f} beside {:.3f} "
                    "over all (n {}, adjusted p {:.4f})",
                    p->kind, p->name, *p->lambda_regret.value > all ? "worse" : "better",
                    *p->lambda_regret.value, all, p->n, p->p_bh));
  }
  return out;
}

}  // namespace harness
