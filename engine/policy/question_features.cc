#include "engine/policy/question_features.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace engine {
namespace {

struct Named {
  Feature feature;
  const char* name;
};

constexpr std::array kFeatures = {Named{Feature::embedding_mean, "embedding_mean"},
                                  Named{Feature::embedding_max, "embedding_max"},
                                  Named{Feature::log_tokens, "log_tokens"},
                                  Named{Feature::log_bytes, "log_bytes"},
                                  Named{Feature::word_bytes, "word_bytes"},
                                  Named{Feature::digits, "digits"},
                                  Named{Feature::upper_case, "upper_case"},
                                  Named{Feature::blanks, "blanks"},
                                  Named{Feature::newlines, "newlines"},
                                  Named{Feature::code, "code"},
                                  Named{Feature::latex, "latex"},
                                  Named{Feature::non_ascii, "non_ascii"}};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool belongs(Feature f, char c) {
  switch (f) {
    case Feature::digits:
      return c >= '0' && c <= '9';
    case Feature::upper_case:
      return c >= 'A' && c <= 'Z';
    case Feature::blanks:
      return is_blank(c);
    case Feature::newlines:
      return c == '\n';
    case Feature::code:
      return std::string_view("{}[]()<>=;_#").find(c) != std::string_view::npos;
    case Feature::latex:
      return c == '\\' || c == '$' || c == '^';
    case Feature::non_ascii:
      return static_cast<unsigned char>(c) >= 0x80;
    default:
      return false;
  }
}

float mean_word_bytes(std::string_view text) {
  int64_t words = 0, bytes = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = is_blank(c);
    words += !blank && !inside;
    bytes += !blank;
    inside = !blank;
  }
  return words == 0 ? 0.0f : static_cast<float>(bytes) / static_cast<float>(words);
}

float surface(Feature f, const QueryFeatures& q) {
  const auto bytes = static_cast<float>(q.question.size());
  if (f == Feature::log_tokens) return std::log1p(static_cast<float>(q.question_tokens.size()));
  if (f == Feature::log_bytes) return std::log1p(bytes);
  if (f == Feature::word_bytes) return mean_word_bytes(q.question);
  if (q.question.empty()) return 0;
  return static_cast<float>(std::count_if(q.question.begin(), q.question.end(),
                                          [f](char c) { return belongs(f, c); })) /
         bytes;
}

}  // namespace

const char* feature_name(Feature f) { return kFeatures[static_cast<size_t>(f)].name; }

const Feature* find_feature(std::string_view name) {
  for (const Named& n : kFeatures)
    if (name == n.name) return &n.feature;
  return nullptr;
}

std::vector<std::string_view> feature_names() {
  std::vector<std::string_view> out;
  for (const Named& n : kFeatures) out.emplace_back(n.name);
  return out;
}

int64_t feature_width(Feature f, int64_t d_model) {
  return f == Feature::embedding_mean || f == Feature::embedding_max ? d_model : 1;
}

std::vector<float> question_features(std::span<const Feature> wanted, const QueryFeatures& q,
                                     int64_t d_model,
                                     const std::function<void(TokenId, float*)>& embedding_row) {
  const auto d = static_cast<size_t>(d_model);
  std::vector<float> mean, max;
  const auto pooled = [](Feature f) {
    return f == Feature::embedding_mean || f == Feature::embedding_max;
  };
  if (std::any_of(wanted.begin(), wanted.end(), pooled)) {
    mean.assign(d, 0.0f);
    max.assign(d, 0.0f);
    std::vector<float> row(d);
    // One token after the other: the order of the sum is that of the question.
    for (size_t t = 0; t < q.question_tokens.size(); ++t) {
      embedding_row(q.question_tokens[t], row.data());
      for (size_t i = 0; i < d; ++i) {
        mean[i] += row[i];
        max[i] = t == 0 ? row[i] : std::max(max[i], row[i]);
      }
    }
    if (!q.question_tokens.empty()) {
      const auto n = static_cast<float>(q.question_tokens.size());
      for (float& m : mean) m /= n;
    }
  }
  std::vector<float> out;
  for (const Feature f : wanted) {
    if (f == Feature::embedding_mean) {
      out.insert(out.end(), mean.begin(), mean.end());
    } else if (f == Feature::embedding_max) {
      out.insert(out.end(), max.begin(), max.end());
    } else {
      out.push_back(surface(f, q));
    }
  }
  return out;
}

}  // namespace engine
