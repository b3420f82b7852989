// Owns the entry points of the two checkpoint formats.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "engine/checkpoint.h"
#include "engine/model_file/byte_source.h"

namespace engine {

std::unique_ptr<Checkpoint> open_gguf_checkpoint(std::shared_ptr<const ByteSource>,
                                                 const std::filesystem::path&);
std::unique_ptr<Checkpoint> open_hf_checkpoint(const std::filesystem::path& folder);

// Throws the ModelFileError for an architecture that is not known.
[[noreturn]] void fail_unknown_family(const std::string& file, std::string_view name);

}  // namespace engine
