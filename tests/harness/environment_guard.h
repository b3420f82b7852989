// Sets an environment variable for the time of a test.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace test_support {

class EnvironmentGuard {
 public:
  // No value: the variable is taken away.
  EnvironmentGuard(std::string name, std::optional<std::string> value) : name_(std::move(name)) {
    if (const char* v = std::getenv(name_.c_str())) before_ = v;
    set(value);
  }
  ~EnvironmentGuard() { set(before_); }
  EnvironmentGuard(const EnvironmentGuard&) = delete;
  EnvironmentGuard& operator=(const EnvironmentGuard&) = delete;

 private:
  void set(const std::optional<std::string>& value) {
    if (value)
      ::setenv(name_.c_str(), value->c_str(), 1);
    else
      ::unsetenv(name_.c_str());
  }
  const std::string name_;
  std::optional<std::string> before_;
};

}  // namespace test_support
