// Owns the text that a conversion is calibrated on: the user's files, or the built-in default.
#pragma once

#include <string>
#include <vector>

namespace harness {

struct CalibrationText {
  std::string name;  // for messages and the record
  std::string sha256;
  std::vector<std::string> documents;
};

// Text files, a document each. Throws DataError: unreadable or empty.
CalibrationText calibration_files(const std::vector<std::string>& paths);

// Prose, documentation, code, and the MMLU demonstration rows of the embedded suite as questions
// with answers; no test items. About 82 kB, some 24 thousand tokens of the SmolLM2 vocabulary.
CalibrationText default_calibration();

}  // namespace harness
