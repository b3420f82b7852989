// Owns GgufFile: the checked reader of GGUF v2 and v3 (typed metadata and tensor directory). Knows
// nothing of architectures. Format: ggml's docs/gguf.md. Every file is taken as hostile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/model_file/byte_source.h"
#include "kernels/dtype.h"

namespace engine {

enum class GgufType : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
std::string_view gguf_type_name(GgufType);

// Strings of one metadata array, in one block of memory.
class GgufStrings {
 public:
  size_t size() const { return begin_.size(); }
  bool empty() const { return begin_.empty(); }
  std::string_view operator[](size_t i) const;  // any bytes; valid while this object lives

 private:
  friend class GgufFile;
  std::string bytes_;            // the array as stored: length, bytes, length, bytes ...
  std::vector<uint64_t> begin_;  // where each length field begins
};

struct GgufTensor {
  std::string name;
  kernels::Dtype dtype = kernels::Dtype::f32;
  std::vector<int64_t> shape;  // row-major: the file's dimensions reversed; last = row length
  uint64_t offset = 0;         // from the start of the file, bytes
  uint64_t size_bytes = 0;
};

// Immutable after open; may be used from many threads. Scalars are held; arrays are read from the
// file when asked for. Every find_* gives nothing when the key is absent and throws ModelFileError
// when it has another type; a key's type must match exactly.
class GgufFile {
 public:
  static constexpr uint64_t kMaxTensors = 65536, kMaxKeys = 65536;
  static constexpr uint64_t kMaxKeyBytes = 65535, kMaxStringBytes = uint64_t{16} << 20;
  static constexpr uint64_t kMaxArray = uint64_t{16} << 20;
  static constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;

  // Throws ModelFileError with file, place and values.
  static GgufFile open(const std::filesystem::path&);
  static GgufFile parse(std::shared_ptr<const ByteSource>);

  const std::string& name() const { return source_->name(); }
  const ByteSource& source() const { return *source_; }
  uint32_t version() const { return version_; }
  // Offset where the metadata ends and the tensor directory begins.
  uint64_t metadata_end() const { return metadata_end_; }

  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::optional<uint16_t> find_u16(std::string_view key) const;
  std::optional<uint32_t> find_u32(std::string_view key) const;
  std::optional<float> find_f32(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  // As find_*, but an absent key is an error too.
  uint32_t u32(std::string_view key) const;
  float f32(std::string_view key) const;
  std::string_view string(std::string_view key) const;

  // Elements of an array; nothing when the key is absent; throws when it is no array.
  std::optional<uint64_t> array_size(std::string_view key) const;
  // Empty when the key is absent. i32_array also takes u32 elements below 2^31.
  GgufStrings string_array(std::string_view key) const;
  std::vector<float> f32_array(std::string_view key) const;
  std::vector<int32_t> i32_array(std::string_view key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // nullptr if absent

 private:
  struct Value {
    GgufType type = GgufType::u8;
    uint64_t bits = 0;   // scalar, little-endian in the low bytes
    std::string string;  // type string
    GgufType element = GgufType::u8;
    uint64_t count = 0, offset = 0, size_bytes = 0;  // type array: where its elements lie
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  class Parser;

  const Value* find(std::string_view key) const;
  const Value* find_typed(std::string_view key, GgufType) const;
  const Value* find_array(std::string_view key) const;
  [[noreturn]] void fail_absent(std::string_view key) const;

  std::shared_ptr<const ByteSource> source_;
  uint32_t version_ = 0;
  uint64_t metadata_end_ = 0;
  std::unordered_map<std::string, Value, Hash, std::equal_to<>> values_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> tensor_index_;
};

}  // namespace engine
