// Owns the files that are built into the program: the manifest of the official data sets and the
// embedded suites. The table is written at build time by embed.cmake.
#pragma once

#include <span>
#include <string_view>

namespace datasets {

struct EmbeddedFile {
  std::string_view path;  // relative to datasets/, "embedded/mmlu/test/astronomy_test.csv"
  std::string_view bytes;
};

std::span<const EmbeddedFile> embedded_files();  // sorted by path

}  // namespace datasets
