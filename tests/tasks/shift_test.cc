// Shifts hold what they promise on every sample: the guarantee, the way back, the same bytes from
// the same seed, and more change at a higher severity.
#include "tasks/shift.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "datasets/catalog.h"
#include "datasets/ladder_suite.h"
#include "datasets/sha256.h"
#include "tasks/task.h"

namespace tasks {
namespace {

using datasets::Sample;

// Bytes inserted, left out or replaced.
size_t distance(std::string_view a, std::string_view b) {
  if (b.ends_with(a)) return b.size() - a.size();
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

std::string text_of(const Sample& s) {
  std::string out = s.input;
  for (size_t i = 0; i < s.choices.size(); ++i)
    out += "\n" + (s.symbols.empty() ? std::string(1, char('A' + i)) : s.symbols[i]) + ". " +
           s.choices[i];
  return out;
}

std::string all_bytes(const Shifted& s) {
  std::string out = text_of(s.sample) + "\n" + std::to_string(s.sample.answer) + "\n" +
                    s.sample.reference + "\n" + s.sample.test + "\n" + s.sample.entry_point;
  for (const Edit& e : s.edits)
    out += "\n" + std::to_string(static_cast<int>(e.field)) + " " + std::to_string(e.index) + " " +
           std::to_string(e.at) + " " + e.before + " " + e.after + " " + e.rule;
  return out;
}

std::string digits_of(std::string_view s) {
  std::string out;
  std::copy_if(s.begin(), s.end(), std::back_inserter(out),
               [](char c) { return c >= '0' && c <= '9'; });
  return out;
}

// The built-in samples, and with MOEVAL_DATA 703 real questions and every real program.
std::vector<Sample> mmlu_samples() {
  auto out = datasets::load("mmlu_embedded", {}, {}).samples;
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) return out;
  const auto data = datasets::load("mmlu", roots, {});
  for (size_t i = 0; i < data.samples.size(); i += 20) out.push_back(data.samples[i]);
  return out;
}

std::vector<Sample> code_samples() {
  auto out = datasets::load("humaneval_embedded", {}, {}).samples;
  const auto roots = datasets::default_search_roots();
  if (roots.empty()) return out;
  const auto data = datasets::load("humaneval", roots, {});
  out.insert(out.end(), data.samples.begin(), data.samples.end());
  return out;
}

std::vector<Shift> shifts_of(ShiftFamily family) {
  std::vector<Shift> out;
  for (int severity = 1; severity <= kMostSeverity; ++severity) {
    out.push_back({family, severity});
    if (family != ShiftFamily::gadget_up && family != ShiftFamily::gadget_down) continue;
    for (int i = 0; i < severity; ++i) out.back().text += "olive JC velvet";
  }
  return out;
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    samples_ = mmlu_samples();
    const auto code = code_samples();
    samples_.insert(samples_.end(), code.begin(), code.end());
    if (datasets::default_search_roots().empty())
      std::printf("MOEVAL_DATA is not set: only %zu built-in samples\n", samples_.size());
  }
  ShiftFamily family() const { return parse_shift(GetParam() + ":1").family; }
  // Real questions and programs; for the family of the ladder its own.
  const std::vector<Sample>& samples() const {
    return family() == ShiftFamily::ladder_cue ? ladder_ : samples_;
  }
  static std::vector<Sample> samples_, ladder_;
};
std::vector<Sample> EveryFamily::samples_;
std::vector<Sample> EveryFamily::ladder_ = datasets::make_ladder("ladder").samples;

TEST_P(EveryFamily, KeepsItsGuaranteeOnEverySample) {
  std::map<std::string, int> why_not;
  for (const Shift& shift : shifts_of(family())) {
    size_t applied = 0, fitting = 0;
    for (const Sample& s : samples()) {
      const bool code = s.choices.empty();
      const auto out = apply_shift(shift, s, 7);
      ASSERT_NE(out.shifted.has_value(), !out.why_not.empty()) << s.id;
      if (!why_never(shift, true, code).empty()) {
        EXPECT_FALSE(out.shifted) << s.id;
        continue;
      }
      fitting += !(code && shift == Shift{ShiftFamily::wrapper, 3});  // rewords questions only
      if (!out.shifted) {
        ++why_not[shift_label(shift) + ": " + out.why_not];
        continue;
      }
      ++applied;
      ASSERT_EQ(broken_guarantee(shift, s, *out.shifted), "") << s.id << "\n"
                                                              << out.shifted->sample.input;
      EXPECT_NE(all_bytes(*out.shifted), all_bytes({s, {}})) << s.id;
      // Said again without the family's own check.
      const Sample& now = out.shifted->sample;
      EXPECT_EQ(now.id, s.id);
      if (!code) {
        EXPECT_EQ(now.choices[size_t(now.answer)], s.choices[size_t(s.answer)]) << s.id;
        EXPECT_EQ(std::set<std::string>(now.choices.begin(), now.choices.end()),
                  std::set<std::string>(s.choices.begin(), s.choices.end()));
        EXPECT_TRUE(digits_of(now.input).ends_with(digits_of(s.input))) << s.id;
      }
    }
    // The closed list of phrases fits 38% of MMLU and the glossary 94, 83 and 66%; every other
    // family nearly everything.
    const size_t percent = shift == Shift{ShiftFamily::wrapper, 3} ? 20
                           : shift.family == ShiftFamily::code_mix ? 60
                                                                   : 85;
    EXPECT_GT(applied * 100, fitting * percent) << shift_label(shift);
    RecordProperty(shift_label(shift), std::to_string(applied) + " of " + std::to_string(fitting));
    std::printf("%s: %zu of %zu samples\n", shift_label(shift).c_str(), applied, fitting);
  }
  for (const auto& [why, n] : why_not) std::printf("  not: %s (%d)\n", why.c_str(), n);
}

TEST_P(EveryFamily, GivesTheSameBytesFromTheSameSeedOnly) {
  for (const Shift& shift : shifts_of(family())) {
    size_t differs = 0, n = 0;
    for (size_t i = 0; i < samples().size(); i += 7) {
      const auto a = apply_shift(shift, samples()[i], 7), b = apply_shift(shift, samples()[i], 7),
                 c = apply_shift(shift, samples()[i], 8);
      ASSERT_EQ(a.why_not, b.why_not);
      if (!a.shifted) continue;
      ASSERT_EQ(all_bytes(*a.shifted), all_bytes(*b.shifted));
      ++n;
      differs += c.shifted && all_bytes(*a.shifted) != all_bytes(*c.shifted);
    }
    ASSERT_GT(n, 0u);
    EXPECT_EQ(differs > 0, shift_draws(shift)) << shift_label(shift);
  }
}

TEST_P(EveryFamily, ChangesMoreAtAHigherSeverity) {
  if (family() == ShiftFamily::option_order || family() == ShiftFamily::ladder_cue)
    GTEST_SKIP() << "its severity is a place, not a size";
  size_t n = 0;
  std::vector<double> sum(kMostSeverity);
  // One question in three: the distances take time.
  for (size_t i = 0; i < samples().size(); i += samples()[i].choices.empty() ? 1 : 3) {
    std::vector<size_t> d;
    for (const Shift& shift : shifts_of(family())) {
      const auto out = apply_shift(shift, samples()[i], 7);
      if (out.shifted) d.push_back(distance(text_of(samples()[i]), text_of(out.shifted->sample)));
    }
    if (d.size() != kMostSeverity) continue;
    ++n;
    for (size_t s = 0; s < d.size(); ++s) sum[s] += double(d[s]);
    EXPECT_GT(d[0], 0u);
    // Two swaps may cost as much as three replaced letters: typos grow on the average only.
    if (family() == ShiftFamily::typos) continue;
    EXPECT_LT(d[0], d[1]) << samples()[i].id;
    EXPECT_LT(d[1], d[2]) << samples()[i].id;
  }
  ASSERT_GT(n, 10u);
  EXPECT_LT(sum[0], sum[1]);
  EXPECT_LT(sum[1], sum[2]);
  std::printf("%s: mean distance %.1f %.1f %.1f bytes (%zu samples)\n", GetParam().c_str(),
              sum[0] / double(n), sum[1] / double(n), sum[2] / double(n), n);
}

TEST_P(EveryFamily, NoticesWhenItsGuaranteeIsBroken) {
  // Each sample loses or gains one byte that no log tells of, and with a log of its own.
  size_t n = 0;
  for (const Shift& shift : shifts_of(family())) {
    for (size_t i = 0; i < samples().size() && n < 60; i += 11) {
      const Sample& s = samples()[i];
      const auto out = apply_shift(shift, s, 7);
      if (!out.shifted) continue;
      ++n;
      Shifted unlogged = *out.shifted;
      unlogged.sample.input += "x";
      EXPECT_NE(broken_guarantee(shift, s, unlogged), "");
      Shifted logged = unlogged;
      logged.edits.clear();
      logged.edits.push_back({Edit::Field::input, 0, 0, s.input, logged.sample.input, "all"});
      EXPECT_NE(broken_guarantee(shift, s, logged), "");
      if (s.choices.empty()) continue;
      Shifted other_key = *out.shifted;
      other_key.sample.answer = (other_key.sample.answer + 1) % 4;
      EXPECT_NE(broken_guarantee(shift, s, other_key), "");
    }
  }
  EXPECT_GT(n, 0u);
}

std::vector<std::string> all_names() { return shift_families(); }
INSTANTIATE_TEST_SUITE_P(Shift, EveryFamily, testing::ValuesIn(all_names()),
                         [](const auto& test) { return test.param; });

Sample question(std::string text) {
  Sample s;
  s.id = "mmlu/made_up/test/0";
  s.subset = "made_up";
  s.input = std::move(text);
  s.choices = {"a red one", "a green one", "a blue one", "a gray one"};
  s.answer = 2;
  return s;
}

TEST(Shift, NamesAreReadAndWritten) {
  for (const auto& name : shift_families())
    for (const char* severity : {"1", "2", "3"}) {
      const Shift s = parse_shift(name + ":" + severity);
      EXPECT_EQ(s.severity, severity[0] - '0');
      const std::string label = shift_label(s);
      EXPECT_EQ(label, name == "neutral" ? std::string("neutral.distractors:") + severity
                                         : name + ":" + severity);
      EXPECT_EQ(parse_shift(label), s);
    }
  EXPECT_EQ(parse_shift("neutral.padding:2").matched, ShiftFamily::padding);
}

TEST(Shift, BadNamesAreErrorsThatSayWhatIsWanted) {
  const auto error = [](const char* text) {
    try {
      parse_shift(text);
    } catch (const TaskError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(error("typo:1"), "shift \"typo:1\": unknown family \"typo\", the nearest is typos");
  EXPECT_EQ(error("typos"), "shift \"typos\": want family:severity, severity 1 to 3");
  EXPECT_EQ(error("typos:0"), "shift \"typos:0\": want family:severity, severity 1 to 3");
  EXPECT_EQ(error("typos:4"), "shift \"typos:4\": want family:severity, severity 1 to 3");
  EXPECT_EQ(error("typos:1x"), "shift \"typos:1x\": want family:severity, severity 1 to 3");
  EXPECT_EQ(error("typos.padding:1"),
            "shift \"typos.padding:1\": only neutral is matched to another family");
  EXPECT_EQ(error("neutral.neutral:1"),
            "shift \"neutral.neutral:1\": neutral is matched to a family, not to itself");
  EXPECT_NE(error("sideways:1").find("want one of typos, layout"), std::string::npos);
}

TEST(Shift, SaysWhyASampleDoesNotFit) {
  EXPECT_EQ(apply_shift({ShiftFamily::typos, 1}, question("Is 2 > 1?"), 1).why_not,
            "fewer than 1 words may be misspelt");
  EXPECT_EQ(apply_shift({ShiftFamily::distractors, 1}, question("This is what?"), 1).why_not,
            "it begins with 'This', which would refer to what is put before it");
  Sample s = question("Which?");
  s.choices[3] = "All of the above";
  EXPECT_EQ(apply_shift({ShiftFamily::option_order, 1}, s, 1).why_not,
            "an option speaks of the others");
  s.choices[3] = "2";
  EXPECT_EQ(apply_shift({ShiftFamily::option_symbols, 1}, s, 1).why_not,
            "an option reads like a label");
  EXPECT_EQ(apply_shift({ShiftFamily::code_surface, 1}, s, 1).why_not,
            "it changes code, and this task has none");
  EXPECT_EQ(apply_shift({ShiftFamily::neutral, 1, ShiftFamily::option_order}, question("Which?"), 1)
                .why_not,
            "option_order:1 adds no text");
}

TEST(Shift, ProtectedTokensStand) {
  const Sample s = question(
      "Which mammal is not kept by $f(x) = velocity$ in Paris during 1984 without any "
      "snake_case identifiers, namely the gray elephants described elsewhere?");
  std::set<std::string> changed;
  for (uint64_t seed = 0; seed < 200; ++seed)
    for (const ShiftFamily family :
         {ShiftFamily::typos, ShiftFamily::script, ShiftFamily::layout, ShiftFamily::code_mix}) {
      const auto out = apply_shift({family, 3}, s, seed);
      ASSERT_TRUE(out.shifted) << out.why_not;
      for (const Edit& e : out.shifted->edits) changed.insert(e.before);
    }
  for (const char* word : {"not", "velocity", "Paris", "1984", "without", "snake_case", "gray",
                           "Which", "velocity$", "(x)"})
    EXPECT_FALSE(changed.contains(word)) << word;
  for (const char* word : {"mammal", "identifiers", "elephants", "described", "kept"})
    EXPECT_TRUE(changed.contains(word)) << word;
}

TEST(Shift, LettersAndQuestionSpanFollowTheShiftedSample) {
  const datasets::Dataset data = datasets::load("mmlu_embedded", {}, {});
  const auto task = make_task("mmlu");
  const Sample& s = data.samples[3];
  const auto span = [](const Query& q) {
    return q.item.substr(q.question.first, q.question.second - q.question.first);
  };
  const auto padded = apply_shift({ShiftFamily::padding, 1}, s, 1).shifted;
  ASSERT_TRUE(padded);
  EXPECT_EQ(span(task->query(padded->sample, data)), padded->sample.input);
  EXPECT_GT(padded->sample.input.size(), s.input.size() + 1024);

  const auto numbered = apply_shift({ShiftFamily::option_symbols, 1}, s, 1).shifted;
  ASSERT_TRUE(numbered);
  const Query q = task->query(numbered->sample, data);
  EXPECT_EQ(q.options, (std::vector<std::string>{" 1", " 2", " 3", " 4"}));
  EXPECT_NE(q.item.find("\n3. " + s.choices[2]), std::string::npos);
  for (const auto& d : q.demonstrations) {
    EXPECT_NE(d.find("\n2. "), std::string::npos) << d;
    EXPECT_EQ(d.find("\nB. "), std::string::npos) << d;
  }
  Answer answer;
  for (int i = 0; i < 4; ++i) answer.options.push_back({i == s.answer ? -1.0 : -2.0, 1});
  EXPECT_EQ(task->score(numbered->sample, answer, nullptr).verdict, Verdict::passed);
}

TEST(Shift, NeutralTextIsAsLongAsWhatItIsMatchedTo) {
  for (const Sample& s : {question("Which colour has the sky at noon?"), code_samples()[0]})
    for (const ShiftFamily matched :
         {ShiftFamily::distractors, ShiftFamily::padding, ShiftFamily::wrapper,
          ShiftFamily::spoof_up, ShiftFamily::spoof_down, ShiftFamily::gadget_up})
      for (int severity = 1; severity <= 2; ++severity) {
        Shift shift = shifts_of(matched)[size_t(severity - 1)];
        const auto a = apply_shift(shift, s, 5);
        shift.family = ShiftFamily::neutral;
        shift.matched = matched;
        const auto b = apply_shift(shift, s, 5);
        ASSERT_TRUE(a.shifted && b.shifted) << a.why_not << b.why_not;
        EXPECT_EQ(a.shifted->sample.input.size(), b.shifted->sample.input.size());
      }
}

TEST(Shift, AGadgetIsItsOwnTextAndNothingWithoutOne) {
  const Sample s = question("Which colour has the sky at noon?");
  const Shift bare{ShiftFamily::gadget_up, 1};
  EXPECT_EQ(apply_shift(bare, s, 1).why_not, "no gadget was given");
  Shift shift = bare;
  shift.text = "olive JC";
  const auto out = apply_shift(shift, s, 1);
  ASSERT_TRUE(out.shifted);
  EXPECT_EQ(out.shifted->sample.input, "olive JC\n\nWhich colour has the sky at noon?");
  EXPECT_EQ(broken_guarantee(shift, s, *out.shifted), "");
  EXPECT_EQ(broken_guarantee(bare, s, *out.shifted), "the text before the item is not the gadget");
  EXPECT_NE(shift, bare);
}

// Bytes are those of every platform and every build.
TEST(Shift, BytesOfASeedAreOnRecord) {
  const Sample s = question(
      "Which of the following animals is usually described as the largest of those that live in "
      "the northern forests?");
  std::string all;
  for (const auto& name : shift_families())
    for (const Shift& shift : shifts_of(parse_shift(name + ":1").family))
      if (const auto out = apply_shift(shift, s, 1); out.shifted) all += all_bytes(*out.shifted);
  EXPECT_EQ(datasets::sha256_hex(all),
            "6a6670f6f4e4204932cfc1e5498c607c8b6cbb2df795918beb7438c59ac25df0");
  EXPECT_EQ(apply_shift({ShiftFamily::typos, 2}, s, 1).shifted->sample.input,
            "Which of the following animals is usaully described as the largest of those thhat "
            "live in the northern forests?");
}

}  // namespace
}  // namespace tasks
