// Owns the progress line of long work: one rewritten line with an ETA on a terminal, a plain line
// now and then elsewhere. Goes to stderr; results go to stdout.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace harness {

class Progress {
 public:
  // done: steps already there from an earlier run; they do not count towards the speed.
  Progress(std::string label, int64_t total, int64_t done = 0);
  ~Progress();
  void step(int64_t n = 1, std::string_view note = {});
  void finish();

 private:
  void print(bool last);
  std::string label_, note_;
  int64_t total_, first_, done_;
  int64_t start_ns_, last_print_ns_ = 0;
  bool terminal_, finished_ = false;
};

// stdout is a terminal and NO_COLOR is not set.
bool use_color();

}  // namespace harness
