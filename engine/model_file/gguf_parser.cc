// Owns the parse of a GGUF file: every check of a count, length, type, dimension and offset.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/model_file/gguf.h"
#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"

namespace engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMinKeyRecord = 13;   // length, empty key, type, one byte of value
constexpr uint64_t kMinTensorRecord = 24;

// Bytes of a fixed-size metadata element; 0 for strings and arrays.
uint64_t element_bytes(GgufType t) {
  static constexpr uint8_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<uint32_t>(t)];
}

struct StoredType {
  uint32_t id;
  std::string_view name;
  std::optional<kernels::Dtype> dtype;
};

// ggml's type ids. Those without a Dtype exist but are not read here.
constexpr StoredType kStoredTypes[] = {
    {0, "F32", kernels::Dtype::f32},    {1, "F16", kernels::Dtype::f16},
    {2, "Q4_0", kernels::Dtype::q4_0},  {3, "Q4_1", kernels::Dtype::q4_1},
    {6, "Q5_0", kernels::Dtype::q5_0},  {7, "Q5_1", kernels::Dtype::q5_1},
    {8, "Q8_0", kernels::Dtype::q8_0},  {9, "Q8_1", std::nullopt},
    {10, "Q2_K", std::nullopt},         {11, "Q3_K", std::nullopt},
    {12, "Q4_K", kernels::Dtype::q4_k}, {13, "Q5_K", kernels::Dtype::q5_k},
    {14, "Q6_K", kernels::Dtype::q6_k}, {15, "Q8_K", std::nullopt},
    {16, "IQ2_XXS", std::nullopt},      {17, "IQ2_XS", std::nullopt},
    {18, "IQ3_XXS", std::nullopt},      {19, "IQ1_S", std::nullopt},
    {20, "IQ4_NL", std::nullopt},       {21, "IQ3_S", std::nullopt},
    {22, "IQ2_S", std::nullopt},        {23, "IQ4_XS", std::nullopt},
    {24, "I8", std::nullopt},           {25, "I16", std::nullopt},
    {26, "I32", std::nullopt},          {27, "I64", std::nullopt},
    {28, "F64", std::nullopt},          {29, "IQ1_M", std::nullopt},
    {30, "BF16", kernels::Dtype::bf16}, {34, "TQ1_0", std::nullopt},
    {35, "TQ2_0", std::nullopt},        {39, "MXFP4", std::nullopt},
    {40, "NVFP4", std::nullopt},
};
constexpr std::string_view kReadableTypes =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K";

bool multiply(uint64_t a, uint64_t b, uint64_t* out) { return !__builtin_mul_overflow(a, b, out); }

bool valid_utf8(std::string_view s) {
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(s.data());
  auto left = static_cast<utf8proc_ssize_t>(s.size());
  while (left > 0) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(p, left, &code);
    if (n <= 0) return false;
    p += n;
    left -= n;
  }
  return true;
}

// Forward reads through a window, never past the end of the file.
class Cursor {
 public:
  explicit Cursor(const ByteSource& source) : source_(source) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return source_.size_bytes() - offset_; }

  void take(void* dst, uint64_t n, const char* what) {
    need(n, what);
    auto* out = static_cast<char*>(dst);
    while (n > 0) {
      if (offset_ < begin_ || offset_ >= begin_ + window_.size()) fill();
      const uint64_t have = std::min<uint64_t>(n, begin_ + window_.size() - offset_);
      std::memcpy(out, window_.data() + (offset_ - begin_), have);
      out += have;
      offset_ += have;
      n -= have;
    }
  }

  void skip(uint64_t n, const char* what) {
    need(n, what);
    offset_ += n;
  }

  template <typename T>
  T number(const char* what) {
    T value;
    take(&value, sizeof value, what);
    return value;
  }

  [[noreturn]] void fail(uint64_t at, std::string_view text) const {
    throw ModelFileError(fmt::format("{}: offset {}: {}", source_.name(), at, text));
  }

 private:
  void need(uint64_t n, const char* what) const {
    if (n > remaining()) {
      fail(offset_, fmt::format("truncated: {} needs {} bytes, {} are left", what, n, remaining()));
    }
  }

  void fill() {
    const uint64_t n = std::min<uint64_t>(remaining(), uint64_t{64} << 10);
    window_.resize(n);
    begin_ = offset_;
    source_.read(begin_, window_.data(), n);
  }

  const ByteSource& source_;
  uint64_t offset_ = 0;
  uint64_t begin_ = 0;
  std::string window_;
};

}  // namespace

class GgufFile::Parser {
 public:
  Parser(GgufFile* file) : file_(*file), in_(*file->source_) {}

  void parse() {
    header();
    for (uint64_t i = 0; i < n_keys_; ++i) key_value(i);
    file_.metadata_end_ = in_.offset();
    if (const Value* a = file_.find_typed("general.alignment", GgufType::u32)) {
      alignment_ = a->bits;
      if (!std::has_single_bit(alignment_) || alignment_ > kMaxAlignment) {
        in_.fail(in_.offset(), fmt::format("general.alignment is {}, want a power of two up to {}",
                                           alignment_, kMaxAlignment));
      }
    }
    file_.tensors_.reserve(n_tensors_);
    for (uint64_t i = 0; i < n_tensors_; ++i) tensor(i);
    place();
  }

 private:
  void header() {
    const auto magic = in_.number<uint32_t>("the magic");
    if (magic != kMagic) in_.fail(0, fmt::format("magic is {:#010x}, want 'GGUF'", magic));
    const auto version = in_.number<uint32_t>("the version");
    if (version != 2 && version != 3) {
      const uint32_t swapped = __builtin_bswap32(version);
      in_.fail(4,
               swapped >= 1 && swapped <= 3
                   ? fmt::format("big-endian file (version {}), want a little-endian one", swapped)
                   : fmt::format("GGUF version is {}, want 2 or 3", version));
    }
    file_.version_ = version;
    n_tensors_ = in_.number<uint64_t>("the tensor count");
    n_keys_ = in_.number<uint64_t>("the key count");
    count(8, "tensor", n_tensors_, kMaxTensors, kMinTensorRecord);
    count(16, "key", n_keys_, kMaxKeys, kMinKeyRecord);
  }

  void count(uint64_t at, const char* what, uint64_t n, uint64_t cap, uint64_t record_bytes) {
    const uint64_t most = std::min(cap, in_.remaining() / record_bytes);
    if (n > most) in_.fail(at, fmt::format("{} count is {}, at most {} fit", what, n, most));
  }

  uint64_t length(const char* what, uint64_t cap) {
    const uint64_t at = in_.offset();
    const auto n = in_.number<uint64_t>(what);
    if (n > cap || n > in_.remaining()) {
      in_.fail(at, fmt::format("length of {} is {}, at most {} fit", what, n,
                               std::min(cap, in_.remaining())));
    }
    return n;
  }

  std::string string(const char* what, uint64_t cap) {
    std::string s(length(what, cap), '\0');
    in_.take(s.data(), s.size(), what);
    return s;
  }

  // A name: not empty, UTF-8, no NUL.
  std::string name(const char* what) {
    const uint64_t at = in_.offset();
    std::string s = string(what, kMaxKeyBytes);
    if (s.empty()) in_.fail(at, fmt::format("{} is empty", what));
    if (s.find('\0') != s.npos)
      in_.fail(at, fmt::format("{} {} has a NUL byte", what, printable(s)));
    if (!valid_utf8(s)) in_.fail(at, fmt::format("{} {} is not UTF-8", what, printable(s)));
    return s;
  }

  GgufType type(const std::string& key, const char* what) {
    const uint64_t at = in_.offset();
    const auto id = in_.number<uint32_t>("a value type");
    if (id > static_cast<uint32_t>(GgufType::f64)) {
      in_.fail(at, fmt::format("key {}: {} is {}, want 0 to 12", printable(key), what, id));
    }
    return static_cast<GgufType>(id);
  }

  void key_value(uint64_t index) {
    const uint64_t at = in_.offset();
    std::string key = name("key name");
    Value v;
    v.type = type(key, "value type");
    if (v.type == GgufType::array) {
      array(key, &v);
    } else if (v.type == GgufType::string) {
      v.string = string("a string value", kMaxStringBytes);
    } else {
      in_.take(&v.bits, element_bytes(v.type), "a value");
      if (v.type == GgufType::boolean && v.bits > 1) {
        in_.fail(at, fmt::format("key {}: boolean is {}, want 0 or 1", printable(key), v.bits));
      }
    }
    if (!file_.values_.emplace(key, std::move(v)).second) {
      in_.fail(at, fmt::format("duplicate key {} (number {})", printable(key), index));
    }
  }

  void array(const std::string& key, Value* v) {
    v->element = type(key, "array element type");
    if (v->element == GgufType::array) {
      in_.fail(in_.offset(), fmt::format("key {}: arrays of arrays are not read", printable(key)));
    }
    const uint64_t at = in_.offset();
    v->count = in_.number<uint64_t>("an array count");
    const uint64_t least = v->element == GgufType::string ? 8 : element_bytes(v->element);
    const uint64_t most = std::min(kMaxArray, in_.remaining() / least);
    if (v->count > most) {
      in_.fail(at, fmt::format("key {}: array count is {}, at most {} fit", printable(key),
                               v->count, most));
    }
    v->offset = in_.offset();
    if (v->element == GgufType::string) {
      for (uint64_t i = 0; i < v->count; ++i) {
        in_.skip(length("an array string", kMaxStringBytes), "an array string");
      }
    } else if (v->element == GgufType::boolean) {
      for (uint64_t i = 0; i < v->count; ++i) {
        if (const auto b = in_.number<uint8_t>("a boolean"); b > 1) {
          in_.fail(in_.offset() - 1,
                   fmt::format("key {}: boolean is {}, want 0 or 1", printable(key), b));
        }
      }
    } else {
      in_.skip(v->count * least, "an array");
    }
    v->size_bytes = in_.offset() - v->offset;
  }

  void tensor(uint64_t index) {
    const uint64_t at = in_.offset();
    GgufTensor t;
    t.name = name("tensor name");
    const auto n_dims = in_.number<uint32_t>("a dimension count");
    if (n_dims < 1 || n_dims > 4) {
      in_.fail(at, fmt::format("tensor {}: {} dimensions, want 1 to 4", printable(t.name), n_dims));
    }
    uint64_t elements = 1;
    for (uint32_t d = 0; d < n_dims; ++d) {
      const auto n = in_.number<uint64_t>("a dimension");
      if (n < 1 || n > INT64_MAX || !multiply(elements, n, &elements) || elements > INT64_MAX) {
        in_.fail(at, fmt::format("tensor {}: dimension {} is {}, want at least 1 and a product "
                                 "below 2^63",
                                 printable(t.name), d, n));
      }
      t.shape.insert(t.shape.begin(), static_cast<int64_t>(n));
    }
    t.dtype = dtype(at, t.name);
    const auto block = static_cast<uint64_t>(kernels::block_elements(t.dtype));
    if (static_cast<uint64_t>(t.shape.back()) % block != 0) {
      in_.fail(at,
               fmt::format("tensor {}: rows of {} elements, want a multiple of {} for {}",
                           printable(t.name), t.shape.back(), block, kernels::dtype_name(t.dtype)));
    }
    if (!multiply(elements / block, static_cast<uint64_t>(kernels::block_bytes(t.dtype)),
                  &t.size_bytes)) {
      in_.fail(at, fmt::format("tensor {}: {} elements of {} overflow 64 bits of bytes",
                               printable(t.name), elements, kernels::dtype_name(t.dtype)));
    }
    t.offset = in_.number<uint64_t>("a tensor offset");
    if (!file_.tensor_index_.emplace(t.name, index).second) {
      in_.fail(at, fmt::format("duplicate tensor {} (number {})", printable(t.name), index));
    }
    file_.tensors_.push_back(std::move(t));
  }

  kernels::Dtype dtype(uint64_t at, const std::string& name) {
    const auto id = in_.number<uint32_t>("a tensor type");
    for (const StoredType& s : kStoredTypes) {
      if (s.id != id) continue;
      if (s.dtype) return *s.dtype;
      in_.fail(at, fmt::format("tensor {}: type {} (id {}) is not supported, want one of {}",
                               printable(name), s.name, id, kReadableTypes));
    }
    in_.fail(at, fmt::format("tensor {}: unknown or removed type id {}, want one of {}",
                             printable(name), id, kReadableTypes));
  }

  // Turns offsets into file offsets. The data section is packed: each tensor begins where the one
  // before it ends, padded; nothing but padding follows the last.
  void place() {
    const uint64_t size = file_.source_->size_bytes();
    const uint64_t start = padded(in_.offset());
    if (!file_.tensors_.empty() && start > size) {
      in_.fail(in_.offset(),
               fmt::format("truncated: data begins at {}, file has {} bytes", start, size));
    }
    uint64_t next = 0;  // <= size, padding included, so that sums cannot wrap
    for (GgufTensor& t : file_.tensors_) {
      if (t.offset != next) {
        in_.fail(in_.offset(),
                 fmt::format("tensor {}: data offset is {}, want {}{}", printable(t.name), t.offset,
                             next, t.offset % alignment_ ? " (misaligned)" : ""));
      }
      const uint64_t room = size - start;
      if (next > room || t.size_bytes > room - next) {
        in_.fail(in_.offset(),
                 fmt::format("truncated: tensor {} needs {} bytes at offset {}, file has {}",
                             printable(t.name), t.size_bytes, start + next, size));
      }
      t.offset = start + next;
      next = padded(next + t.size_bytes);
    }
    if (size > start && size - start > next) {
      in_.fail(start + next, fmt::format("{} bytes follow the last tensor", size - start - next));
    }
  }

  // x is at most the file size, far from wrapping.
  uint64_t padded(uint64_t x) const { return (x + alignment_ - 1) / alignment_ * alignment_; }

  GgufFile& file_;
  Cursor in_;
  uint64_t n_tensors_ = 0, n_keys_ = 0;
  uint64_t alignment_ = 32;
};

GgufFile GgufFile::parse(std::shared_ptr<const ByteSource> source) {
  GgufFile file;
  file.source_ = std::move(source);
  Parser(&file).parse();
  return file;
}

}  // namespace engine
