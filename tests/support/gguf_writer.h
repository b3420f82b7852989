// Owns GgufWriter: GGUF bytes for tests, right by default; every field can be made wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

template <typename T>
std::string raw(const T& value) {
  std::string s(sizeof value, '\0');
  std::memcpy(s.data(), &value, sizeof value);
  return s;
}

template <typename T>
std::string raw(const std::vector<T>& values) {
  std::string s;
  for (const T& v : values) s += raw(v);
  return s;
}

struct GgufWriter {
  // Value type ids of the format.
  enum : uint32_t {
    u8 = 0,
    u16 = 2,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    str = 8,
    arr = 9,
    u64 = 10
  };

  struct Key {
    std::string name;
    uint32_t type = 0;
    std::string payload;  // as stored after the type
  };
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;  // fastest first
    uint32_t type = 0;           // ggml id; 0 = F32
    std::string data;
    std::optional<uint64_t> offset = std::nullopt;  // else packed
    std::optional<uint32_t> n_dims = std::nullopt;  // else dims.size()
  };

  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::optional<uint64_t> n_tensors, n_keys;
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  std::string trailing;

  static std::string text(std::string_view s) { return raw(uint64_t{s.size()}) + std::string(s); }

  void add_u32(std::string name, uint32_t v) { keys.push_back({std::move(name), u32, raw(v)}); }
  void add_f32(std::string name, float v) { keys.push_back({std::move(name), f32, raw(v)}); }
  void add_bool(std::string name, uint8_t v) { keys.push_back({std::move(name), boolean, raw(v)}); }
  void add_string(std::string name, std::string_view v) {
    keys.push_back({std::move(name), str, text(v)});
  }
  template <typename T>
  void add_array(std::string name, uint32_t element, const std::vector<T>& v) {
    keys.push_back({std::move(name), arr, raw(element) + raw(uint64_t{v.size()}) + raw(v)});
  }
  void add_strings(std::string name, const std::vector<std::string>& v) {
    std::string payload = raw(uint32_t{str}) + raw(uint64_t{v.size()});
    for (const std::string& s : v) payload += text(s);
    keys.push_back({std::move(name), arr, payload});
  }
  void add_tensor(std::string name, std::vector<uint64_t> dims, const std::vector<float>& v) {
    tensors.push_back({std::move(name), std::move(dims), 0, raw(v)});
  }

  Key& key(std::string_view name) {
    for (Key& k : keys) {
      if (k.name == name) return k;
    }
    throw std::logic_error("no key " + std::string(name));
  }
  Tensor& tensor(std::string_view name) {
    for (Tensor& t : tensors) {
      if (t.name == name) return t;
    }
    throw std::logic_error("no tensor " + std::string(name));
  }
  void remove_key(std::string_view name) {
    std::erase_if(keys, [&](const Key& k) { return k.name == name; });
  }
  void remove_tensor(std::string_view name) {
    std::erase_if(tensors, [&](const Tensor& t) { return t.name == name; });
  }
  void set_u32(std::string_view name, uint32_t v) { key(name).payload = raw(v); }

  // Header, keys and directory; the data section is padded and follows.
  std::string directory() const {
    std::string s = magic + raw(version) + raw(n_tensors.value_or(tensors.size())) +
                    raw(n_keys.value_or(keys.size()));
    for (const Key& k : keys) s += text(k.name) + raw(k.type) + k.payload;
    uint64_t next = 0;
    for (const Tensor& t : tensors) {
      s += text(t.name) + raw(t.n_dims.value_or(static_cast<uint32_t>(t.dims.size())));
      s += raw(t.dims) + raw(t.type) + raw(t.offset.value_or(next));
      next = padded(next + t.data.size());
    }
    return s;
  }

  std::string bytes() const {
    std::string s = directory();
    if (tensors.empty()) return s + trailing;
    s.resize(padded(s.size()));
    for (const Tensor& t : tensors) {
      s += t.data;
      s.resize(padded(s.size()));
    }
    return s + trailing;
  }

  uint64_t padded(uint64_t n) const { return (n + alignment - 1) / alignment * alignment; }
};

}  // namespace support
