#include "tasks/shift.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

#include "datasets/recode_files.h"
#include "tasks/shift/family.h"
#include "tasks/strict_json.h"
#include "tasks/text.h"

namespace tasks {
namespace {

using datasets::Sample;
using shift::Family;

const std::array<Family, 17>& families() {
  static const std::array<Family, 17> all = {
      shift::typos_family(),          shift::layout_family(),      shift::option_order_family(),
      shift::option_symbols_family(), shift::distractors_family(), shift::padding_family(),
      shift::wrapper_family(),        shift::script_family(),      shift::code_mix_family(),
      shift::code_surface_family(),   shift::spoof_up_family(),    shift::spoof_down_family(),
      shift::gadget_up_family(),      shift::gadget_down_family(), shift::ladder_cue_family(),
      shift::recode_family(),         shift::neutral_family()};
  return all;
}

const Family& family(ShiftFamily id) {
  return *std::find_if(families().begin(), families().end(),
                       [&](const Family& f) { return f.id == id; });
}

std::string option_letter(size_t i) { return std::string(1, static_cast<char>('A' + i)); }

// The text of a field; labels that are not set are letters.
std::string field_text(const Sample& s, Edit::Field field, size_t index) {
  switch (field) {
    case Edit::Field::input:
      return s.input;
    case Edit::Field::choice:
      return s.choices.at(index);
    case Edit::Field::answer:
      return std::to_string(s.answer);
    case Edit::Field::symbol:
      return index < s.symbols.size() ? s.symbols[index] : option_letter(index);
    case Edit::Field::reference:
      return s.reference;
    case Edit::Field::test:
      return s.test;
    case Edit::Field::entry_point:
      return s.entry_point;
  }
  return {};
}

void set_field(Sample* s, Edit::Field field, size_t index, const std::string& text) {
  switch (field) {
    case Edit::Field::input:
      s->input = text;
      return;
    case Edit::Field::choice:
      s->choices.at(index) = text;
      return;
    case Edit::Field::answer:
      std::from_chars(text.data(), text.data() + text.size(), s->answer);
      return;
    case Edit::Field::symbol:
      while (s->symbols.size() < s->choices.size())
        s->symbols.push_back(option_letter(s->symbols.size()));
      s->symbols.at(index) = text;
      return;
    case Edit::Field::reference:
      s->reference = text;
      return;
    case Edit::Field::test:
      s->test = text;
      return;
    case Edit::Field::entry_point:
      s->entry_point = text;
      return;
  }
}

auto place(const Edit& e) { return std::tuple(e.field, e.index, e.at); }

// Makes the edits, or takes them back.
Sample replay(const Sample& from, const std::vector<Edit>& edits, bool back) {
  Sample out = from;
  for (size_t i = 0; i < edits.size();) {
    const auto [field, index, unused] = place(edits[i]);
    const std::string old = field_text(from, field, index);
    std::string text;
    size_t read = 0;      // of old
    size_t original = 0;  // the same place in the field before the shift
    for (; i < edits.size() && edits[i].field == field && edits[i].index == index; ++i) {
      const Edit& e = edits[i];
      const std::string &want = back ? e.after : e.before, &put = back ? e.before : e.after;
      if (e.at < original || read + (e.at - original) > old.size() ||
          old.compare(read + (e.at - original), want.size(), want) != 0)
        throw TaskError(fmt::format("{}: the log of a shift has {} at byte {}, which is not there",
                                    from.id, quote(want), e.at));
      text.append(old, read, e.at - original);
      text += put;
      read += e.at - original + want.size();
      original = e.at + e.before.size();
    }
    text.append(old, read);
    set_field(&out, field, index, text);
  }
  bool plain = true;
  for (size_t i = 0; i < out.symbols.size(); ++i) plain &= out.symbols[i] == option_letter(i);
  if (plain) out.symbols.clear();
  return out;
}

bool same(const Sample& a, const Sample& b) {
  return a.id == b.id && a.subset == b.subset && a.split == b.split && a.input == b.input &&
         a.choices == b.choices && a.answer == b.answer && a.target == b.target &&
         a.reference == b.reference && a.test == b.test && a.setup == b.setup &&
         a.entry_point == b.entry_point && a.symbols == b.symbols;
}

ShiftFamily family_named(std::string_view name, std::string_view whole) {
  for (const Family& f : families())
    if (name == f.name) return f.id;
  const std::string near = nearest(name, shift_families());
  throw TaskError(fmt::format("shift {}: unknown family {}, {}", quote(whole), quote(name),
                              near.empty()
                                  ? fmt::format("want one of {}", fmt::join(shift_families(), ", "))
                                  : fmt::format("the nearest is {}", near)));
}

// What stands behind "recode.": the method, and in place of a severity the draw.
Shift parse_recode(std::string_view text, std::string_view method, std::string_view draw) {
  std::vector<std::string> names;
  for (const auto& m : datasets::recode_methods()) names.emplace_back(m.name);
  const auto* found = datasets::find_recode_method(method);
  if (found == nullptr) {
    const std::string near = nearest(method, names);
    throw TaskError(fmt::format("shift {}: ReCode has no method {}, {}", quote(text), quote(method),
                                near.empty() ? fmt::format("want one of {}", fmt::join(names, ", "))
                                             : fmt::format("the nearest is {}", near)));
  }
  Shift s;
  s.family = ShiftFamily::recode;
  s.method = method;
  if (draw.size() != 1 || draw[0] < '0' || draw[0] >= '0' + found->draws)
    throw TaskError(fmt::format("shift {}: want recode.{}:draw, draw 0 to {}", quote(text), method,
                                found->draws - 1));
  s.severity = draw[0] - '0';
  return s;
}

}  // namespace

std::string shift_name(const Shift& s) {
  if (s.family == ShiftFamily::recode) return fmt::format("{}.{}", family(s.family).name, s.method);
  if (s.family != ShiftFamily::neutral) return family(s.family).name;
  return fmt::format("{}.{}", family(s.family).name, family(s.matched).name);
}

std::string shift_label(const Shift& s) { return fmt::format("{}:{}", shift_name(s), s.severity); }

Shift parse_shift(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const size_t dot = name.find('.');
  const std::string_view severity =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  Shift s;
  s.family = family_named(name.substr(0, dot), text);
  if (s.family == ShiftFamily::recode)
    return parse_recode(text, dot == std::string_view::npos ? "" : name.substr(dot + 1), severity);
  if (dot != std::string_view::npos) {
    if (s.family != ShiftFamily::neutral)
      throw TaskError(
          fmt::format("shift {}: only neutral is matched to another family", quote(text)));
    s.matched = family_named(name.substr(dot + 1), text);
    if (s.matched == ShiftFamily::neutral)
      throw TaskError(
          fmt::format("shift {}: neutral is matched to a family, not to itself", quote(text)));
    if (s.matched == ShiftFamily::recode)
      throw TaskError(
          fmt::format("shift {}: neutral is matched to a family that adds text, recode "
                      "changes it",
                      quote(text)));
  }
  if (severity.size() != 1 || severity[0] < '1' || severity[0] > '0' + kMostSeverity)
    throw TaskError(fmt::format("shift {}: want family:severity, severity 1 to {}", quote(text),
                                kMostSeverity));
  s.severity = severity[0] - '0';
  return s;
}

std::vector<std::string> shift_families() {
  std::vector<std::string> names;
  for (const Family& f : families())
    if (f.id != ShiftFamily::recode) names.emplace_back(f.name);
  return names;
}

std::string_view guarantee_name(Guarantee g) {
  static constexpr std::array kNames = {"words_close",       "same_folded_text",  "key_remapped",
                                        "symbols_bijective", "item_verbatim",     "closed_synonyms",
                                        "meaningless_word",  "script_invertible", "glossary",
                                        "program_passes"};
  return kNames.at(static_cast<size_t>(g));
}

std::string_view shift_about(const Shift& s) { return family(s.family).about; }

Guarantee guarantee_of(const Shift& s) { return family(s.family).guarantee; }

int shift_version(const Shift& s) {
  const int own = family(s.family).version;
  // How long a control is depends on what it is matched to.
  return s.family == ShiftFamily::neutral ? 100 * own + family(s.matched).version : own;
}

bool shift_draws(const Shift& s) {
  const int from = family(s.family == ShiftFamily::neutral ? s.matched : s.family).draws_from;
  return from > 0 && s.severity >= from;
}

std::string why_never(const Shift& s, bool has_lettered_options, bool runs_code) {
  const Family& f = family(s.family == ShiftFamily::neutral ? s.matched : s.family);
  if (runs_code && !f.for_code) return "it changes questions in words, and this task is code";
  if (!runs_code && !f.for_questions) return "it changes code, and this task has none";
  if (f.needs_letters && !has_lettered_options)
    return "it changes lettered options, and this task shows none";
  return {};
}

bool edits_question(const Shift& s) {
  return family(s.family).guarantee != Guarantee::item_verbatim;
}

ShiftOutcome apply_shift(const Shift& s, const Sample& sample, uint64_t seed) {
  const Family& f = family(s.family);
  if (shift::is_code(sample) ? !f.for_code : !f.for_questions)
    return {std::nullopt, why_never(s, true, shift::is_code(sample))};
  Family::Plan plan = f.plan({s, sample, seed});
  if (plan.edits.empty()) return {std::nullopt, std::move(plan.why_not)};
  std::stable_sort(plan.edits.begin(), plan.edits.end(),
                   [](const Edit& a, const Edit& b) { return place(a) < place(b); });
  Shifted out{replay(sample, plan.edits, false), std::move(plan.edits)};
  return {std::move(out), {}};
}

Sample undo_shift(const Shifted& s) { return replay(s.sample, s.edits, true); }

std::string broken_guarantee(const Shift& s, const Sample& original, const Shifted& shifted) {
  try {
    if (!same(undo_shift(shifted), original)) return "the log does not lead back to the original";
  } catch (const TaskError& e) {
    return e.what();
  }
  const Sample& now = shifted.sample;
  if (now.id != original.id || now.subset != original.subset) return "the sample's name changed";
  const bool moved = s.family == ShiftFamily::option_order;
  if (!moved && (now.choices != original.choices || now.answer != original.answer))
    return "options or key changed";
  if (now.target != original.target) return "the answer that is asked for changed";
  if (s.family != ShiftFamily::option_symbols && now.symbols != original.symbols)
    return "labels changed";
  const bool program = family(s.family).guarantee == Guarantee::program_passes;
  if (!program && (now.reference != original.reference || now.test != original.test ||
                   now.entry_point != original.entry_point))
    return "the program or its tests changed";
  return family(s.family).check(s, original, shifted);
}

}  // namespace tasks
