// Owns a closed glossary: everyday words of questions and what they are called in three languages.
// Internal to tasks/.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace tasks::shift {

inline constexpr std::array<std::string_view, 3> kGlossaryLanguages = {"German", "Spanish",
                                                                       "French"};

struct GlossaryEntry {
  std::string_view english;
  std::array<std::string_view, kGlossaryLanguages.size()> other;
};

// No word of a language stands for two English ones, and none is spelt as an English one of the
// glossary.
std::span<const GlossaryEntry> glossary();

// Empty when the glossary has no such word. language: index into kGlossaryLanguages.
std::string_view translated(std::string_view english, size_t language);
std::string_view translated_back(std::string_view word, size_t language);

}  // namespace tasks::shift
