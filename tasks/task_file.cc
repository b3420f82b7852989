#include "tasks/task_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "tasks/task.h"
#include "tasks/text.h"

namespace tasks {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr int kMaxDepth = 8;

// One JSON object of the file. Every key it may have is known before the first one is read, so
// that a misspelt key is reported as such and not as a missing one.
class Object {
 public:
  Object(const std::string& file, std::string pointer, const json& value,
         std::vector<std::string> known_keys)
      : file_(file), pointer_(std::move(pointer)), known_keys_(std::move(known_keys)) {
    if (!value.is_object()) fail("", fmt::format("is {}, want an object", kind_of(value)));
    value_ = value;
    for (const auto& [key, unused] : value_.items()) {
      if (std::find(known_keys_.begin(), known_keys_.end(), key) != known_keys_.end()) continue;
      const std::string near = nearest(key, known_keys_);
      fail(key, near.empty()
                    ? fmt::format("unknown key, want one of {}", fmt::join(known_keys_, ", "))
                    : fmt::format("unknown key, the nearest known key is {}", quote(near)));
    }
  }

  bool has(const std::string& key) const { return value_.contains(key); }

  std::string text(const std::string& key) {
    const json& v = need(key);
    if (!v.is_string()) fail(key, fmt::format("is {}, want a string", kind_of(v)));
    return v.get<std::string>();
  }

  std::string text(const std::string& key, const std::string& missing) {
    return defaulted(key, missing).text(key);
  }

  template <typename Enum>
  Enum one_of(const std::string& key, const std::vector<std::string>& names, Enum missing) {
    return static_cast<Enum>(
        index_in(defaulted(key, names[static_cast<size_t>(missing)]), names, key));
  }

  bool truth(const std::string& key, bool missing) {
    const json& v = defaulted(key, missing).need(key);
    if (!v.is_boolean()) fail(key, fmt::format("is {}, want true or false", kind_of(v)));
    return v.get<bool>();
  }

  int integer(const std::string& key, int missing, int low, int high) {
    const json& v = defaulted(key, missing).need(key);
    if (!v.is_number_integer()) fail(key, fmt::format("is {}, want an integer", kind_of(v)));
    // Unsigned values beyond int64 would wrap.
    const bool huge = v.is_number_unsigned() && v.get<uint64_t>() > INT32_MAX;
    const int64_t n = huge ? INT64_MAX : v.get<int64_t>();
    if (n < low || n > high) fail(key, fmt::format("is {}, want {} to {}", v.dump(), low, high));
    return static_cast<int>(n);
  }

  double number(const std::string& key, double missing, double low, double high) {
    const json& v = defaulted(key, missing).need(key);
    if (!v.is_number()) fail(key, fmt::format("is {}, want a number", kind_of(v)));
    const double x = v.get<double>();
    if (!(x >= low && x <= high))
      fail(key, fmt::format("is {}, want {} to {}", v.dump(), low, high));
    return x;
  }

  std::vector<std::string> texts(const std::string& key) {
    const json& v = need(key);
    if (!v.is_array()) fail(key, fmt::format("is {}, want an array of strings", kind_of(v)));
    std::vector<std::string> out;
    for (size_t i = 0; i < v.size(); ++i) {
      const std::string place = fmt::format("{}/{}", key, i);
      if (!v[i].is_string()) fail(place, fmt::format("is {}, want a string", kind_of(v[i])));
      out.push_back(v[i].get<std::string>());
      if (out.back().empty()) fail(place, "is empty, want at least one character");
    }
    return out;
  }

  PromptTemplate prompt(const std::string& key, const std::vector<std::string>& fields,
                        const std::string& once = {}) {
    const std::string source = text(key);
    try {
      PromptTemplate t(source, fields);
      if (!once.empty() && t.count(once) != 1)
        fail(key, fmt::format("has {{{{{}}}}} {} times, want once", once, t.count(once)));
      return t;
    } catch (const std::invalid_argument& e) {
      fail(key, e.what());
    }
  }

  std::vector<Object> objects(const std::string& key, const std::vector<std::string>& known_keys) {
    const json& v = need(key);
    if (!v.is_array()) fail(key, fmt::format("is {}, want an array of objects", kind_of(v)));
    std::vector<Object> out;
    for (size_t i = 0; i < v.size(); ++i)
      out.emplace_back(file_, fmt::format("{}/{}/{}", pointer_, key, i), v[i], known_keys);
    return out;
  }

  Object object(const std::string& key, std::vector<std::string> known_keys) {
    return Object(file_, pointer_ + "/" + key, need(key), std::move(known_keys));
  }

  void put(const std::string& key, const Object& child) { value_[key] = child.value_; }
  std::string dump() const { return value_.dump(); }

  [[noreturn]] void fail(std::string_view key, const std::string& problem) const {
    std::string place = pointer_;
    if (!key.empty()) place += fmt::format("/{}", key);
    // Keys come from the file: escaped so that the message stays one line.
    const std::string shown = quote(place);
    throw TaskError(fmt::format("{}: {}: {}", file_,
                                place.empty() ? "(whole file)" : shown.substr(1, shown.size() - 2),
                                problem));
  }

 private:
  static std::string_view kind_of(const json& v) {
    switch (v.type()) {
      case json::value_t::null:
        return "null";
      case json::value_t::object:
        return "an object";
      case json::value_t::array:
        return "an array";
      case json::value_t::string:
        return "a string";
      case json::value_t::boolean:
        return "true or false";
      default:
        return "a number";
    }
  }

  const json& need(const std::string& key) const {
    const auto it = value_.find(key);
    if (it == value_.end()) fail(key, "is missing");
    return *it;
  }

  Object& defaulted(const std::string& key, json missing) {
    if (!value_.contains(key)) value_[key] = std::move(missing);
    return *this;
  }

  int index_in(Object& self, const std::vector<std::string>& names, const std::string& key) {
    const std::string name = self.text(key);
    const auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end()) return static_cast<int>(it - names.begin());
    const std::string near = nearest(name, names);
    fail(key, fmt::format("is {}, want one of {}{}", quote(name), fmt::join(names, ", "),
                          near.empty() ? "" : fmt::format(" (nearest: {})", near)));
  }

  const std::string& file_;
  std::string pointer_;
  std::vector<std::string> known_keys_;
  json value_;
};

json parse_json(std::string_view text, const std::string& file) {
  if (text.size() > kMaxFileBytes)
    throw TaskError(
        fmt::format("{}: has {} bytes, want at most {}", file, text.size(), kMaxFileBytes));
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const json::parser_callback_t check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kMaxDepth)
      throw TaskError(fmt::format("{}: is nested deeper than {} levels", file, kMaxDepth));
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(value.get_ref<const std::string&>()).second)
      throw TaskError(fmt::format("{}: the key {} occurs twice in one object", file,
                                  quote(value.get_ref<const std::string&>())));
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& e) {
    std::string_view what = e.what();
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    const std::string shown = quote(what);
    throw TaskError(fmt::format("{}: not JSON: {}", file, shown.substr(1, shown.size() - 2)));
  }
}

bool is_name(std::string_view s) {
  return !s.empty() && s.size() <= 64 && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

void read_choose(Object& root, TaskSpec& spec) {
  Object prompt =
      root.object("prompt", {"header", "item", "separator", "strip_question", "wordings"});
  spec.header = prompt.prompt("header", {"subject"});
  spec.item = prompt.prompt("item", {"subject", "question", "lettered_choices"}, "question");
  spec.separator = prompt.text("separator", "\n\n");
  spec.strip_question = prompt.truth("strip_question", false);
  if (prompt.has("wordings"))
    for (Object& w : prompt.objects("wordings", {"header", "item"}))
      spec.wordings.push_back(
          {w.prompt("header", {"subject"}),
           w.prompt("item", {"subject", "question", "lettered_choices"}, "question")});
  root.put("prompt", prompt);
  spec.option = root.prompt("option", {"letter", "choice"});
  if (spec.option.count("letter") + spec.option.count("choice") == 0)
    root.fail("option", "has neither {{letter}} nor {{choice}}, so all options would be equal");
  spec.num_fewshot = root.integer("num_fewshot", 0, 0, 1000);
  spec.normalise =
      root.one_of("normalise", {"none", "chars", "bytes", "tokens"}, TaskSpec::Normalise::none);
}

void read_code(Object& root, TaskSpec& spec) {
  Object prompt = root.object("prompt", {"item", "user", "prefill"});
  spec.is_chat = prompt.has("user") || prompt.has("prefill");
  if (spec.is_chat) {
    if (prompt.has("item")) prompt.fail("item", "stands beside user or prefill, want one form");
    spec.user = prompt.prompt("user", {"prompt"}, "prompt");
    spec.prefill = prompt.prompt("prefill", {"prompt"});
  } else {
    spec.item = prompt.prompt("item", {"prompt"}, "prompt");
  }
  Object generation =
      root.object("generation", {"max_new_tokens", "temperature", "top_p", "stops"});
  spec.max_new_tokens = generation.integer("max_new_tokens", 1024, 1, 1 << 20);
  spec.temperature = generation.number("temperature", 0, 0, 100);
  spec.top_p = generation.number("top_p", 1, 1e-6, 1);
  spec.stops = generation.texts("stops");
  root.put("generation", generation);
  spec.extraction =
      root.one_of("extraction", {"completion", "before_fence"}, TaskSpec::Extraction::completion);
  spec.cpu_s = root.number("cpu_s", 3.0, 0.01, 3600);
}

std::vector<std::string> known_keys(TaskSpec::Kind kind) {
  std::vector<std::string> keys = {"task", "version", "suite",  "description", "dataset",
                                   "kind", "chance",  "prompt", "truncation"};
  for (const char* key : {"num_fewshot", "option", "normalise"})
    if (kind == TaskSpec::Kind::choose) keys.push_back(key);
  for (const char* key : {"generation", "extraction", "cpu_s"})
    if (kind == TaskSpec::Kind::code) keys.push_back(key);
  return keys;
}

}  // namespace

TaskSpec parse_task_file(std::string_view text, const std::string& file) {
  const json value = parse_json(text, file);
  TaskSpec spec;
  // The kind decides which keys are known; a wrong kind is reported by the second look.
  if (value.is_object() && value.contains("kind") && value["kind"] == "code")
    spec.kind = TaskSpec::Kind::code;
  Object root(file, "", value, known_keys(spec.kind));
  root.text("kind");
  spec.kind = root.one_of("kind", {"choose", "code"}, spec.kind);

  spec.name = root.text("task");
  if (!is_name(spec.name))
    root.fail("task", fmt::format("is {}, want 1 to 64 of a-z, 0-9 and _", quote(spec.name)));
  spec.suite = root.text("suite", spec.name);
  if (!is_name(spec.suite))
    root.fail("suite", fmt::format("is {}, want 1 to 64 of a-z, 0-9 and _", quote(spec.suite)));
  spec.version = root.integer("version", 1, 1, 1'000'000);
  spec.description = root.text("description");
  spec.dataset = root.text("dataset");
  if (root.has("chance")) spec.chance = root.number("chance", 0, 0, 1);

  if (spec.kind == TaskSpec::Kind::choose)
    read_choose(root, spec);
  else
    read_code(root, spec);

  if (root.has("truncation")) {
    Object truncation = root.object("truncation", {"rule", "max_prompt_tokens"});
    spec.truncation = truncation.one_of(
        "rule", {"drop_demonstrations_from_end", "left_tokens", "fail"}, Truncation::fail);
    spec.max_prompt_tokens = truncation.integer("max_prompt_tokens", 0, 0, 1 << 24);
    root.put("truncation", truncation);
  }
  spec.json = root.dump();
  return spec;
}

void set_num_fewshot(TaskSpec& spec, int num_fewshot) {
  spec.num_fewshot = num_fewshot;
  json value = json::parse(spec.json);
  value["num_fewshot"] = num_fewshot;
  spec.json = value.dump();
}

}  // namespace tasks
