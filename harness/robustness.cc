#include "harness/robustness.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>

namespace harness {
namespace {

constexpr std::string_view kPrefix = "recode.";

enum Sum : size_t { kN, kNominal, kWorst, kChanged, kWidth };
enum Statistic : size_t { sNominal, sPass, sDrop, sRelative, sCount };

void statistics(std::span<const double> s, std::span<double> out) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto of = [](double a, double b) { return b > 0 ? a / b : kNone; };
  out[sNominal] = of(s[kNominal], s[kN]);
  out[sPass] = of(s[kWorst], s[kN]);
  out[sDrop] = 1 - of(s[kWorst], s[kNominal]);
  out[sRelative] = of(s[kChanged], s[kN]);
}

struct Method {
  std::set<std::string> draws;
  std::map<std::string, std::vector<bool>> right;  // by problem, one for each form
};

}  // namespace

std::vector<RobustReport> robust_reports(const std::vector<const AuditedQuery*>& queries) {
  std::map<std::string, bool> nominal;
  std::map<std::string, Method> methods;
  for (const auto* q : queries) {
    const bool right = q->right && !q->failed;
    if (q->form == "clean") nominal.emplace(q->sample, right);
    if (!q->form.starts_with(kPrefix)) continue;
    const size_t colon = q->form.find(':');
    const std::string name = q->form.substr(kPrefix.size(), colon - kPrefix.size());
    methods[name].draws.insert(q->form);
    methods[name].right[q->sample].push_back(right);
  }
  std::vector<RobustReport> out;
  for (const auto& [name, method] : methods) {
    RobustReport r;
    r.method = name;
    r.draws = static_cast<int64_t>(method.draws.size());
    std::vector<double> rows;
    for (const auto& [sample, right] : method.right) {
      const auto clean = nominal.find(sample);
      if (clean == nominal.end()) continue;
      ++r.n;
      r.forms += static_cast<int64_t>(right.size());
      const bool all = std::find(right.begin(), right.end(), false) == right.end();
      const bool changed = std::find(right.begin(), right.end(), !clean->second) != right.end();
      rows.insert(rows.end(),
                  {1.0, clean->second ? 1.0 : 0.0, all ? 1.0 : 0.0, changed ? 1.0 : 0.0});
    }
    if (r.n == 0) continue;
    const auto e = tasks::bootstrap_sums(rows, kWidth, sCount, statistics);
    r.nominal = e[sNominal];
    r.pass = e[sPass];
    r.drop = e[sDrop];
    r.relative = e[sRelative];
    out.push_back(std::move(r));
  }
  return out;
}

}  // namespace harness
