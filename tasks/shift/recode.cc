// Owns the family recode: a HumanEval problem as one of ReCode's official files changes it (Wang et
// al. 2022). Its text comes from the file; what the file leaves wrong is set right here, in the
// solution and in the tests but never in the prompt: a new name is used there too, and blanks
// follow tabs.
#include <fmt/format.h>

#include <algorithm>

#include "tasks/shift/family.h"
#include "tasks/shift/python_text.h"
#include "tasks/shift/recode_broken.h"

namespace tasks::shift {
namespace {

using datasets::Sample;

bool is_broken(const Shift& s, std::string_view id) {
  const std::string number = fmt::format(" {} ", id.substr(id.rfind('/') + 1));
  return std::any_of(kRecodeBroken.begin(), kRecodeBroken.end(), [&](const RecodeBroken& b) {
    return b.method == s.method && (b.draw < 0 || b.draw == s.severity) &&
           b.problems.find(number) != std::string_view::npos;
  });
}

// A prompt that ends within a string has lost the quotes that close its description.
bool ends_within_a_string(std::string_view prompt) {
  const std::string probe = std::string(prompt) + "\nx";
  return python_parts(probe).back() != PythonPart::code;
}

bool is_inner_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The one replacement that makes `to` of `from`, without what both begin and end with.
void put_change(Edit::Field field, const std::string& from, const std::string& to,
                std::vector<Edit>* out) {
  if (from == to) return;
  const size_t most = std::min(from.size(), to.size());
  size_t begin = 0, end = 0;
  while (begin < most && from[begin] == to[begin]) ++begin;
  while (begin > 0 && ((begin < from.size() && is_inner_byte(from[begin])) ||
                       (begin < to.size() && is_inner_byte(to[begin]))))
    --begin;
  while (end < most - begin && from[from.size() - 1 - end] == to[to.size() - 1 - end]) ++end;
  while (end > 0 && is_inner_byte(from[from.size() - end])) --end;
  out->push_back({field, 0, begin, from.substr(begin, from.size() - begin - end),
                  to.substr(begin, to.size() - begin - end), "recode"});
}

std::string renamed(const std::string& text, std::string_view from, std::string_view to) {
  const auto parts = python_parts(text);
  std::string out;
  size_t read = 0;
  for (const size_t at : places_of_name(text, from)) {
    if (parts[at] != PythonPart::code || (at > 0 && text[at - 1] == '.')) continue;
    out.append(text, read, at - read);
    out += to;
    read = at + from.size();
  }
  return out.append(text, read);
}

// Four blanks at the beginning of a line become a tab.
std::string with_tabs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t line = std::min(text.find('\n'), text.size() - 1) + 1;
    size_t at = 0;
    for (; text.substr(at, line - at).starts_with("    "); at += 4) out += '\t';
    out += text.substr(at, line - at);
    text.remove_prefix(line);
  }
  return out;
}

const Sample* find_problem(const Shift& s, const std::string& id) {
  const auto& all = s.forms->samples;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Sample& p) { return p.id == id; });
  return found == all.end() ? nullptr : &*found;
}

Family::Plan plan_recode(const Request& r) {
  const Sample& s = r.sample;
  if (!r.shift.forms) return cannot("ReCode's official files were not given");
  const Sample* form = find_problem(r.shift, s.id);
  if (form == nullptr) return cannot("the official file has no such problem");
  if (form->test != s.test) return cannot("its tests are others than the official file's");
  if (form->input == s.input) return cannot("the official file leaves it as it is");
  if (ends_within_a_string(form->input))
    return cannot("the official file breaks the quotes of its description");
  if (is_broken(r.shift, s.id)) return cannot("its solution fails in the official file");
  Family::Plan out;
  const bool other_name = form->entry_point != s.entry_point;
  std::string solution = form->reference, test = s.test;
  if (other_name) {
    solution = renamed(solution, s.entry_point, form->entry_point);
    test = renamed(test, s.entry_point, form->entry_point);
  }
  if (r.shift.method == "tab_indent") solution = with_tabs(solution);
  put_change(Edit::Field::input, s.input, form->input, &out.edits);
  put_change(Edit::Field::reference, s.reference, solution, &out.edits);
  put_change(Edit::Field::test, s.test, test, &out.edits);
  if (other_name)
    out.edits.push_back(
        {Edit::Field::entry_point, 0, 0, s.entry_point, form->entry_point, "rename"});
  return out;
}

std::string check_recode(const Shift& s, const Sample& original, const Shifted& shifted) {
  const Sample& now = shifted.sample;
  const Sample* form = s.forms ? find_problem(s, original.id) : nullptr;
  if (form == nullptr || now.input != form->input) return "the prompt is not the official file's";
  if (now.entry_point != form->entry_point) return "the name is not the official file's";
  if (now.test != renamed(original.test, original.entry_point, now.entry_point))
    return "more than the name changed in the tests";
  const auto places = places_of_name(now.input, now.entry_point);
  if (std::none_of(places.begin(), places.end(),
                   [&](size_t at) { return at >= 4 && now.input.compare(at - 4, 4, "def ") == 0; }))
    return fmt::format("the prompt defines no function {}", now.entry_point);
  return {};
}

}  // namespace

Family recode_family() {
  return {.id = ShiftFamily::recode,
          .about = "as ReCode's official files change it; in place of a severity their draw",
          .name = "recode",
          .version = 1,
          .guarantee = Guarantee::program_passes,
          .draws_from = 0,
          .for_questions = false,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_recode,
          .check = check_recode};
}

}  // namespace tasks::shift
