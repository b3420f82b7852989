// Owns the checked reader of safetensors: one file, or the shards of a folder. Knows nothing of
// architectures. Format: the safetensors README. Every file is taken as hostile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/model_file/byte_source.h"
#include "kernels/dtype.h"

namespace engine {

struct SafetensorsTensor {
  std::string name;
  std::string_view stored_type;         // as in the file: "F32", "I64" ...
  std::optional<kernels::Dtype> dtype;  // F32, F16 and BF16; other types are only bounds-checked
  std::vector<int64_t> shape;           // row-major
  uint64_t offset = 0;                  // from the start of the file, bytes
  uint64_t size_bytes = 0;
};

// Immutable after open; may be used from many threads.
class SafetensorsFile {
 public:
  static constexpr uint64_t kMaxHeaderBytes = 100'000'000;
  static constexpr size_t kMaxTensors = 100'000, kMaxMetadata = 65536, kMaxRank = 8;

  SafetensorsFile(SafetensorsFile&&) noexcept = default;  // no copy: index_ points into tensors_
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept = default;

  // Throws ModelFileError with file, place and values.
  static SafetensorsFile open(const std::filesystem::path&);
  static SafetensorsFile parse(std::shared_ptr<const ByteSource>);

  const std::string& name() const { return source_->name(); }
  const std::shared_ptr<const ByteSource>& source() const { return source_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // in file order
  const SafetensorsTensor* find(std::string_view name) const;                 // nullptr if absent
  // What __metadata__ says; empty without one.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;
  void check_spans(uint64_t data_bytes) const;

  std::shared_ptr<const ByteSource> source_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, size_t> index_;  // names live in tensors_
};

// model.safetensors of a folder, or the shards that model.safetensors.index.json names: every
// weight in exactly one shard, shards in the same folder.
class SafetensorsFolder {
 public:
  static constexpr size_t kMaxShards = 1000;

  static SafetensorsFolder open(const std::filesystem::path& folder);

  struct Place {
    const SafetensorsFile* file = nullptr;
    const SafetensorsTensor* tensor = nullptr;
  };
  std::optional<Place> find(std::string_view name) const;
  const std::vector<SafetensorsFile>& shards() const { return shards_; }
  const std::vector<std::filesystem::path>& files() const { return files_; }  // index included

 private:
  void open_index(const std::filesystem::path& folder, const std::filesystem::path& index);

  std::vector<SafetensorsFile> shards_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace engine
