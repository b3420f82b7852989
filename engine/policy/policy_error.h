// Owns the errors of policies: what a user wrote, and files made for another model.
#pragma once

#include <stdexcept>

namespace engine {

// A policy is written wrong, asks for what the model cannot run, or does not know a query. Exit
// code 2. Files that are not what they must be are ModelFileErrors.
class PolicyError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A predictor, table or coefficients of another model. Exit code 7; the message names both.
class PolicyMismatch : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace engine
