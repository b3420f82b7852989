#include "engine/model_file/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>

#include "engine/model_file/printable.h"
#include "engine/model_file/strict_json.h"
#include "engine/model_file_error.h"

namespace engine {
namespace {

using nlohmann::json;

struct SafetensorsType {
  std::string_view name;
  uint64_t bits;
  std::optional<kernels::Dtype> dtype;
};

constexpr SafetensorsType kSafetensorsTypes[] = {
    {"F32", 32, kernels::Dtype::f32},
    {"F16", 16, kernels::Dtype::f16},
    {"BF16", 16, kernels::Dtype::bf16},
    {"F64", 64, std::nullopt},
    {"C64", 64, std::nullopt},
    {"I64", 64, std::nullopt},
    {"U64", 64, std::nullopt},
    {"I32", 32, std::nullopt},
    {"U32", 32, std::nullopt},
    {"I16", 16, std::nullopt},
    {"U16", 16, std::nullopt},
    {"I8", 8, std::nullopt},
    {"U8", 8, std::nullopt},
    {"BOOL", 8, std::nullopt},
    {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt},
    {"F8_E8M0", 8, std::nullopt},
    {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt},
    {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},
    {"F4", 4, std::nullopt},
};

// Builds the directory straight from parse events: no tree, so nesting and memory are bounded by
// what the format allows.
class HeaderHandler final : public nlohmann::json_sax<json> {
 public:
  HeaderHandler(const std::string& file, std::vector<SafetensorsTensor>* out,
                std::map<std::string, std::string>* metadata)
      : file_(file), out_(*out), metadata_(*metadata) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t v) override {
    return unexpected(fmt::format("the number {}", v));
  }
  bool number_float(number_float_t, const string_t& s) override {
    return unexpected("the number " + printable(s));
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t v) override {
    if (state_ == State::shape) {
      if (tensor_.shape.size() == SafetensorsFile::kMaxRank) {
        fail(fmt::format("shape has more than {} dimensions", SafetensorsFile::kMaxRank));
      }
      if (v > uint64_t{INT64_MAX}) fail(fmt::format("dimension {} is not below 2^63", v));
      tensor_.shape.push_back(static_cast<int64_t>(v));
      return true;
    }
    if (state_ == State::offsets && n_offsets_ < 2) {
      offsets_[n_offsets_++] = v;
      return true;
    }
    return unexpected(fmt::format("the number {}", v));
  }

  bool string(string_t& s) override {
    if (state_ == State::metadata && !field_.empty()) {
      metadata_[metadata_key_] = s;
      return true;
    }
    if (state_ == State::tensor && field_ == "dtype") {
      const auto* known = std::find_if(std::begin(kSafetensorsTypes), std::end(kSafetensorsTypes),
                                       [&](const SafetensorsType& t) { return t.name == s; });
      if (known == std::end(kSafetensorsTypes)) fail(fmt::format("unknown dtype {}", printable(s)));
      type_ = known;
      return true;
    }
    return unexpected("a string");
  }

  bool key(string_t& s) override {
    if (state_ == State::top) {
      if (!names_.insert(s).second) {
        throw ModelFileError(fmt::format("{}: duplicate tensor {}", file_, printable(s)));
      }
      if (names_.size() > SafetensorsFile::kMaxTensors) {
        throw ModelFileError(
            fmt::format("{}: more than {} tensors", file_, SafetensorsFile::kMaxTensors));
      }
      name_ = s;
    } else {
      if (!fields_.insert(s).second) fail(fmt::format("duplicate key {}", printable(s)));
      if (fields_.size() > SafetensorsFile::kMaxMetadata) {
        fail(fmt::format("more than {} keys", SafetensorsFile::kMaxMetadata));
      }
      if (state_ == State::tensor && s != "dtype" && s != "shape" && s != "data_offsets") {
        fail(fmt::format("unknown key {}", printable(s)));
      }
      field_ = state_ == State::metadata ? "value" : s;
      if (state_ == State::metadata) metadata_key_ = s;
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (state_ == State::outside) {
      state_ = State::top;
    } else if (state_ == State::top) {
      state_ = name_ == "__metadata__" ? State::metadata : State::tensor;
      fields_.clear();
      field_.clear();
      tensor_ = {};
      type_ = nullptr;
      n_offsets_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (state_ == State::top) {
      state_ = State::outside;
      return true;
    }
    if (state_ == State::tensor) finish_tensor();
    state_ = State::top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ == State::tensor && field_ == "shape") {
      state_ = State::shape;
    } else if (state_ == State::tensor && field_ == "data_offsets") {
      state_ = State::offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    state_ = State::tensor;
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const json::exception&) override {
    throw ModelFileError(
        fmt::format("{}: header is not valid JSON at offset {}", file_, 8 + (byte ? byte - 1 : 0)));
  }

 private:
  enum class State { outside, top, metadata, tensor, shape, offsets };

  [[noreturn]] void fail(std::string_view text) const {
    throw ModelFileError(fmt::format("{}: header entry {}: {}", file_, printable(name_), text));
  }
  bool unexpected(std::string_view what) const {
    if (state_ == State::outside || name_.empty()) {
      throw ModelFileError(fmt::format("{}: header holds {} where an object belongs", file_, what));
    }
    fail(fmt::format("unexpected {}{}", what, field_.empty() ? "" : " in " + field_));
  }

  void finish_tensor() {
    if (type_ == nullptr || fields_.size() != 3 || n_offsets_ != 2) {
      fail("want dtype, shape and two data_offsets");
    }
    uint64_t elements = 1, bits = 0;
    for (const int64_t d : tensor_.shape) {
      if (__builtin_mul_overflow(elements, static_cast<uint64_t>(d), &elements)) {
        fail("number of elements overflows 64 bits");
      }
    }
    if (__builtin_mul_overflow(elements, type_->bits, &bits)) fail("size overflows 64 bits");
    if (bits % 8 != 0) fail(fmt::format("{} bits are not whole bytes", bits));
    const uint64_t begin = offsets_[0], end = offsets_[1];
    if (begin > end) fail(fmt::format("data_offsets begin {} is after end {}", begin, end));
    if (end - begin != bits / 8) {
      fail(fmt::format("data_offsets span {} bytes, shape and dtype want {}", end - begin,
                       bits / 8));
    }
    tensor_.name = name_;
    tensor_.stored_type = type_->name;
    tensor_.dtype = type_->dtype;
    tensor_.offset = begin;
    tensor_.size_bytes = end - begin;
    out_.push_back(std::move(tensor_));
  }

  const std::string& file_;
  std::vector<SafetensorsTensor>& out_;
  std::map<std::string, std::string>& metadata_;
  State state_ = State::outside;
  std::string name_, field_, metadata_key_;
  std::unordered_set<std::string> names_, fields_;
  SafetensorsTensor tensor_;
  const SafetensorsType* type_ = nullptr;
  uint64_t offsets_[2] = {};
  int n_offsets_ = 0;
};

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  return parse(ByteSource::open_file(path));
}

SafetensorsFile SafetensorsFile::parse(std::shared_ptr<const ByteSource> source) {
  SafetensorsFile file;
  file.source_ = std::move(source);
  const uint64_t size = file.source_->size_bytes();
  uint64_t header_bytes = 0;
  file.source_->read(0, &header_bytes, sizeof header_bytes);
  const uint64_t most = std::min(kMaxHeaderBytes, size - sizeof header_bytes);
  if (header_bytes < 2 || header_bytes > most) {
    throw ModelFileError(fmt::format("{}: offset 0: header length is {}, want 2 to {}", file.name(),
                                     header_bytes, most));
  }
  {
    std::string header(header_bytes, '\0');
    file.source_->read(sizeof header_bytes, header.data(), header.size());
    if (header[0] != '{') {
      throw ModelFileError(fmt::format("{}: offset 8: header begins with byte {:#04x}, want '{{'",
                                       file.name(), static_cast<uint8_t>(header[0])));
    }
    HeaderHandler handler(file.name(), &file.tensors_, &file.metadata_);
    json::sax_parse(header.begin(), header.end(), &handler);
  }
  const uint64_t data = sizeof header_bytes + header_bytes;
  std::sort(file.tensors_.begin(), file.tensors_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.offset, a.size_bytes) < std::tie(b.offset, b.size_bytes);
  });
  file.check_spans(size - data);
  for (size_t i = 0; i < file.tensors_.size(); ++i) {
    file.tensors_[i].offset += data;
    file.index_.emplace(file.tensors_[i].name, i);
  }
  return file;
}

void SafetensorsFile::check_spans(uint64_t data_bytes) const {
  uint64_t next = 0;
  for (const SafetensorsTensor& t : tensors_) {
    if (t.offset != next) {
      throw ModelFileError(fmt::format("{}: tensor {}: data begins at {}, want {} ({})", name(),
                                       printable(t.name), t.offset, next,
                                       t.offset < next ? "overlap" : "hole"));
    }
    if (t.size_bytes > data_bytes - next) {
      throw ModelFileError(fmt::format("{}: truncated: tensor {} needs {} bytes at {}, data has {}",
                                       name(), printable(t.name), t.size_bytes, next, data_bytes));
    }
    next += t.size_bytes;
  }
  if (next != data_bytes) {
    throw ModelFileError(
        fmt::format("{}: {} bytes follow the last tensor", name(), data_bytes - next));
  }
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

SafetensorsFolder SafetensorsFolder::open(const std::filesystem::path& folder) {
  SafetensorsFolder out;
  const auto single = folder / "model.safetensors";
  const auto index = folder / "model.safetensors.index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    out.files_.push_back(single);
    out.shards_.push_back(SafetensorsFile::open(single));
  } else if (std::filesystem::exists(index, ignored)) {
    out.open_index(folder, index);
  } else {
    const bool pickled = std::filesystem::exists(folder / "pytorch_model.bin", ignored) ||
                         std::filesystem::exists(folder / "pytorch_model.bin.index.json", ignored);
    throw ModelFileError(fmt::format(
        "{}: has neither model.safetensors nor model.safetensors.index.json{}", folder.string(),
        pickled ? " (pytorch_model.bin is not read: convert it to safetensors)" : ""));
  }
  return out;
}

void SafetensorsFolder::open_index(const std::filesystem::path& folder,
                                   const std::filesystem::path& index) {
  const std::string file = index.string();
  const json top = read_strict_json(index, uint64_t{64} << 20, 8);
  const JsonFields fields(top, file);
  if (!fields.find_object("weight_map")) fields.fail("weight_map", "is missing");
  std::unordered_map<std::string, size_t> shard_index;
  files_.push_back(index);
  const json& map = *fields.find("weight_map");
  for (const auto& [weight, value] : map.items()) {
    if (!value.is_string()) {
      throw ModelFileError(fmt::format("{}: weight_map entry {} is a JSON {}, want a string", file,
                                       printable(weight), value.type_name()));
    }
    const auto& shard = value.get_ref<const std::string&>();
    if (!shard.ends_with(".safetensors") ||
        shard.find_first_of(std::string("/\\\0", 3)) != shard.npos || shard.size() > 255) {
      throw ModelFileError(
          fmt::format("{}: weight_map entry {} names {}, want a plain .safetensors name", file,
                      printable(weight), printable(shard)));
    }
    if (!shard_index.emplace(shard, shards_.size()).second) continue;
    if (shards_.size() == kMaxShards) {
      throw ModelFileError(fmt::format("{}: more than {} shards", file, kMaxShards));
    }
    files_.push_back(folder / shard);
    shards_.push_back(SafetensorsFile::open(folder / shard));
  }
  for (const auto& [weight, value] : map.items()) {
    const auto& shard = value.get_ref<const std::string&>();
    if (shards_[shard_index[shard]].find(weight) == nullptr) {
      throw ModelFileError(fmt::format("{}: weight_map entry {}: {} does not hold it", file,
                                       printable(weight), printable(shard)));
    }
  }
  for (const auto& [shard, i] : shard_index) {
    for (const SafetensorsTensor& t : shards_[i].tensors()) {
      const auto it = map.find(t.name);
      if (it == map.end() || it->get_ref<const std::string&>() != shard) {
        throw ModelFileError(
            fmt::format("{}: tensor {} of {} is {}", file, printable(t.name), printable(shard),
                        it == map.end() ? "not in weight_map" : "mapped to another shard"));
      }
    }
  }
}

std::optional<SafetensorsFolder::Place> SafetensorsFolder::find(std::string_view name) const {
  for (const SafetensorsFile& s : shards_) {
    if (const SafetensorsTensor* t = s.find(name)) return Place{&s, t};
  }
  return std::nullopt;
}

}  // namespace engine
