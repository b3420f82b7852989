#include "tasks/shift/sentences.h"

#include <algorithm>
#include <array>

#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr std::array<std::string_view, 20> kWho = {
    "The baker",        "A tired postman",   "The librarian",    "My neighbour",
    "The ferry pilot",  "A quiet gardener",  "The piano tuner",  "An old carpenter",
    "The beekeeper",    "A young florist",   "The night porter", "Our plumber",
    "The choir leader", "A cheerful waiter", "The shopkeeper",   "A retired tailor",
    "The park warden",  "The puppet maker",  "A careful potter", "The kite seller"};

constexpr std::array<std::string_view, 20> kDid = {
    "sorted the wooden trays",    "folded the spare blankets",  "polished a brass handle",
    "watered the window boxes",   "swept the front steps",      "mended a torn umbrella",
    "tied up the parcels",        "painted the garden fence",   "stacked the empty crates",
    "looked for the lost gloves", "hung up the wet coats",      "stirred the vegetable soup",
    "wound the hallway clock",    "carried the folding chairs", "rinsed the teacups",
    "patched an old pillow",      "wrapped the ceramic bowls",  "greased the bicycle chain",
    "labelled the jam jars",      "brushed the grey donkey"};

constexpr std::array<std::string_view, 20> kWhere = {
    "before breakfast",     "behind the cottage",     "in the afternoon",
    "beside the fountain",  "after the drizzle",      "under the awning",
    "near the bus shelter", "while whistling a tune", "without any hurry",
    "on the balcony",       "at the corner cafe",     "just after sunrise",
    "along the hedge",      "in the laundry room",    "during the lunch break",
    "by the duck pond",     "on a breezy evening",    "next to the bakery",
    "in the attic",         "as the kettle boiled"};

// Words of four letters or more that carry no content.
constexpr std::array<std::string_view, 44> kFunctionWords = {
    "that",  "with",  "from",   "this",   "were",  "have",   "been",    "they",  "their",
    "which", "what",  "when",   "where",  "while", "will",   "would",   "could", "should",
    "there", "these", "those",  "into",   "upon",  "after",  "before",  "under", "over",
    "near",  "next",  "behind", "beside", "along", "during", "without", "just",  "about",
    "such",  "than",  "then",   "them",   "some",  "most",   "more",    "also"};

bool disjoint(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::none_of(a.begin(), a.end(), [&](const std::string& w) { return b.contains(w); });
}

}  // namespace

std::set<std::string> content_words(std::string_view text) {
  std::set<std::string> out;
  for (const auto& w : words_of(text))
    if (w.size() >= 4 &&
        std::find(kFunctionWords.begin(), kFunctionWords.end(), w) == kFunctionWords.end())
      out.insert(w.ends_with('s') ? w.substr(0, w.size() - 1) : w);  // one and several
  return out;
}

std::vector<std::string> unrelated_sentences(size_t n, const std::set<std::string>& avoided,
                                             Draws& draws) {
  // Parts that share a word are out; of the rest, pairs never repeat before all have been used.
  const auto usable = [&](const auto& parts) {
    std::vector<std::string_view> out;
    for (const auto part : parts)
      if (disjoint(content_words(part), avoided)) out.push_back(part);
    return out;
  };
  const auto who = usable(kWho), did = usable(kDid), where = usable(kWhere);
  const size_t n_all = who.size() * did.size() * where.size();
  std::vector<std::string> out;
  std::set<size_t> used;
  while (out.size() < std::min(n, n_all)) {
    const size_t pick = draws.index(n_all);
    if (!used.insert(pick).second) continue;
    std::string sentence(who[pick % who.size()]);
    sentence += ' ';
    sentence += did[pick / who.size() % did.size()];
    sentence += ' ';
    sentence += where[pick / who.size() / did.size()];
    sentence += '.';
    out.push_back(std::move(sentence));
  }
  return out;
}

bool is_unrelated_sentence(std::string_view s) {
  const auto take = [&](const auto& parts) {
    for (const std::string_view part : parts)
      if (s.starts_with(part)) {
        s.remove_prefix(part.size());
        if (s.starts_with(" ")) s.remove_prefix(1);
        return true;
      }
    return false;
  };
  return take(kWho) && take(kDid) && take(kWhere) && s == ".";
}

}  // namespace tasks::shift
