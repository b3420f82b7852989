// Owns ModelFileError: a model or tokenizer file is not what it must be. Exit code 3.
#pragma once

#include <stdexcept>
#include <string>

namespace engine {

// The message is one line: file, place (offset, key, tensor), both values.
class ModelFileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace engine
