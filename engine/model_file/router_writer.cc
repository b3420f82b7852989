#include "engine/model_file/router_writer.h"

#include <fmt/format.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <span>
#include <system_error>
#include <vector>

#include "engine/model_file/safetensors.h"
#include "engine/model_file_error.h"
#include "kernels/dtype.h"
#include "kernels/half.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

// To nearest, ties to even; the values are finite.
uint16_t bf16_of(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// values in the stored type, little-endian.
std::string stored_bytes(const std::vector<float>& values, kernels::Dtype type) {
  std::string out;
  for (const float v : values) {
    if (type == kernels::Dtype::f32) {
      char bytes[sizeof v];
      std::memcpy(bytes, &v, sizeof v);
      out.append(bytes, sizeof v);
      continue;
    }
    const uint16_t half = type == kernels::Dtype::f16 ? kernels::half_from_float(v) : bf16_of(v);
    out += static_cast<char>(half & 255);
    out += static_cast<char>(half >> 8);
  }
  return out;
}

// Where the router of a layer is stored.
SafetensorsFolder::Place router_place(const Checkpoint& checkpoint, const SafetensorsFolder& parts,
                                      int32_t layer) {
  const auto* info = checkpoint.find(fmt::format("layers.{}.router", layer));
  SafetensorsFolder::Place place;
  if (info != nullptr) place = parts.find(info->stored_name).value_or(place);
  if (place.tensor == nullptr || !place.tensor->dtype || place.tensor->shape != info->shape ||
      checkpoint.config().moe.router != RouterKind::linear)
    throw ModelFileError(
        fmt::format("{}: layer {} has no linear router in a tensor of its own in F32, F16 or BF16",
                    checkpoint.path().string(), layer));
  return place;
}

SafetensorsFolder folder_of(const Checkpoint& checkpoint) {
  if (!fs::is_directory(checkpoint.path()))
    throw ModelFileError(fmt::format("{}: routers can be written into a Hugging Face folder only",
                                     checkpoint.path().string()));
  return SafetensorsFolder::open(checkpoint.path());
}

void write_router(const Checkpoint& checkpoint, const SafetensorsFolder::Place& place,
                  int32_t layer, std::span<const float> learned, const fs::path& folder) {
  const auto* info = checkpoint.find(fmt::format("layers.{}.router", layer));
  const auto type = *place.tensor->dtype;
  std::vector<float> values(learned.size());
  std::string stored(place.tensor->size_bytes, '\0');
  checkpoint.read_rows(*info, 0, info->shape[0], stored.data());
  kernels::dequantise_row(type, stored.data(), values.data(), static_cast<int64_t>(values.size()));
  const float most = type == kernels::Dtype::f16 ? 65504.0f : 1e30f;
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] += learned[i];
    if (!(std::fabs(values[i]) <= most))
      throw ModelFileError(
          fmt::format("layer {}: a router's weight became {}, which {} cannot hold", layer,
                      values[i], kernels::dtype_name(type)));
  }
  const std::string bytes = stored_bytes(values, type);
  const fs::path file = folder / fs::path(place.file->name()).filename();
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(place.tensor->offset));
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::system_error(errno, std::generic_category(), file.string());
}

}  // namespace

void check_routers_writable(const Checkpoint& checkpoint) {
  const auto parts = folder_of(checkpoint);
  for (int32_t layer = 0; layer < checkpoint.config().n_layers; ++layer)
    router_place(checkpoint, parts, layer);
}

void write_with_routers(const Checkpoint& checkpoint, const RouterExploration& routers,
                        const fs::path& folder) {
  const auto parts = folder_of(checkpoint);
  if (fs::exists(folder))
    throw ModelFileError(fmt::format("{}: is there already", folder.string()));
  fs::path part = folder;
  part += ".part";
  fs::remove_all(part);
  fs::create_directories(part);
  for (const auto& entry : fs::directory_iterator(checkpoint.path())) {
    if (!entry.is_regular_file()) continue;
    const fs::path to = part / entry.path().filename();
    fs::copy_file(entry.path(), to);
    fs::permissions(to, fs::perms::owner_write, fs::perm_options::add);
  }
  for (int32_t layer = 0; layer < checkpoint.config().n_layers; ++layer)
    write_router(checkpoint, router_place(checkpoint, parts, layer), layer, routers.learned(layer),
                 part);
  fs::rename(part, folder);
}

}  // namespace engine
