#include "tasks/shift/misspell.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace tasks::shift {
namespace {

// Letters beside each one on a QWERTY keyboard, a to z.
constexpr std::array<std::string_view, 26> kNeighbours = {
    "qwsz",   "vghn",  "xdfv", "serfcx", "wsdr", "drtgvc", "ftyhbv", "gyujnb", "ujko",
    "huikmn", "jiolm", "kop",  "njk",    "bhjm", "iklp",   "ol",     "wa",     "edft",
    "awedxz", "rfgy",  "yhji", "cfgb",   "qase", "zsdc",   "tghu",   "asx"};

// Results of a slip that are words of their own.
constexpr std::array<std::string_view, 72> kOtherWords = {
    "form",       "from",         "trail",    "trial",    "breed",  "sloop",   "stoop",
    "comma",      "latter",       "later",    "dinner",   "diner",  "dessert", "desert",
    "casual",     "causal",       "angel",    "angle",    "untied", "united",  "dairy",
    "diary",      "martial",      "marital",  "scared",   "sacred", "quite",   "quiet",
    "though",     "through",      "thorough", "tough",    "cost",   "coast",   "beat",
    "beast",      "sliver",       "silver",   "supper",   "super",  "whether", "weather",
    "wether",     "thought",      "though",   "board",    "broad",  "bread",   "beard",
    "conversion", "conversation", "positon",  "positron", "proton", "photon",  "neutron",
    "county",     "country",      "contact",  "contract", "mental", "metal",   "moral",
    "mortal",     "statue",       "stature",  "statute",  "exit",   "exist",   "lager",
    "larger",     "charter"};

}  // namespace

Slip misspell(std::string_view word, const std::set<std::string>& taken, Draws& draws) {
  assert(word.size() >= 4);
  static constexpr std::array kRules = {"neighbour", "swap", "omit", "double"};
  for (int tries = 0; tries < 12; ++tries) {
    const size_t rule = word.size() == 4 ? 3 : draws.index(kRules.size());
    const size_t at = 1 + draws.index(word.size() - 2);  // an inner letter
    std::string out(word);
    if (rule == 0) {
      const auto& near = kNeighbours[static_cast<size_t>(word[at] - 'a')];
      out[at] = near[draws.index(near.size())];
    } else if (rule == 1) {
      if (at + 2 >= word.size() || word[at] == word[at + 1]) continue;
      std::swap(out[at], out[at + 1]);
    } else if (rule == 2) {
      out.erase(at, 1);
    } else {
      out.insert(at, 1, word[at]);
    }
    if (out == word || taken.contains(out) ||
        std::find(kOtherWords.begin(), kOtherWords.end(), out) != kOtherWords.end())
      continue;
    return {out, kRules[rule]};
  }
  return {};
}

bool is_slip(std::string_view a, std::string_view b) {
  if (a.size() < 4 || b.size() < 4 || a == b) return false;
  if (a.front() != b.front() || a.back() != b.back()) return false;
  size_t first = 0, last = 0;  // what is the same at both ends
  const size_t shorter = std::min(a.size(), b.size());
  while (first < shorter && a[first] == b[first]) ++first;
  while (last < shorter - first && a[a.size() - 1 - last] == b[b.size() - 1 - last]) ++last;
  const size_t left_a = a.size() - first - last, left_b = b.size() - first - last;
  if (left_a + left_b == 1) return true;        // left out or doubled
  if (left_a == 1 && left_b == 1) return true;  // replaced
  return left_a == 2 && left_b == 2 && a[first] == b[first + 1] && a[first + 1] == b[first];
}

}  // namespace tasks::shift
