// Owns the meaning of the normalizer and pre_tokenizer parts of tokenizer.json.
#include "engine/tokenizer/json_pipeline.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/tokenizer/known_patterns.h"

namespace engine::tokenizer {
namespace {

using nlohmann::json;

constexpr std::string_view kMetaspaceMark = "\u2581";

class Pipeline {
 public:
  Pipeline(const json& root, Spec& spec) : root_(root), spec_(spec) {}

  void read() {
    spec_.pre_name.clear();
    for (const auto& [where, step] : steps("normalizer", "normalizers")) normalizer(where, *step);
    for (const auto& [where, step] : steps("pre_tokenizer", "pretokenizers")) {
      pre_tokenizer(where, *step);
    }
    if (byte_level_ == spec_.spaces_to_metaspace) {
      fail("/pre_tokenizer", "want either ByteLevel, or spaces replaced by U+2581");
    }
    if (byte_level_ && spec_.space_prefix != SpacePrefix::never && n_steps_ > 1) {
      fail("/pre_tokenizer", "add_prefix_space is known for a single step only");
    }
    spec_.alphabet = byte_level_ ? Alphabet::bytes : Alphabet::metaspace;
    if (spec_.pre_name.empty()) spec_.pre_name = "none";
  }

 private:
  struct Step {
    std::string where;
    const json* value;
  };

  [[noreturn]] void fail(std::string_view where, std::string_view what) const {
    throw ModelFileError(fmt::format("{}: {}: {}", spec_.file, where, what));
  }

  // The parts of root[name]: none, one, or those of a Sequence (of one level).
  std::vector<Step> steps(const char* name, const char* list) const {
    const auto it = root_.find(name);
    const std::string where = fmt::format("/{}", name);
    std::vector<Step> out;
    if (it == root_.end() || it->is_null()) return out;
    if (type(where, *it) != "Sequence") return {{where, &*it}};
    if (!it->contains(list) || !(*it)[list].is_array()) fail(where, fmt::format("has no {}", list));
    const json& parts = (*it)[list];
    for (size_t i = 0; i < parts.size(); ++i) {
      out.push_back({fmt::format("{}/{}/{}", where, list, i), &parts[i]});
    }
    return out;
  }

  std::string type(const std::string& where, const json& step) const {
    return text(where, step, "type");
  }
  std::string text(const std::string& where, const json& step, const char* name) const {
    if (!step.is_object() || !step.contains(name) || !step[name].is_string()) {
      fail(where, fmt::format("has no text '{}'", name));
    }
    return step[name].get<std::string>();
  }
  bool flag(const std::string& where, const json& step, const char* name, bool absent) const {
    const auto it = step.find(name);
    if (it == step.end() || it->is_null()) return absent;
    if (!it->is_boolean()) fail(where, fmt::format("{} is neither true nor false", name));
    return it->get<bool>();
  }

  void normalizer(const std::string& where, const json& step) {
    const std::string kind = type(where, step);
    if (kind == "NFC") {
      // Our normaliser composes first; these commute with it.
      spec_.nfc = true;
    } else if (kind == "Prepend") {
      if (text(where, step, "prepend") != kMetaspaceMark) fail(where, "known is U+2581 only");
      spec_.space_prefix = SpacePrefix::every;
    } else if (kind == "Replace") {
      const json pattern = step.value("pattern", json());
      if (!pattern.is_object() || pattern.value("String", json()) != " " ||
          text(where, step, "content") != kMetaspaceMark) {
        fail(where, "known is ' ' to U+2581 only");
      }
      spec_.spaces_to_metaspace = true;
    } else {
      fail(where,
           fmt::format("type is {}, known are NFC, Prepend, Replace, Sequence", printable(kind)));
    }
  }

  void pre_tokenizer(const std::string& where, const json& step) {
    const std::string kind = type(where, step);
    ++n_steps_;
    if (kind == "ByteLevel") {
      byte_level(where, step);
    } else if (kind == "Digits") {
      const bool each = flag(where, step, "individual_digits", false);
      add(each ? match_one_number : match_number_run, each ? "digit" : "digits");
    } else if (kind == "Split") {
      split(where, step);
    } else if (kind == "Metaspace") {
      metaspace(where, step);
    } else {
      fail(where, fmt::format("type is {}, known are ByteLevel, Digits, Split, Metaspace, Sequence",
                              printable(kind)));
    }
  }

  void byte_level(const std::string& where, const json& step) {
    byte_level_ = true;
    if (flag(where, step, "add_prefix_space", true)) {
      spec_.space_prefix = SpacePrefix::every;
      spec_.prefix_needs_no_space = true;
      spec_.metaspace_after_cut = true;
    }
    if (flag(where, step, "use_regex", true)) add(match_gpt2, "gpt-2");
  }

  void split(const std::string& where, const json& step) {
    const json pattern = step.value("pattern", json());
    const char* spelled = pattern.is_object() && pattern.contains("Regex") ? "Regex" : "String";
    if (!pattern.is_object()) fail(where, "has no pattern");
    const std::string regex = text(where + "/pattern", pattern, spelled);
    const KnownPattern* known = find_pattern(regex);
    if (known == nullptr || spelled != std::string_view("Regex")) {
      std::string list;
      for (const KnownPattern& p : known_patterns()) {
        list += fmt::format("{}{}", list.empty() ? "" : "  ", printable(p.regex));
      }
      fail(where, fmt::format("pattern {} is unknown, known are {}", printable(regex), list));
    }
    const std::string behavior = text(where, step, "behavior");
    const bool invert = flag(where, step, "invert", false);
    // Removing what does not match removes nothing when everything matches.
    const bool isolates = (behavior == "Isolated" && !invert) ||
                          (behavior == "Removed" && invert && known->covers_all);
    if (!isolates) {
      fail(where, fmt::format("behavior is {}{}, known is Isolated", printable(behavior),
                              invert ? " inverted" : ""));
    }
    add(known->match, known->name);
  }

  void metaspace(const std::string& where, const json& step) {
    if (text(where, step, "replacement") != kMetaspaceMark) fail(where, "known is U+2581 only");
    if (spec_.spaces_to_metaspace || spec_.space_prefix != SpacePrefix::never) {
      fail(where, "spaces are replaced by the normalizer already");
    }
    std::string scheme = flag(where, step, "add_prefix_space", true) ? "always" : "never";
    if (step.contains("prepend_scheme")) scheme = text(where, step, "prepend_scheme");
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      fail(where,
           fmt::format("prepend_scheme is {}, known are always, first, never", printable(scheme)));
    }
    spec_.space_prefix = scheme == "always"  ? SpacePrefix::every
                         : scheme == "first" ? SpacePrefix::first
                                             : SpacePrefix::never;
    spec_.spaces_to_metaspace = true;
    spec_.prefix_needs_no_space = true;
    spec_.metaspace_after_cut = true;
    if (flag(where, step, "split", true)) add(match_metaspace_word, "metaspace");
  }

  void add(Matcher match, std::string_view name) {
    spec_.pre.add_step(match);
    if (!spec_.pre_name.empty()) spec_.pre_name += '+';
    spec_.pre_name += name;
  }

  const json& root_;
  Spec& spec_;
  bool byte_level_ = false;
  int n_steps_ = 0;
};

}  // namespace

void read_pipeline(const json& root, Spec& spec) { Pipeline(root, spec).read(); }

}  // namespace engine::tokenizer
