// Owns the exit codes of the program (documented in every --help) and the mapping of exceptions to
// them.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace harness {

enum ExitCode : int {
  kOk = 0,
  kGateFailed = 1,
  kUsage = 2,
  kBadInput = 3,
  kIncomplete = 4,
  kNoSandbox = 5,
  kDatabase = 6,
  kMismatch = 7,
  kInconclusive = 8,
  kNondeterminism = 9,
  kInterrupted = 130,
  kTerminated = 143,
};

// Wrong option or configuration. Exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Something outside the program failed (download, disk). Exit code 4.
class InfrastructureError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The code of a caught exception; unknown ones are kIncomplete.
int exit_code_of(const std::exception&);

// The table of codes as it stands at the end of --help.
std::string exit_code_help();

}  // namespace harness
