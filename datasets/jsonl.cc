#include "datasets/jsonl.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "datasets/data_error.h"

namespace datasets {
namespace {

using Json = nlohmann::json;

// Takes the parser's events for one line. Depth 1 values become fields; deeper ones are written
// back as JSON text. The parser keeps its own stack, so depth costs no recursion.
class LineHandler final : public Json::json_sax_t {
 public:
  LineHandler(JsonObject& out, int max_depth) : out_(out), max_depth_(max_depth) {}
  std::string problem;        // set when the line is refused
  size_t error_position = 0;  // characters that the parser had read, the end itself being one more

  bool null() override { return value(JsonField::Kind::null, "null"); }
  bool boolean(bool v) override { return value(JsonField::Kind::boolean, v ? "true" : "false"); }
  bool number_integer(number_integer_t v) override {
    return value(JsonField::Kind::number, fmt::to_string(v));
  }
  bool number_unsigned(number_unsigned_t v) override {
    return value(JsonField::Kind::number, fmt::to_string(v));
  }
  bool number_float(number_float_t, const string_t& digits) override {
    return value(JsonField::Kind::number, digits);
  }
  bool string(string_t& v) override {
    if (v.find('\0') != string_t::npos) return refuse("a string holds U+0000");
    if (open_.size() == 1) return value(JsonField::Kind::string, std::move(v));
    return value(JsonField::Kind::string, Json(v).dump());
  }
  bool binary(binary_t&) override { return refuse("binary value"); }
  bool start_object(size_t) override { return open('{', JsonField::Kind::object); }
  bool start_array(size_t) override { return open('[', JsonField::Kind::array); }
  bool end_object() override { return close('}'); }
  bool end_array() override { return close(']'); }
  bool key(string_t& k) override {
    if (!open_.back().names.insert(k).second)
      return refuse(fmt::format("the name {} occurs twice", Json(k).dump()));
    if (open_.size() == 1) {
      name_ = std::move(k);
    } else {
      separate();
      nested_ += Json(k).dump() + ":";
      after_key_ = true;
    }
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    error_position = position;
    if (e.id == 406) return refuse(fmt::format("byte {}: number out of range", position));
    return refuse(fmt::format("byte {}: not JSON here", position));
  }

 private:
  struct Open {
    JsonField::Kind kind;
    bool is_empty = true;
    std::set<std::string> names;
  };

  bool refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  bool value(JsonField::Kind kind, std::string text) {
    if (open_.empty()) return refuse("not an object");
    if (open_.size() == 1) {
      out_.fields.push_back({std::move(name_), kind, std::move(text)});
    } else {
      separate();
      nested_ += text;
    }
    return true;
  }
  bool open(char bracket, JsonField::Kind kind) {
    if (open_.empty() && kind != JsonField::Kind::object) return refuse("not an object");
    if (static_cast<int>(open_.size()) == max_depth_)
      return refuse(fmt::format("nested deeper than {}", max_depth_));
    if (open_.size() > 1) separate();
    if (!open_.empty()) nested_ += bracket;
    open_.push_back({kind, true, {}});
    return true;
  }
  bool close(char bracket) {
    const auto kind = open_.back().kind;
    open_.pop_back();
    after_key_ = false;
    if (open_.empty()) return true;
    nested_ += bracket;
    if (open_.size() == 1) {
      out_.fields.push_back({std::move(name_), kind, std::move(nested_)});
      nested_.clear();
    }
    return true;
  }
  // Writes the comma that stands before every element but the first.
  void separate() {
    if (after_key_) {
      after_key_ = false;
      return;
    }
    if (!open_.back().is_empty) nested_ += ',';
    open_.back().is_empty = false;
  }

  JsonObject& out_;
  int max_depth_;
  std::vector<Open> open_;
  std::string name_, nested_;
  bool after_key_ = false;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::string_view kind_name(JsonField::Kind kind) {
  switch (kind) {
    case JsonField::Kind::string:
      return "string";
    case JsonField::Kind::number:
      return "number";
    case JsonField::Kind::boolean:
      return "boolean";
    case JsonField::Kind::null:
      return "null";
    case JsonField::Kind::array:
      return "array";
    case JsonField::Kind::object:
      return "object";
  }
  return "?";
}

const JsonField* JsonObject::find(std::string_view name) const {
  const auto it =
      std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == name; });
  return it == fields.end() ? nullptr : &*it;
}

std::vector<JsonObject> parse_jsonl(std::string_view bytes, const std::string& name,
                                    const JsonlLimits& limits, const InputLimits& input) {
  std::string plain;
  if (is_gzip(bytes)) {
    plain = gunzip(bytes, name, input);
    bytes = plain;
  }
  require_text(bytes, name);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);

  std::vector<JsonObject> objects;
  size_t number = 0;
  while (!bytes.empty()) {
    ++number;
    if (number > limits.max_lines)
      throw DataError(fmt::format("{}: more than {} lines", name, limits.max_lines));
    const size_t end = bytes.find('\n');
    const bool is_last = end == std::string_view::npos;
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(is_last ? bytes.size() : end + 1);
    if (line.size() > limits.max_line_bytes)
      throw DataError(fmt::format("{}:{}: line of {} bytes, the limit is {}", name, number,
                                  line.size(), limits.max_line_bytes));
    if (is_blank(line)) continue;
    JsonObject object;
    object.line = number;
    LineHandler handler(object, limits.max_depth);
    const bool ok = Json::sax_parse(line.begin(), line.end(), &handler);
    if (!ok || !handler.problem.empty()) {
      const bool truncated = is_last && handler.error_position > line.size();
      throw DataError(fmt::format(
          "{}:{}: {}", name, number,
          truncated ? fmt::format("truncated: the file ends inside this line, after {} bytes of it",
                                  line.size())
                    : handler.problem));
    }
    objects.push_back(std::move(object));
  }
  if (objects.empty()) throw DataError(name + ": empty file, no JSON lines");
  return objects;
}

}  // namespace datasets
