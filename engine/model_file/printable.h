// Owns printable(): names from untrusted files, made safe for a one-line message.
#pragma once

#include <string>
#include <string_view>

namespace engine {

// In quotes; other than printable ASCII becomes '?'; at most 80 bytes are shown.
inline std::string printable(std::string_view s) {
  std::string out = "'";
  for (const char c : s.substr(0, 80)) out += (c >= ' ' && c <= '~') ? c : '?';
  if (s.size() > 80) out += "...";
  return out + "'";
}

}  // namespace engine
