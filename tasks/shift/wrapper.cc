// Owns the family template: a polite request before the question; the opening of an exam paper;
// that opening and the question's stem in other words, phrase by phrase from a closed list.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "tasks/shift/fixed_texts.h"
#include "tasks/shift/text_before.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr std::string_view kAfterWrapper = "\n";

constexpr std::array<std::string_view, 4> kPolite = {
    "Could you please help me with this?", "I would be grateful for an answer to this one, please.",
    "Please have a look at the following and answer it.",
    "Hello, I hope you can help me with the following."};

constexpr std::array<std::string_view, 4> kExam = {
    "Final examination. Read each item with care; there is exactly one right answer to it. Marks "
    "are "
    "given for the right answer only.",
    "Practice paper. Work on your own and answer every item in the space that is provided for it.",
    "Module test. Answer the item below. Use of notes and books is not permitted.",
    "Entrance assessment, general part. Every item carries equal marks; begin when you are ready."};

constexpr std::array<std::string_view, 3> kRules = {
    "Notes for candidates: work quietly, do not hurry, and look over what you have written when "
    "you "
    "are done.",
    "General remarks: there is time enough for every part of this paper, and parts may be answered "
    "in "
    "any order.",
    "Instructions: write clearly, keep to the order of the paper, and hand in everything at the "
    "end."};

constexpr std::array<FixedTexts, 3> kTexts = {FixedTexts(kPolite), FixedTexts(kExam),
                                              FixedTexts(kRules)};

// Stem phrases that ask the same. Longer ones first; whole words only; no term of any subject.
constexpr std::array<std::pair<std::string_view, std::string_view>, 52> kPhrases = {{
    {"Which one of the following", "Which of these"},
    {"which one of the following", "which of these"},
    {"Which of the following", "Which of these"},
    {"which of the following", "which of these"},
    {"Each of the following", "Each of these"},
    {"each of the following", "each of these"},
    {"All of the following", "All of these"},
    {"all of the following", "all of these"},
    {"one of the following", "one of these"},
    {"In order to", "So as to"},
    {"in order to", "so as to"},
    {"because of", "owing to"},
    {"is most likely to", "will most probably"},
    {"the most likely", "the most probable"},
    {"is known as", "goes by the name of"},
    {"best describes", "is the best description of"},
    {"best explains", "is the best explanation of"},
    {"is an example of", "is a case of"},
    {"How many", "What number of"},
    {"how many", "what number of"},
    {"Suppose that", "Let us say that"},
    {"Assume that", "Let us say that"},
    {"Suppose", "Let us say"},
    {"Given that", "Knowing that"},
    {"According to", "As stated by"},
    {"What is", "What's"},
    {"what is", "what's"},
    {"Who is", "Who's"},
    {"What type of", "What kind of"},
    {"Which type of", "Which kind of"},
    {"What kind of", "What sort of"},
    {"Why is", "For what reason is"},
    {"Why are", "For what reason are"},
    {"Why do", "For what reason do"},
    {"Why does", "For what reason does"},
    {"Why did", "For what reason did"},
    {"Why was", "For what reason was"},
    {"In what year", "In which year"},
    {"In what", "In which"},
    {"at what", "at which"},
    {"For what", "For which"},
    {"Where is", "In what place is"},
    {"Where are", "In what place are"},
    {"For example", "For instance"},
    {"for example", "for instance"},
    {"usually", "as a rule"},
    {"often", "frequently"},
    {"approximately", "roughly"},
    {"Calculate", "Work out"},
    {"Determine", "Work out"},
    {"Compute", "Work out"},
    {"Find the", "Work out the"},
}};

bool is_word_byte(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '\'';
}

std::vector<Edit> rephrased(const std::string& text) {
  std::vector<Edit> out;
  for (size_t at = 0; at < text.size();) {
    const bool starts_word = is_letter(text[at]) && (at == 0 || !is_word_byte(text[at - 1]));
    const std::pair<std::string_view, std::string_view>* found = nullptr;
    for (const auto& phrase : kPhrases) {
      const size_t end = at + phrase.first.size();
      if (starts_word && !found && text.compare(at, phrase.first.size(), phrase.first) == 0 &&
          (end == text.size() || !is_word_byte(text[end])))
        found = &phrase;
    }
    if (found == nullptr) {
      ++at;
      continue;
    }
    out.push_back({Edit::Field::input, 0, at, std::string(found->first), std::string(found->second),
                   "phrase"});
    at += found->first.size();
  }
  return out;
}

Family::Plan plan_wrapper(const Request& r) {
  Family::Plan out;
  if (r.shift.severity == 3) {
    if (is_code(r.sample) || !r.sample.test.empty())
      return cannot("severity 3 rewords questions, and this asks for code");
    out.edits = rephrased(r.sample.input);
    if (out.edits.empty()) return cannot("its stem has no phrase of the list");
  }
  std::string text = drawn_texts(kTexts, r, "template");
  if (is_code(r.sample)) text = wrapped(text);
  out.edits.insert(out.edits.begin(), text_before(r.sample, text, kAfterWrapper, "wrapper"));
  return out;
}

bool is_phrase(const Edit& e) {
  for (const auto& [from, to] : kPhrases)
    if (e.before == from && e.after == to) return true;
  return false;
}

std::string check_wrapper(const Shift& s, const datasets::Sample& original,
                          const Shifted& shifted) {
  // The item as it should stand behind the wrapper.
  datasets::Sample item = original;
  for (const Edit& e : shifted.edits) {
    if (e.rule == "wrapper") continue;
    if (s.severity < 3 || !is_phrase(e)) return fmt::format("'{}' is not of the list", e.before);
  }
  if (s.severity == 3) {
    item.input = shifted.sample.input.substr(shifted.edits.front().after.size());
  }
  auto put = text_put_before(item, shifted.sample, kAfterWrapper);
  if (!put) return "the item does not stand behind the wrapper";
  if (is_code(original)) {
    for (const auto& polite : kPolite)
      for (const auto& exam : kExam) {
        if (s.severity == 1 && *put == wrapped(polite)) return {};
        if (s.severity == 2 && *put == wrapped(fmt::format("{}\n{}", exam, polite))) return {};
      }
    return "the wrapper is none of the list";
  }
  return is_of_texts(kTexts, s.severity, *put) ? "" : "the wrapper is none of the list";
}

}  // namespace

Family wrapper_family() {
  return {.id = ShiftFamily::wrapper,
          .about = "a polite request; an exam's opening; and the stem in words of a closed list",
          .name = "template",
          .version = 1,
          .guarantee = Guarantee::closed_synonyms,
          .draws_from = 1,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_wrapper,
          .check = check_wrapper};
}

}  // namespace tasks::shift
