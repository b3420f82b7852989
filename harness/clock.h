// Owns the clocks: the steady one that durations come from, and wall time for run rows.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>

namespace harness {

inline int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// ISO 8601, UTC, seconds: 2026-11-23T17:05:09Z
inline std::string utc_now() {
  const std::time_t t = std::time(nullptr);
  std::tm tm{};
  gmtime_r(&t, &tm);
  char buffer[32];
  std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &tm);
  return buffer;
}

}  // namespace harness
