// Owns expect_refused(): a wrong file ends in ModelFileError with the expected words, on one line.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "engine/model_file_error.h"

namespace engine::test_support {

template <typename F>
void expect_refused(const F& load, std::string_view file, std::string_view words) {
  try {
    load();
    ADD_FAILURE() << "loaded, want ModelFileError with: " << words;
  } catch (const ModelFileError& e) {
    const std::string_view what = e.what();
    EXPECT_NE(what.find(words), what.npos) << "want '" << words << "' in: " << what;
    EXPECT_NE(what.find(file), what.npos) << "want the file name in: " << what;
    EXPECT_EQ(what.find('\n'), what.npos) << "want one line: " << what;
    EXPECT_LT(what.size(), 600u) << what;
  }
}

}  // namespace engine::test_support
