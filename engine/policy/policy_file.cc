#include "engine/policy/policy_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/model_file/byte_source.h"
#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/policy/policy_error.h"

namespace engine {

std::string read_policy_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const auto source = ByteSource::open_file(path);
  if (source->size_bytes() > max_bytes) {
    throw ModelFileError(fmt::format("{}: has {} bytes, at most {} are read", source->name(),
                                     source->size_bytes(), max_bytes));
  }
  std::string bytes(source->size_bytes(), '\0');
  source->read(0, bytes.data(), bytes.size());
  return bytes;
}

void check_format(const JsonFields& root, std::string_view format) {
  const std::string found = root.require_string("format");
  if (found != format) root.fail("format", fmt::format("is {}, want {}", printable(found), format));
}

void check_model(const std::string& file, const std::string& made_for,
                 const PolicyContext& context) {
  if (made_for == context.weights_sha256) return;
  throw PolicyMismatch(fmt::format("{}: was made for a model of sha256 {}, this one is {}", file,
                                   printable(made_for), context.weights_sha256));
}

}  // namespace engine
