#include "harness/refusal_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/strict_json.h"

namespace harness {
namespace {

// Words in lower case, one blank before and after each; what is no ASCII letter or digit and no
// part of a longer character parts words.
std::string folded(std::string_view text) {
  std::string out = " ";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || byte >= 0x80)
      out += c;
    else if (out.back() != ' ')
      out += ' ';
  }
  if (out.back() != ' ') out += ' ';
  return out;
}

}  // namespace

RefusalFilter RefusalFilter::parse(std::string_view text, const std::string& file) {
  const auto o = tasks::StrictObject::parse(text, file, {"name", "phrases"});
  RefusalFilter f;
  f.name_ = o.text("name");
  for (const auto& phrase : o.texts("phrases")) {
    f.phrases_.push_back(folded(phrase));
    if (f.phrases_.back() == " ") o.fail("phrases", "a phrase without a word in it");
  }
  if (f.phrases_.empty()) o.fail("phrases", "no phrase");
  return f;
}

RefusalFilter RefusalFilter::read(const std::string& path) {
  return parse(tasks::read_config_file(path), path);
}

bool RefusalFilter::refuses(std::string_view text) const {
  const std::string words = folded(text);
  return std::any_of(phrases_.begin(), phrases_.end(), [&](const std::string& phrase) {
    return words.find(phrase) != std::string::npos;
  });
}

}  // namespace harness
