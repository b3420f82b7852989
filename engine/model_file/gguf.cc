#include "engine/model_file/gguf.h"

#include <fmt/format.h>

#include <bit>
#include <cassert>
#include <cstring>

#include "engine/model_file_error.h"

namespace engine {

std::string_view gguf_type_name(GgufType t) {
  static constexpr std::string_view kNames[] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                "i32", "f32", "bool", "string", "array",
                                                "u64", "i64", "f64"};
  return kNames[static_cast<uint32_t>(t)];
}

std::string_view GgufStrings::operator[](size_t i) const {
  assert(i < begin_.size());
  uint64_t length;
  std::memcpy(&length, bytes_.data() + begin_[i], sizeof length);
  return std::string_view(bytes_).substr(begin_[i] + sizeof length, length);
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  return parse(ByteSource::open_file(path));
}

const GgufFile::Value* GgufFile::find(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

const GgufFile::Value* GgufFile::find_typed(std::string_view key, GgufType want) const {
  const Value* v = find(key);
  if (v != nullptr && v->type != want) {
    throw ModelFileError(fmt::format("{}: key '{}' has type {}, want {}", name(), key,
                                     gguf_type_name(v->type), gguf_type_name(want)));
  }
  return v;
}

const GgufFile::Value* GgufFile::find_array(std::string_view key) const {
  return find_typed(key, GgufType::array);
}

void GgufFile::fail_absent(std::string_view key) const {
  throw ModelFileError(fmt::format("{}: key '{}' is missing", name(), key));
}

std::optional<uint16_t> GgufFile::find_u16(std::string_view key) const {
  const Value* v = find_typed(key, GgufType::u16);
  if (v == nullptr) return std::nullopt;
  return static_cast<uint16_t>(v->bits);
}

std::optional<uint32_t> GgufFile::find_u32(std::string_view key) const {
  const Value* v = find_typed(key, GgufType::u32);
  if (v == nullptr) return std::nullopt;
  return static_cast<uint32_t>(v->bits);
}

std::optional<float> GgufFile::find_f32(std::string_view key) const {
  const Value* v = find_typed(key, GgufType::f32);
  if (v == nullptr) return std::nullopt;
  return std::bit_cast<float>(static_cast<uint32_t>(v->bits));
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const Value* v = find_typed(key, GgufType::boolean);
  if (v == nullptr) return std::nullopt;
  return v->bits != 0;
}

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  const Value* v = find_typed(key, GgufType::string);
  if (v == nullptr) return std::nullopt;
  return v->string;
}

uint32_t GgufFile::u32(std::string_view key) const {
  const auto v = find_u32(key);
  if (!v) fail_absent(key);
  return *v;
}

float GgufFile::f32(std::string_view key) const {
  const auto v = find_f32(key);
  if (!v) fail_absent(key);
  return *v;
}

std::string_view GgufFile::string(std::string_view key) const {
  const auto v = find_string(key);
  if (!v) fail_absent(key);
  return *v;
}

std::optional<uint64_t> GgufFile::array_size(std::string_view key) const {
  const Value* v = find_array(key);
  if (v == nullptr) return std::nullopt;
  return v->count;
}

GgufStrings GgufFile::string_array(std::string_view key) const {
  GgufStrings out;
  const Value* v = find_array(key);
  if (v == nullptr) return out;
  if (v->element != GgufType::string) {
    throw ModelFileError(fmt::format("{}: key '{}' has {} elements, want string", name(), key,
                                     gguf_type_name(v->element)));
  }
  out.bytes_.resize(v->size_bytes);
  source_->read(v->offset, out.bytes_.data(), v->size_bytes);
  out.begin_.reserve(v->count);
  // The lengths were checked at open; they are checked again since the file may have changed.
  uint64_t at = 0;
  for (uint64_t i = 0; i < v->count; ++i) {
    uint64_t length = 0;
    const uint64_t left = v->size_bytes - at;
    if (left >= sizeof length) std::memcpy(&length, out.bytes_.data() + at, sizeof length);
    if (left < sizeof length || length > left - sizeof length) {
      throw ModelFileError(fmt::format("{}: key '{}': changed while in use", name(), key));
    }
    out.begin_.push_back(at);
    at += sizeof length + length;
  }
  return out;
}

std::vector<float> GgufFile::f32_array(std::string_view key) const {
  std::vector<float> out;
  const Value* v = find_array(key);
  if (v == nullptr) return out;
  if (v->element != GgufType::f32) {
    throw ModelFileError(fmt::format("{}: key '{}' has {} elements, want f32", name(), key,
                                     gguf_type_name(v->element)));
  }
  out.resize(v->count);
  source_->read(v->offset, out.data(), v->size_bytes);
  return out;
}

std::vector<int32_t> GgufFile::i32_array(std::string_view key) const {
  std::vector<int32_t> out;
  const Value* v = find_array(key);
  if (v == nullptr) return out;
  if (v->element != GgufType::i32 && v->element != GgufType::u32) {
    throw ModelFileError(fmt::format("{}: key '{}' has {} elements, want i32", name(), key,
                                     gguf_type_name(v->element)));
  }
  out.resize(v->count);
  source_->read(v->offset, out.data(), v->size_bytes);
  if (v->element == GgufType::u32) {
    for (size_t i = 0; i < out.size(); ++i) {
      if (out[i] < 0) {
        throw ModelFileError(fmt::format("{}: key '{}': element {} is {}, want below 2^31", name(),
                                         key, i, static_cast<uint32_t>(out[i])));
      }
    }
  }
  return out;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace engine
