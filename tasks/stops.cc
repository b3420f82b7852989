#include "tasks/stops.h"

#include <algorithm>

namespace tasks {

std::optional<size_t> find_first_stop(std::string_view text,
                                      const std::vector<std::string>& stops) {
  size_t first = std::string_view::npos;
  for (const std::string& stop : stops)
    if (!stop.empty()) first = std::min(first, text.find(stop));
  if (first == std::string_view::npos) return std::nullopt;
  return first;
}

std::string_view cut_at_stop(std::string_view text, const std::vector<std::string>& stops) {
  return text.substr(0, find_first_stop(text, stops).value_or(text.size()));
}

StopScanner::StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
}

bool StopScanner::feed(std::string_view piece) {
  if (stop_) return true;
  // A stop completed by this piece starts at most longest_ - 1 bytes before it.
  const size_t from = text_.size() - std::min(text_.size(), longest_ > 0 ? longest_ - 1 : 0);
  text_ += piece;
  if (const auto at = find_first_stop(std::string_view(text_).substr(from), stops_))
    stop_ = from + *at;
  return stopped();
}

std::string_view StopScanner::text() const {
  return std::string_view(text_).substr(0, stop_.value_or(text_.size()));
}

std::string_view before_fence(std::string_view text) { return text.substr(0, text.find("```")); }

}  // namespace tasks
