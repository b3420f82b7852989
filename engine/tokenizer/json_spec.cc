// Owns the reading of a tokenizer from a Hugging Face folder: tokenizer.json, and beside it
// tokenizer_config.json, generation_config.json and chat_template.jinja when they are there.
// What tokenizer.json asks for is either done exactly or refused by name.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/model_file/byte_source.h"
#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/tokenizer/json_pipeline.h"
#include "engine/tokenizer/spec.h"

namespace engine::tokenizer {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;
constexpr int kMaxDepth = 32;

std::string read_text(const std::filesystem::path& path) {
  const auto source = ByteSource::open_file(path);
  if (source->size_bytes() > kMaxFileBytes) {
    throw ModelFileError(fmt::format("{}: {} bytes, at most {} are taken", source->name(),
                                     source->size_bytes(), kMaxFileBytes));
  }
  std::string text(source->size_bytes(), '\0');
  source->read(0, text.data(), text.size());
  return text;
}

// The parser does not recurse but the destructor of its result does: the depth is checked first.
void check_depth(const std::string& text, const std::string& file) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) {
        throw ModelFileError(
            fmt::format("{}: byte {}: nested deeper than {} levels", file, i, kMaxDepth));
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

json parse(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  check_depth(text, path.string());
  try {
    return json::parse(text);
  } catch (const json::exception& e) {
    throw ModelFileError(fmt::format("{}: {}", path.string(), e.what()));
  }
}

class Reader {
 public:
  Reader(Spec& spec, const json& root) : spec_(spec), root_(root) {}

  void read() {
    require(root_.is_object(), "", "is no object");
    read_vocab();
    read_added();
    fill_kinds();
    read_merges();
    read_pipeline(root_, spec_);
    read_post_processor();
  }

 private:
  void require(bool ok, std::string_view where, std::string_view what) const {
    if (!ok) throw ModelFileError(fmt::format("{}: {}: {}", spec_.file, where, what));
  }

  const json& model() const {
    const auto it = root_.find("model");
    require(it != root_.end() && it->is_object(), "/model", "is no object");
    return *it;
  }

  bool flag(const json& object, const char* name) const {
    const auto it = object.find(name);
    if (it == object.end() || it->is_null()) return false;
    require(it->is_boolean(), name, "is neither true nor false");
    return it->get<bool>();
  }

  TokenId checked_id(const json& value, const std::string& where) const {
    require(value.is_number_integer(), where, "is no whole number");
    const bool fits =
        value.is_number_unsigned() && value.get<uint64_t>() < static_cast<uint64_t>(kMaxVocab);
    require(fits, where, fmt::format("is {}, want 0 to {}", value.dump(), kMaxVocab - 1));
    return value.get<TokenId>();
  }

  void put(TokenId id, const std::string& text, const std::string& where) {
    require(text.size() <= kMaxTokenBytes, where,
            fmt::format("has {} bytes, at most {} are taken", text.size(), kMaxTokenBytes));
    const size_t index = static_cast<size_t>(id);
    if (index >= spec_.entries.size()) {
      spec_.entries.resize(index + 1);
      present_.resize(index + 1);
    }
    require(!present_[index] || spec_.entries[index] == text, where,
            fmt::format("id {} is {} too", id, printable(spec_.entries[index])));
    spec_.entries[index] = text;
    present_[index] = true;
  }

  void read_vocab() {
    const json& m = model();
    if (const auto type = m.find("type"); type != m.end()) {
      require(*type == "BPE", "/model/type", fmt::format("is {}, known is BPE", type->dump()));
    }
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const auto it = m.find(name);
      require(it == m.end() || it->is_null() || *it == "", fmt::format("/model/{}", name),
              "only an empty one is known");
    }
    const auto vocab = m.find("vocab");
    require(vocab != m.end() && vocab->is_object() && !vocab->empty(), "/model/vocab",
            "is no object with tokens");
    for (const auto& [text, id] : vocab->items()) {
      const std::string where = fmt::format("/model/vocab/{}", printable(text));
      const TokenId checked = checked_id(id, where);
      const size_t index = static_cast<size_t>(checked);
      require(index >= present_.size() || !present_[index], where,
              fmt::format("id {} is there twice", checked));
      put(checked, text, where);
      id_of_.emplace(text, checked);
    }
    spec_.ignore_merges = flag(m, "ignore_merges");
    spec_.fuse_unknown = flag(m, "fuse_unk");
    byte_fallback_ = flag(m, "byte_fallback");
    if (const auto unknown = m.find("unk_token"); unknown != m.end() && !unknown->is_null()) {
      require(unknown->is_string() && id_of_.contains(unknown->get<std::string>()),
              "/model/unk_token", "is no token");
      spec_.unknown = id_of_.at(unknown->get<std::string>());
    }
  }

  void read_added() {
    const auto added = root_.find("added_tokens");
    if (added == root_.end() || added->is_null()) return;
    require(added->is_array(), "/added_tokens", "is no array");
    for (size_t i = 0; i < added->size(); ++i) {
      const json& a = (*added)[i];
      const std::string where = fmt::format("/added_tokens/{}", i);
      require(a.is_object() && a.contains("id") && a.contains("content") &&
                  a["content"].is_string() && !a["content"].get<std::string>().empty(),
              where, "has no id or no content");
      AddedToken token;
      token.id = checked_id(a["id"], where + "/id");
      token.content = a["content"].get<std::string>();
      require(token.content.size() <= kMaxAddedTokenBytes, where,
              fmt::format("has {} bytes, at most {} are taken", token.content.size(),
                          kMaxAddedTokenBytes));
      require(!flag(a, "single_word"), where, "single_word is not known");
      token.special = flag(a, "special");
      token.lstrip = flag(a, "lstrip");
      token.rstrip = flag(a, "rstrip");
      token.normalized = flag(a, "normalized");
      const auto same = id_of_.find(token.content);
      require(same == id_of_.end() || same->second == token.id, where,
              fmt::format("has id {}, but /model/vocab gives it {}", token.id,
                          same == id_of_.end() ? -1 : same->second));
      put(token.id, token.content, where);
      added_id_of_.emplace(token.content, token.id);
      spec_.added.push_back(std::move(token));
    }
  }

  void fill_kinds() {
    for (size_t i = 0; i < present_.size(); ++i) {
      require(present_[i], "/model/vocab", fmt::format("no token has the id {}", i));
    }
    spec_.kinds.assign(spec_.entries.size(), TokenKind::normal);
    if (byte_fallback_) {
      for (size_t i = 0; i < spec_.entries.size(); ++i) {
        const std::string& e = spec_.entries[i];
        if (e.size() == 6 && e.starts_with("<0x") && e[5] == '>') spec_.kinds[i] = TokenKind::byte;
      }
    }
    for (const AddedToken& token : spec_.added) {
      spec_.kinds[static_cast<size_t>(token.id)] =
          token.special ? TokenKind::control : TokenKind::user_defined;
    }
  }

  void read_merges() {
    const json& m = model();
    const auto merges = m.find("merges");
    require(merges != m.end() && merges->is_array(), "/model/merges", "is no array");
    require(merges->size() <= static_cast<size_t>(2 * kMaxVocab), "/model/merges",
            "has too many merges");
    spec_.merges.reserve(merges->size());
    for (size_t i = 0; i < merges->size(); ++i) {
      const json& pair = (*merges)[i];
      std::string left, right;
      if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string()) {
        left = pair[0].get<std::string>();
        right = pair[1].get<std::string>();
      } else if (pair.is_string()) {
        const std::string line = pair.get<std::string>();
        const size_t cut = line.find(' ');
        require(cut != std::string::npos && line.find(' ', cut + 1) == std::string::npos,
                fmt::format("/model/merges/{}", i), "is not two tokens");
        left = line.substr(0, cut);
        right = line.substr(cut + 1);
      } else {
        require(false, fmt::format("/model/merges/{}", i), "is not two tokens");
      }
      const auto id = [&](const std::string& text) {
        const auto it = id_of_.find(text);
        require(it != id_of_.end(), fmt::format("/model/merges/{}", i),
                fmt::format("{} is no token", printable(text)));
        return it->second;
      };
      spec_.merges.push_back({id(left), id(right), id(left + right)});
    }
  }

  // A template that begins with a special token is how a BOS is asked for. What it puts after the
  // text is left out: a prompt is to be continued.
  void read_template(const json& processor) {
    const auto single = processor.find("single");
    if (single == processor.end() || !single->is_array() || single->empty()) return;
    const json& first = single->front();
    if (!first.is_object() || !first.contains("SpecialToken")) return;
    const json& token = first["SpecialToken"];
    require(token.is_object() && token.contains("id") && token["id"].is_string(),
            "/post_processor/single/0", "names no token");
    const auto it = added_id_of_.find(token["id"].get<std::string>());
    require(it != added_id_of_.end(), "/post_processor/single/0",
            fmt::format("{} is no added token", printable(token["id"].get<std::string>())));
    spec_.bos = it->second;
    spec_.add_bos = true;
  }

  void read_post_processor() {
    const auto it = root_.find("post_processor");
    if (it == root_.end() || it->is_null()) return;
    require(it->is_object(), "/post_processor", "is no object");
    std::vector<const json*> steps{&*it};
    if (it->value("type", json()) == "Sequence") {
      require(it->contains("processors") && (*it)["processors"].is_array(), "/post_processor",
              "has no processors");
      steps.clear();
      for (const json& step : (*it)["processors"]) steps.push_back(&step);
    }
    for (const json* step : steps) {
      require(step->is_object() && step->contains("type"), "/post_processor", "has no type");
      const json& type = (*step)["type"];
      if (type == "TemplateProcessing") {
        read_template(*step);
      } else {
        // ByteLevel changes offsets only.
        require(type == "ByteLevel", "/post_processor/type",
                fmt::format("is {}, known are ByteLevel, TemplateProcessing", type.dump()));
      }
    }
  }

  Spec& spec_;
  const json& root_;
  std::vector<bool> present_;
  std::unordered_map<std::string, TokenId> id_of_, added_id_of_;
  bool byte_fallback_ = false;
};

std::optional<TokenId> find_text(const Spec& spec, std::string_view text) {
  for (size_t i = 0; i < spec.entries.size(); ++i) {
    if (spec.entries[i] == text) return static_cast<TokenId>(i);
  }
  return std::nullopt;
}

// "text" or {"content": "text"}.
std::optional<TokenId> named_token(const Spec& spec, const json& config, const char* name,
                                   const std::string& file) {
  const auto it = config.find(name);
  if (it == config.end() || it->is_null()) return std::nullopt;
  const json& text = it->is_object() ? it->value("content", json()) : *it;
  if (!text.is_string()) throw ModelFileError(fmt::format("{}: /{}: is no text", file, name));
  const auto id = find_text(spec, text.get<std::string>());
  if (!id) {
    throw ModelFileError(
        fmt::format("{}: /{}: {} is no token", file, name, printable(text.get<std::string>())));
  }
  return id;
}

void read_config(const std::filesystem::path& path, Spec& spec) {
  const json config = parse(path);
  const std::string file = path.string();
  if (!config.is_object()) throw ModelFileError(fmt::format("{}: is no object", file));
  if (const auto bos = named_token(spec, config, "bos_token", file)) spec.bos = bos;
  spec.eos = named_token(spec, config, "eos_token", file);
  if (const auto it = config.find("add_bos_token"); it != config.end() && it->is_boolean()) {
    spec.add_bos = it->get<bool>();
    if (spec.add_bos && !spec.bos) {
      throw ModelFileError(
          fmt::format("{}: /add_bos_token is true but there is no bos_token", file));
    }
  }
  const auto chat = config.find("chat_template");
  if (chat == config.end()) return;
  if (chat->is_string()) spec.chat_template = chat->get<std::string>();
  if (!chat->is_array()) return;
  for (const json& named : *chat) {
    if (named.is_object() && named.value("name", json()) == "default" &&
        named.value("template", json()).is_string()) {
      spec.chat_template = named["template"].get<std::string>();
    }
  }
}

void read_generation_config(const std::filesystem::path& path, Spec& spec) {
  const json config = parse(path);
  const auto eos = config.is_object() ? config.find("eos_token_id") : config.end();
  if (eos == config.end() || eos->is_null()) return;
  const std::vector<json> ids = eos->is_array() ? eos->get<std::vector<json>>() : std::vector{*eos};
  for (const json& id : ids) {
    const bool good = id.is_number_unsigned() && id.get<uint64_t>() < spec.entries.size();
    if (!good) {
      throw ModelFileError(fmt::format("{}: /eos_token_id: {} is none of {} tokens", path.string(),
                                       id.dump(), spec.entries.size()));
    }
    spec.end_of_generation.push_back(id.get<TokenId>());
  }
}

}  // namespace

Spec read_json_spec(const std::filesystem::path& folder) {
  Spec spec;
  const auto path = folder / "tokenizer.json";
  spec.file = path.string();
  Reader(spec, parse(path)).read();
  std::error_code ignored;
  const auto there = [&](const char* name) {
    return std::filesystem::exists(folder / name, ignored);
  };
  if (there("tokenizer_config.json")) read_config(folder / "tokenizer_config.json", spec);
  if (there("generation_config.json")) {
    read_generation_config(folder / "generation_config.json", spec);
  }
  if (there("chat_template.jinja")) spec.chat_template = read_text(folder / "chat_template.jinja");
  collect_end_of_generation(spec);
  return spec;
}

}  // namespace engine::tokenizer
