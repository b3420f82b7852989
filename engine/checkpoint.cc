#include "engine/checkpoint.h"

#include <fmt/format.h>

#include "engine/model_file/byte_source.h"
#include "engine/model_file/formats.h"
#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"

namespace engine {

std::unique_ptr<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_hf_checkpoint(path);
  if (path.extension() == ".safetensors" || path.extension() == ".json") {
    throw ModelFileError(
        fmt::format("{}: name the folder that holds config.json and the safetensors, or a .gguf "
                    "file",
                    path.string()));
  }
  return open_gguf_checkpoint(ByteSource::open_file(path), path);
}

const TensorInfo* Checkpoint::find(std::string_view canonical) const {
  for (const TensorInfo& t : tensors()) {
    if (t.name == canonical) return &t;
  }
  return nullptr;
}

void fail_unknown_family(const std::string& file, std::string_view name) {
  throw ModelFileError(
      fmt::format("{}: architecture {} is not supported; known: llama (SmolLM2, Llama 2 and 3, "
                  "Mistral), qwen2, qwen3, mixtral, olmoe, qwen2_moe, qwen3_moe, moeval_nested",
                  file, printable(name)));
}

}  // namespace engine
