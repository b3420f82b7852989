// Owns the errors of the result store.
#pragma once

#include <stdexcept>

namespace results {

// Database problem: cannot open, foreign, newer, full, corrupt, locked. Exit code 6.
class StoreError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The run on record was made with another plan. Exit code 7. The message names the keys that
// differ.
class FingerprintMismatch : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace results
