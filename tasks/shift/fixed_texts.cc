#include "tasks/shift/fixed_texts.h"

#include "tasks/shift/draws.h"

namespace tasks::shift {

std::string drawn_texts(std::span<const FixedTexts> by_severity, const Request& r,
                        const char* family) {
  std::string out;
  for (size_t s = static_cast<size_t>(r.shift.severity); s > 0; --s) {
    const FixedTexts texts = by_severity[s - 1];
    Draws draws(r.seed, r.sample.id, family, s);
    if (!out.empty()) out += '\n';
    out += texts[draws.index(texts.size())];
  }
  return out;
}

bool is_of_texts(std::span<const FixedTexts> by_severity, int severity, std::string_view text) {
  for (auto s = static_cast<size_t>(severity); s > 0; --s) {
    bool found = false;
    for (const std::string_view one : by_severity[s - 1])
      if (!found && text.starts_with(one)) {
        text.remove_prefix(one.size());
        found = true;
      }
    if (!found) return false;
    if (s > 1) {
      if (!text.starts_with("\n")) return false;
      text.remove_prefix(1);
    }
  }
  return text.empty();
}

}  // namespace tasks::shift
