// Owns DataError: a data set file is not what it must be. Exit code 3.
#pragma once

#include <stdexcept>

namespace datasets {

// The message is one line: file, line or byte, both values.
class DataError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The files are nowhere that was looked.
class DataNotFound : public DataError {
 public:
  using DataError::DataError;
};

}  // namespace datasets
