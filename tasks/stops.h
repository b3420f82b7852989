// Owns stop strings and the extraction of code from an answer: pure functions over text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tasks {

// Where the earliest stop starts. Empty stops never match.
std::optional<size_t> find_first_stop(std::string_view text, const std::vector<std::string>& stops);

// The text before the earliest stop; all of it when there is none.
std::string_view cut_at_stop(std::string_view text, const std::vector<std::string>& stops);

// The same, while text arrives in pieces that may split a stop. Costs time linear in the text.
class StopScanner {
 public:
  explicit StopScanner(std::vector<std::string> stops);

  // True from the piece on that completes a stop; later pieces are ignored.
  bool feed(std::string_view piece);
  bool stopped() const { return stop_.has_value(); }
  // What was fed, cut at the earliest stop.
  std::string_view text() const;

 private:
  std::vector<std::string> stops_;
  size_t longest_ = 0;
  std::string text_;
  std::optional<size_t> stop_;
};

// The text before the first triple backtick; all of it when there is none.
std::string_view before_fence(std::string_view text);

}  // namespace tasks
