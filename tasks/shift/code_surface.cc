// Owns the family code_surface: two changes of layout around a function and in its description
// (blank lines, a comment, tabs, the other quotes); and another name of the function; and words of
// the description misspelt. Name and tests change together. Examples keep arguments and results.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tasks/shift/draws.h"
#include "tasks/shift/family.h"
#include "tasks/shift/misspell.h"
#include "tasks/shift/python_text.h"
#include "tasks/shift/words.h"

namespace tasks::shift {
namespace {

constexpr int kTypoPercent = 10;
constexpr size_t kLayouts = 2;
constexpr std::string_view kComment = "# Complete the body below.\n";

struct Line {
  size_t begin = 0, end = 0;  // without the line's end
  bool example = false;       // ">>> call" or the result below it
};

std::vector<Line> docstring_lines(std::string_view s, const Docstring& d) {
  std::vector<Line> out;
  bool result = false;
  for (size_t at = d.begin; at < d.end;) {
    const size_t end = std::min(d.end, s.find('\n', at));
    const auto line = s.substr(at, end - at);
    const bool call = line.find(">>>") != std::string_view::npos;
    const bool empty = line.find_first_not_of(" \t") == std::string_view::npos;
    out.push_back({at, end, call || (result && !empty)});
    result = call || (result && !empty);
    at = end + 1;
  }
  return out;
}

// Turns four blanks at the beginning of the description's own lines into tabs.
std::vector<Edit> tabs(std::string_view s, const PythonFunction& f) {
  std::vector<Edit> out;
  if (!f.has_docstring) return out;
  for (const Line& line : docstring_lines(s, f.docstring)) {
    if (line.begin == f.docstring.begin || line.example) continue;
    size_t n = 0;
    while (line.begin + n < line.end && s[line.begin + n] == ' ') ++n;
    if (n < 4 || line.begin + n == line.end) continue;
    out.push_back({Edit::Field::input, 0, line.begin, std::string(n / 4 * 4, ' '),
                   std::string(n / 4, '\t'), "tabs"});
  }
  return out;
}

std::vector<Edit> other_quotes(std::string_view s, const PythonFunction& f) {
  if (!f.has_docstring) return {};
  const Docstring& d = f.docstring;
  const char now = s[d.quotes], other = now == '"' ? '\'' : '"';
  const auto text = s.substr(d.begin, d.end - d.begin);
  if (text.empty() || text.find(std::string(3, other)) != std::string_view::npos ||
      text.back() == other || text.back() == '\\')
    return {};
  const std::string before(3, now), after(3, other);
  return {{Edit::Field::input, 0, d.quotes, before, after, "quotes"},
          {Edit::Field::input, 0, d.end, before, after, "quotes"}};
}

std::vector<Edit> layout(const datasets::Sample& s, const PythonFunction& f, Draws& draws) {
  std::vector<std::vector<Edit>> all;
  all.push_back({{Edit::Field::input, 0, f.def_line, "", std::string(kComment), "comment"}});
  if (f.has_docstring)
    all.push_back({{Edit::Field::input, 0, f.body_line, "", "\n", "blank line"}});
  if (auto edits = other_quotes(s.input, f); !edits.empty()) all.push_back(edits);
  if (auto edits = tabs(s.input, f); !edits.empty()) all.push_back(edits);
  std::vector<Edit> out;
  const auto order = draws.order(all.size());
  for (size_t i = 0; i < std::min(kLayouts, order.size()); ++i)
    out.insert(out.end(), all[order[i]].begin(), all[order[i]].end());
  return out;
}

std::string camel_case(std::string_view name) {
  std::string out;
  bool up = false;
  for (const char c : name) {
    if (c == '_' && !out.empty())
      up = true;
    else
      out += up && is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
    up &= c == '_';
  }
  return out;
}

// A name that stands nowhere in the sample.
std::string new_name(const datasets::Sample& s, Draws& draws) {
  const std::string& name = s.entry_point;
  const std::array<std::string, 5> candidates = {camel_case(name), "my_" + name, name + "_impl",
                                                 "do_" + name, "compute_" + name};
  for (const size_t i : draws.order(candidates.size())) {
    const auto& c = candidates[i];
    bool taken = false;
    for (const std::string* text : {&s.input, &s.reference, &s.test})
      taken |= text->find(c) != std::string::npos;
    if (c != name && !taken) return c;
  }
  return {};
}

// In code everywhere; in strings only where the function is called and only in the prompt, whose
// strings describe: strings of tests and solutions are data.
std::vector<Edit> renamed(const datasets::Sample& s, const std::string& to) {
  std::vector<Edit> out;
  const std::string& name = s.entry_point;
  const auto field = [&](Edit::Field where, const std::string& text) {
    const auto parts = python_parts(text);
    for (const size_t at : places_of_name(text, name)) {
      const size_t end = at + name.size();
      const bool called = end < text.size() && text[end] == '(';
      const bool method = at > 0 && text[at - 1] == '.';
      if (method || (parts[at] != PythonPart::code && !(where == Edit::Field::input && called)))
        continue;
      out.push_back({where, 0, at, name, to, "rename"});
    }
  };
  field(Edit::Field::input, s.input);
  field(Edit::Field::reference, s.reference);
  field(Edit::Field::test, s.test);
  out.push_back({Edit::Field::entry_point, 0, 0, name, to, "rename"});
  return out;
}

// Words of solution, tests, signature and quoted text: names and values.
std::set<std::string> words_that_mean(const datasets::Sample& s, const PythonFunction& f) {
  std::set<std::string> out = words_of(s.reference);
  out.merge(words_of(s.test));
  const size_t code_end = f.has_docstring ? f.docstring.quotes : s.input.size();
  out.merge(words_of(std::string_view(s.input).substr(0, code_end)));
  return out;
}

Family::Plan typos(const datasets::Sample& s, const PythonFunction& f, uint64_t seed) {
  Family::Plan out;
  if (!f.has_docstring) return cannot("its function has no description");
  const auto kept = words_that_mean(s, f);
  struct Place {
    size_t at;
    std::string word;
  };
  std::vector<Place> words;
  for (const Line& line : docstring_lines(s.input, f.docstring)) {
    const auto text = std::string_view(s.input).substr(line.begin, line.end - line.begin);
    // A line with brackets, quotes or a call is an example or speaks of values.
    if (line.example || text.find_first_of("()[]{}'\"`=>") != std::string_view::npos) continue;
    for (const Token& t : tokens_of(text, kept))
      if (t.is_free) words.push_back({line.begin + t.core_begin, std::string(t.core(text))});
  }
  std::set<std::string> taken = kept;
  taken.merge(words_of(s.input));
  const size_t n = share(words.size(), kTypoPercent, 1);
  for (const size_t i : Draws(seed, s.id, "code_surface", 2).order(words.size())) {
    if (out.edits.size() == n) break;
    Draws draws(seed, s.id, "code_surface", 3 + i);
    const Slip slip = misspell(words[i].word, taken, draws);
    if (!slip.word.empty())
      out.edits.push_back(
          {Edit::Field::input, 0, words[i].at, words[i].word, slip.word, "typo " + slip.rule});
  }
  if (out.edits.empty()) return cannot("no word of its description may be misspelt");
  return out;
}

Family::Plan plan_code_surface(const Request& r) {
  const datasets::Sample& s = r.sample;
  PythonFunction f;
  if (!find_function(s.input, s.entry_point, &f))
    return cannot(fmt::format("it defines no function {}", s.entry_point));
  Draws draws(r.seed, s.id, "code_surface", 0);
  Family::Plan out{layout(s, f, draws), {}};
  if (r.shift.severity >= 2) {
    Draws names(r.seed, s.id, "code_surface", 1);
    const auto to = new_name(s, names);
    if (to.empty()) return cannot("every other name is taken");
    const auto more = renamed(s, to);
    out.edits.insert(out.edits.end(), more.begin(), more.end());
  }
  if (r.shift.severity >= 3) {
    auto more = typos(s, f, r.seed);
    if (more.edits.empty()) return cannot(more.why_not);
    out.edits.insert(out.edits.end(), more.edits.begin(), more.edits.end());
  }
  return out;
}

bool is_layout(const Edit& e) {
  if (e.before.empty()) return e.after == kComment || e.after == "\n";
  if (e.rule == "quotes")
    return (e.before == "\"\"\"" && e.after == "'''") || (e.before == "'''" && e.after == "\"\"\"");
  return e.before.find_first_not_of(' ') == std::string::npos &&
         e.after.find_first_not_of('\t') == std::string::npos &&
         e.before.size() == 4 * e.after.size();
}

std::string check_code_surface(const Shift& s, const datasets::Sample& original,
                               const Shifted& shifted) {
  const datasets::Sample& now = shifted.sample;
  if ((now.entry_point == original.entry_point) != (s.severity < 2))
    return "the name changed at another severity than it should";
  PythonFunction f;
  if (!find_function(now.input, now.entry_point, &f))
    return fmt::format("the prompt defines no function {}", now.entry_point);
  for (const auto* text : {&now.input, &now.reference, &now.test}) {
    const auto parts = python_parts(*text);
    for (const size_t at : places_of_name(*text, original.entry_point))
      if (s.severity >= 2 && parts[at] == PythonPart::code && (at == 0 || (*text)[at - 1] != '.'))
        return "the old name is still used in code";
  }
  for (const Edit& e : shifted.edits) {
    const bool name = e.before == original.entry_point && e.after == now.entry_point;
    if (s.severity >= 2 && name) continue;
    if (e.field != Edit::Field::input) return "more than the name changed in program or tests";
    if (is_layout(e) || (s.severity >= 3 && is_slip(e.before, e.after))) continue;
    return fmt::format("'{}' became '{}'", e.before, e.after);
  }
  return {};
}

}  // namespace

Family code_surface_family() {
  return {
      .id = ShiftFamily::code_surface,
      .about = "layout; and another function name, tests included; and typos in the description",
      .name = "code_surface",
      .version = 1,
      .guarantee = Guarantee::program_passes,
      .draws_from = 1,
      .for_questions = false,
      .for_code = true,
      .needs_letters = false,
      .plan = plan_code_surface,
      .check = check_code_surface};
}

}  // namespace tasks::shift
