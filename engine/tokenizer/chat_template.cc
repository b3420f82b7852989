// Owns ChatTemplate: recognition and rendering.
#include "engine/tokenizer/chat_template.h"

#include <fmt/format.h>

#include <stdexcept>

namespace engine::tokenizer {
namespace {

struct KnownTemplate {
  uint64_t hash;
  ChatFormat format;
};

// Hashes are those that tests/engine/tokenizer/golden/make_chat_goldens.py prints.
constexpr KnownTemplate kKnown[] = {
    {0x0fbfb5c24e90177f, {.name = "chatml-system", .style = ChatStyle::chatml}},
    {0x88bf4138d5c826f0, {.name = "chatml", .style = ChatStyle::chatml}},
    {0xea0ff09e84c12929, {.name = "qwen2.5", .style = ChatStyle::chatml}},
    {0xabb815b933a4981a, {.name = "qwen3", .style = ChatStyle::qwen3}},
    {0x4d1512049817743d, {.name = "llama-2", .style = ChatStyle::llama2}},
    {0x0e60067a5537498e, {.name = "llama-3", .style = ChatStyle::llama3, .writes_bos = true}},
    {0x74891e390e614ae2,
     {.name = "llama-3-open",
      .style = ChatStyle::llama3,
      .writes_bos = true,
      .always_opens = true}},
    {0x4fd30286bc0da17c,
     {.name = "llama-3.1", .style = ChatStyle::llama3_dated, .writes_bos = true}},
    {0x1a6da26e3aef1b34,
     {.name = "llama-3.2", .style = ChatStyle::llama3_dated, .writes_bos = true}},
    {0x8c734b90b4f8d84d, {.name = "mistral", .style = ChatStyle::mistral, .writes_bos = true}},
    {0xd99e5b4469be13b3,
     {.name = "mistral-v1", .style = ChatStyle::mistral_v1, .writes_bos = true}},
    {0x4ebae769b67b72f1, {.name = "phi-3", .style = ChatStyle::phi3, .writes_bos = true}},
    {0x6057775af4d6feb9, {.name = "phi-3-medium", .style = ChatStyle::phi3}},
    {0xcf278cde387a54c8, {.name = "phi-3.5", .style = ChatStyle::phi3_5}},
    {0x475fd3e16d05c1af,
     {.name = "phi-3-small", .style = ChatStyle::phi3_small, .writes_bos = true}},
    {0xcd8b49000db02c2c, {.name = "zephyr", .style = ChatStyle::zephyr}},
};

// Llama 3.2's template takes the day of the run where it can; a harness must not, so both say what
// the templates fall back to.
constexpr std::string_view kLlama3Dates =
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

[[noreturn]] void refuse(std::string_view format, size_t turn, std::string_view what) {
  throw std::invalid_argument(fmt::format("chat format {}: turn {} {}", format, turn, what));
}

// As Python's str.strip for ASCII white space.
std::string_view strip(std::string_view s, std::string_view what = " \t\n\r\f\v\x1c\x1d\x1e\x1f") {
  const size_t begin = s.find_first_not_of(what);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(what) + 1 - begin);
}
std::string_view strip_left(std::string_view s, char c) {
  const size_t begin = s.find_first_not_of(c);
  return begin == std::string_view::npos ? std::string_view() : s.substr(begin);
}

class Renderer {
 public:
  Renderer(const ChatFormat& format, std::span<const ChatTurn> turns, std::string_view eos)
      : format_(format), turns_(turns), eos_(eos) {}

  std::string out;

  void say(std::string_view a, std::string_view b = {}, std::string_view c = {},
           std::string_view d = {}) {
    for (std::string_view part : {a, b, c, d}) out += part;
  }

  void chatml(bool open, std::string_view default_system) {
    if (turns_[0].role != "system" && !default_system.empty()) {
      say("<|im_start|>system\n", default_system, "<|im_end|>\n");
    }
    for (const ChatTurn& t : turns_) say("<|im_start|>", t.role, "\n", t.content + "<|im_end|>\n");
    if (open) say("<|im_start|>assistant\n");
  }

  // What the assistant thought is shown only after the last question.
  void qwen3(bool open) {
    size_t last_query = turns_.size() - 1;
    for (size_t i = turns_.size(); i-- > 0;) {
      const std::string& text = turns_[i].content;
      const bool tool = text.starts_with("<tool_response>") && text.ends_with("</tool_response>");
      if (turns_[i].role == "user" && !tool) {
        last_query = i;
        break;
      }
    }
    for (size_t i = 0; i < turns_.size(); ++i) {
      const ChatTurn& t = turns_[i];
      say("<|im_start|>", t.role, "\n");
      if (t.role == "assistant") {
        qwen3_answer(t.content, i > last_query, i + 1 == turns_.size());
      } else {
        say(t.content);
      }
      say("<|im_end|>\n");
    }
    if (open) say("<|im_start|>assistant\n");
  }

  void qwen3_answer(std::string_view text, bool after_query, bool last) {
    constexpr std::string_view kOpen = "<think>", kClose = "</think>";
    std::string_view content = text, thought;
    if (const size_t first = text.find(kClose); first != std::string_view::npos) {
      content = strip_left(text.substr(text.rfind(kClose) + kClose.size()), '\n');
      thought = text.substr(0, first);
      if (const size_t begin = thought.rfind(kOpen); begin != std::string_view::npos) {
        thought.remove_prefix(begin + kOpen.size());
      }
      thought = strip(thought, "\n");
    }
    if (after_query && (last || !thought.empty())) {
      say("<think>\n", thought, "\n</think>\n\n");
      content = strip_left(content, '\n');
    }
    say(content);
  }

  // Turns after an optional system turn must alternate, the user first. Llama 2's template lets a
  // late system turn stand where the assistant's would, and leaves it out.
  std::span<const ChatTurn> alternating(bool system_allowed, bool late_system = false) const {
    const size_t skip = system_allowed && turns_[0].role == "system" ? 1 : 0;
    const auto rest = turns_.subspan(skip);
    for (size_t i = 0; i < rest.size(); ++i) {
      const std::string& role = rest[i].role;
      if ((role == "user") != (i % 2 == 0) || (role == "system" && !late_system)) {
        refuse(format_.name, i + skip,
               fmt::format("is the {}'s, but user and assistant must alternate", role));
      }
    }
    return rest;
  }

  void llama2(std::string_view bos) {
    const auto rest = alternating(true, true);
    const bool system = rest.size() != turns_.size();
    for (size_t i = 0; i < rest.size(); ++i) {
      std::string text = rest[i].content;
      if (rest[i].role == "system") continue;
      if (rest[i].role == "assistant") {
        say(" ", strip(text), " ", eos_);
        continue;
      }
      if (i == 0 && system) {
        text = fmt::format("<<SYS>>\n{}\n<</SYS>>\n\n{}", turns_[0].content, text);
      }
      say(bos, "[INST] ", strip(text), " [/INST]");
    }
  }

  void llama3(bool open, bool dated) {
    auto rest = turns_;
    const auto head = [&](std::string_view role) {
      say("<|start_header_id|>", role, "<|end_header_id|>\n\n");
    };
    if (dated) {
      head("system");
      say(kLlama3Dates);
      if (turns_[0].role == "system") {
        say(strip(turns_[0].content));
        rest = turns_.subspan(1);
      }
      say("<|eot_id|>");
    }
    for (const ChatTurn& t : rest) {
      head(t.role);
      say(strip(t.content), "<|eot_id|>");
    }
    if (open || format_.always_opens) head("assistant");
  }

  void mistral() {
    for (const ChatTurn& t : alternating(false)) {
      if (t.role == "user") {
        say("[INST] ", t.content, " [/INST]");
      } else {
        say(t.content, eos_);
      }
    }
  }

  void mistral_v1() {
    const auto rest = alternating(true);
    for (size_t i = 0; i < rest.size(); ++i) {
      if (i % 2 != 0) {
        say(" ", rest[i].content, eos_);
        continue;
      }
      say(" [INST] ");
      if (i == 0 && rest.size() != turns_.size()) say(turns_[0].content, "\n\n");
      say(rest[i].content, " [/INST]");
    }
  }

  // The first Phi-3 has no place for a system turn and leaves it out; so does its template.
  void phi3() {
    for (const ChatTurn& t : turns_) {
      if (t.role == "user") {
        say("<|user|>\n", t.content, "<|end|>\n<|assistant|>\n");
      } else if (t.role == "assistant") {
        say(t.content, "<|end|>\n");
      }
    }
  }

  void phi3_later(bool open, bool empty_system) {
    for (const ChatTurn& t : turns_) {
      if (t.role == "system" && t.content.empty() && !empty_system) continue;
      say("<|", t.role, "|>\n", t.content + "<|end|>\n");
    }
    say(open ? "<|assistant|>\n" : eos_);
  }

  void zephyr(bool open) {
    for (const ChatTurn& t : turns_) {
      say("<|", t.role, "|>\n", t.content);
      say(eos_, "\n");
    }
    if (open) say("<|assistant|>\n");
  }

 private:
  const ChatFormat& format_;
  std::span<const ChatTurn> turns_;
  std::string_view eos_;
};

}  // namespace

TemplateKey template_key(std::string_view text) {
  std::string canonical;
  canonical.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n') {
      canonical += '\n';
      ++i;
    } else {
      canonical += text[i];
    }
  }
  canonical.erase(canonical.find_last_not_of(" \t\r\n") + 1);
  TemplateKey key;
  // A literal that says a whole system turn: the message in it is data of the model.
  constexpr std::string_view kBegin = "'<|im_start|>system\n", kEnd = "<|im_end|>\n'";
  for (size_t at = canonical.find(kBegin); at != std::string::npos;
       at = canonical.find(kBegin, at + 1)) {
    const size_t begin = at + kBegin.size(), end = canonical.find(kEnd, begin);
    if (end == std::string::npos) break;
    const std::string_view message = std::string_view(canonical).substr(begin, end - begin);
    if (message.empty() || message.find_first_of("'\\{}") != std::string_view::npos) continue;
    key.default_system = message;
    canonical.erase(begin, end - begin);
    break;
  }
  key.hash = 0xcbf29ce484222325;
  for (unsigned char c : canonical) key.hash = (key.hash ^ c) * 0x100000001b3;
  return key;
}

std::optional<ChatTemplate> ChatTemplate::recognise(std::string_view text) {
  TemplateKey key = template_key(text);
  for (const KnownTemplate& known : kKnown) {
    if (known.hash == key.hash) return ChatTemplate(known.format, std::move(key.default_system));
  }
  return std::nullopt;
}

std::optional<ChatTemplate> ChatTemplate::by_name(std::string_view name,
                                                  std::string default_system) {
  for (const KnownTemplate& known : kKnown) {
    if (known.format.name == name) return ChatTemplate(known.format, std::move(default_system));
  }
  return std::nullopt;
}

std::string ChatTemplate::render(std::span<const ChatTurn> turns, bool open_assistant,
                                 std::string_view bos, std::string_view eos) const {
  if (turns.empty()) refuse(format_.name, 0, "is missing");
  for (size_t i = 0; i < turns.size(); ++i) {
    const std::string& role = turns[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      refuse(format_.name, i, fmt::format("has the role '{}'", role));
    }
  }
  Renderer r(format_, turns, eos);
  if (format_.writes_bos) r.say(bos);
  switch (format_.style) {
    case ChatStyle::chatml:
      r.chatml(open_assistant, default_system_);
      break;
    case ChatStyle::qwen3:
      r.qwen3(open_assistant);
      break;
    case ChatStyle::llama2:
      r.llama2(bos);
      break;
    case ChatStyle::llama3:
    case ChatStyle::llama3_dated:
      r.llama3(open_assistant, format_.style == ChatStyle::llama3_dated);
      break;
    case ChatStyle::mistral:
      r.mistral();
      break;
    case ChatStyle::mistral_v1:
      r.mistral_v1();
      break;
    case ChatStyle::phi3:
      r.phi3();
      break;
    case ChatStyle::phi3_5:
    case ChatStyle::phi3_small:
      r.phi3_later(open_assistant, format_.style == ChatStyle::phi3_small);
      break;
    case ChatStyle::zephyr:
      r.zephyr(open_assistant);
      break;
  }
  return std::move(r.out);
}

}  // namespace engine::tokenizer
