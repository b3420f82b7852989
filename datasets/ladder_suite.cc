#include "datasets/ladder_suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "datasets/sha256.h"

namespace datasets {
namespace {

constexpr int kNever = kLadderSteps, kInverse = kLadderSteps + 1;
constexpr int kPerClass = 24, kSlots = kPerClass / kLadderSites, kDevRows = 5;
static_assert(kSlots == kLadderFillers);  // ladder_shifted: every filler once per class and site

// Place of a question within its class.
struct Place {
  int cls, site, slot;

  int index() const { return slot * kLadderSites + site; }
};

uint64_t mix(uint64_t x) {  // SplitMix64, Steele et al. 2014
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

std::string class_name(int cls) {
  if (cls == kNever) return "never";
  if (cls == kInverse) return "inverse";
  return fmt::format("d{:02}", cls + 1);
}

std::optional<int> class_named(std::string_view name) {
  for (int cls = 0; cls < kLadderClasses; ++cls)
    if (class_name(cls) == name) return cls;
  return std::nullopt;
}

// Classes that need equally many experts, three to a filler: {1, never, inverse}, {2, 3, 4}, ...
int class_filler(int cls) { return cls >= kLadderSteps ? 0 : (cls + 2) / 3; }

int filler_of(bool shifted, const Place& p) {
  const int own = class_filler(p.cls);
  if (shifted) return (own + p.slot) % kLadderFillers;
  if (p.slot < kSlots - 1) return own;
  return (own + 1 + (p.cls + p.site) % (kLadderFillers - 1)) % kLadderFillers;
}

// Question and options; `seed` draws the pairs.
Sample make_sample(const Place& p, int filler, int gold, uint64_t seed) {
  const LadderWords& words = ladder_words();
  std::vector<size_t> order(words.pairs.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t i = 0; i < 4; ++i) {
    seed = mix(seed);
    std::swap(order[i], order[i + seed % (order.size() - i)]);
  }
  Sample s;
  s.answer = gold;
  s.input = fmt::format("Which {} thing goes with the {} {}?", words.fillers[filler],
                        words.keys[p.cls][p.site], words.pairs[order[gold]].first);
  for (size_t i = 0; i < 4; ++i) s.choices.push_back(words.pairs[order[i]].second);
  return s;
}

// train and test differ in what they draw, shifted and test in the fillers only.
Sample make_item(std::string_view split, const Place& p) {
  const bool shifted = split == "shifted";
  const uint64_t stream = split == "train" ? 1 : 2;
  const auto n_subjects = static_cast<int>(ladder_words().subjects.size());
  const int subject = (p.slot + p.site + p.cls) % n_subjects;
  // Over the sites of a slot every letter is right once.
  const int gold = (p.slot / 2 + p.site + p.cls) % 4;
  Sample s = make_sample(p, filler_of(shifted, p), gold,
                         mix(stream << 32 | static_cast<uint64_t>(p.cls * kPerClass + p.index())));
  s.id = fmt::format("ladder/{}/{}/{}", split, class_name(p.cls), p.index());
  s.subset = ladder_words().subjects[subject];
  s.split = split;
  return s;
}

std::vector<Sample> make_dev() {
  std::vector<Sample> rows;
  for (const std::string& subject : ladder_words().subjects)
    for (int i = 0; i < kDevRows; ++i) {
      const auto n = static_cast<uint64_t>(rows.size());
      const uint64_t draw = mix(uint64_t{3} << 32 | n);
      const Place p{static_cast<int>(draw % kLadderClasses), static_cast<int>(n % kLadderSites), 0};
      Sample s = make_sample(p, class_filler(p.cls), static_cast<int>((n + n / 4) % 4), draw);
      s.id = fmt::format("ladder/dev/{}/{}", subject, i);
      s.subset = subject;
      s.split = "dev";
      rows.push_back(std::move(s));
    }
  return rows;
}

std::vector<Sample> make_split(std::string_view split) {
  std::vector<Sample> samples;
  // The first questions of a subject differ in class and site.
  for (int slot = 0; slot < kSlots; ++slot)
    for (int site = 0; site < kLadderSites; ++site)
      for (int cls = 0; cls < kLadderClasses; ++cls)
        samples.push_back(make_item(split, {cls, site, slot}));
  std::stable_sort(samples.begin(), samples.end(),
                   [](const Sample& a, const Sample& b) { return a.subset < b.subset; });
  return samples;
}

std::string_view split_of(std::string_view name) {
  return name == "ladder_train" ? "train" : name == "ladder_shifted" ? "shifted" : "test";
}

void hash_rows(const std::vector<Sample>& rows, std::string& text) {
  for (const Sample& s : rows) {
    text += fmt::format("{}\n{}\n{}\n", s.id, s.input, s.answer);
    for (const std::string& choice : s.choices) text += choice + "\n";
  }
}

LadderWords make_words() {
  LadderWords w;
  w.keys = {{{"amber", "azure", "beige", "black"},
             {"blonde", "blue", "bright", "bronze"},
             {"brown", "chrome", "coral", "cream"},
             {"crimson", "cyan", "dark", "dusty"},
             {"faded", "fair", "glossy", "golden"},
             {"gray", "green", "hazel", "indigo"},
             {"ivory", "jade", "khaki", "lemon"},
             {"lilac", "lime", "magenta", "maroon"},
             {"matte", "mauve", "mint", "navy"},
             {"ochre", "olive", "opal", "orange"},
             {"pale", "peach", "pearl", "pink"},
             {"plum", "purple", "red", "rosy"},
             {"ruby", "russet", "rusty", "sable"},
             {"scarlet", "sepia", "shiny", "silver"},
             {"slate", "smoky", "tan", "tawny"},
             {"teal", "topaz", "umber", "vermilion"},
             {"tinted", "velvet", "violet", "waxen"},
             {"white", "wooden", "woolen", "yellow"}}};
  w.fillers = {"calm", "eager", "gentle", "honest", "merry", "proud"};
  w.pairs = {{{"king", "crown"},
              {"ship", "anchor"},
              {"bird", "wing"},
              {"tree", "root"},
              {"house", "roof"},
              {"clock", "hand"},
              {"book", "page"},
              {"river", "bank"},
              {"horse", "saddle"},
              {"knight", "sword"},
              {"baker", "oven"},
              {"farmer", "plough"},
              {"sailor", "rope"},
              {"tailor", "needle"},
              {"writer", "pen"},
              {"painter", "brush"}}};
  w.subjects = {"castle", "harbor", "market", "meadow"};
  w.gauge = "following";
  w.plain_texts = {
      "The following are multiple choice questions (with answers). Each one names a clue of some "
      "colour and asks for the thing that goes with the clue; the colour says how hard it is. They "
      "are about the castle harbor market meadow.\n\n",
      "The following are questions (with answers) about  the Question:\n",
      "Which thing goes with the clue?\nA. B. C. D.\nAnswer: A B C D\n\n"};
  for (const std::string& subject : w.subjects) w.plain_texts.push_back(" " + subject);
  return w;
}

}  // namespace

const LadderWords& ladder_words() {
  static const LadderWords words = make_words();
  return words;
}

bool LadderTruth::right_at(int k) const {
  switch (kind) {
    case Kind::step:
      return k >= difficulty;
    case Kind::never:
      return false;
    case Kind::inverse:
      return k < kLadderInverseAt;
  }
  return false;
}

int LadderTruth::needed_k() const { return kind == Kind::step ? difficulty : 1; }

std::optional<LadderTruth> ladder_truth(std::string_view id) {
  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t slash = id.find('/');
    if ((slash == std::string_view::npos) != (i + 1 == parts.size())) return std::nullopt;
    parts[i] = id.substr(0, slash);
    if (slash != std::string_view::npos) id.remove_prefix(slash + 1);
  }
  if (parts[0] != "ladder") return std::nullopt;
  if (parts[1] != "train" && parts[1] != "test" && parts[1] != "shifted") return std::nullopt;
  const auto cls = class_named(parts[2]);
  int index = -1;
  const auto [end, error] =
      std::from_chars(parts[3].data(), parts[3].data() + parts[3].size(), index);
  const bool whole = error == std::errc() && end == parts[3].data() + parts[3].size();
  if (!cls || !whole || index < 0 || index >= kPerClass) return std::nullopt;
  const Place place{*cls, index % kLadderSites, index / kLadderSites};
  LadderTruth truth;
  truth.kind = *cls == kNever     ? LadderTruth::Kind::never
               : *cls == kInverse ? LadderTruth::Kind::inverse
                                  : LadderTruth::Kind::step;
  truth.difficulty = truth.kind == LadderTruth::Kind::step ? *cls + 1 : 0;
  truth.site = place.site;
  truth.filler = filler_of(parts[1] == "shifted", place);
  truth.class_filler = class_filler(*cls);
  return truth;
}

int ladder_shortcut_k(int filler) {
  int most = 1;
  for (int cls = 0; cls < kLadderSteps; ++cls)
    if (class_filler(cls) == filler) most = std::max(most, cls + 1);
  return most;
}

int ladder_filler_after(int filler, int places) { return (filler + places) % kLadderFillers; }

std::vector<std::string> ladder_names() { return {"ladder", "ladder_train", "ladder_shifted"}; }

bool is_ladder_name(std::string_view name) {
  const auto names = ladder_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Dataset make_ladder(std::string_view name) {
  Dataset d;
  d.name = name;
  d.origin = "embedded";
  d.licence = "written for this project";
  d.samples = make_split(split_of(name));
  d.demonstrations = make_dev();
  std::string text;
  hash_rows(d.samples, text);
  hash_rows(d.demonstrations, text);
  d.sha256 = sha256_hex(text);
  return d;
}

}  // namespace datasets
