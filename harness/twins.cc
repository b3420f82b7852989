#include "harness/twins.h"

#include <map>

namespace harness {
namespace {

// The control of "padding:2" is "neutral.padding:2".
std::string neutral_of(const std::string& form) {
  return form.starts_with("neutral") ? "" : "neutral." + form;
}

}  // namespace

std::vector<TwinsOfForm> twins_by_form(const std::vector<const AuditedQuery*>& queries) {
  std::map<std::string, std::map<std::string, const AuditedQuery*>> by_form;  // form, sample
  std::vector<std::string> forms;
  for (const auto* q : queries) {
    if (q->form != "clean" && !by_form.contains(q->form)) forms.push_back(q->form);
    by_form[q->form].emplace(q->sample, q);
  }
  const auto& clean = by_form["clean"];
  std::vector<TwinsOfForm> out;
  for (const auto& form : forms) {
    const auto neutral = by_form.find(neutral_of(form));
    TwinsOfForm twins{form, {}};
    for (const auto& [sample, q] : by_form[form]) {
      const auto twin = clean.find(sample);
      if (twin == clean.end()) continue;
      Twins p{twin->second, q, nullptr};
      if (neutral != by_form.end())
        if (const auto n = neutral->second.find(sample); n != neutral->second.end())
          p.neutral = n->second;
      twins.pairs.push_back(p);
    }
    if (!twins.pairs.empty()) out.push_back(std::move(twins));
  }
  return out;
}

}  // namespace harness
