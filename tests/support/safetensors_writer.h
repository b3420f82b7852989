// Owns SafetensorsWriter: safetensors bytes for tests.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace support {

// A header (JSON text) before its data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return raw(uint64_t{header.size()}) + std::string(header) + std::string(data);
}

struct SafetensorsWriter {
  std::string header, data;

  // name: JSON text without escapes; shape: as JSON, "[2, 3]".
  void add(std::string_view name, std::string_view dtype, std::string_view shape,
           std::string_view bytes) {
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})",
                          header.empty() ? "" : ",", name, dtype, shape, data.size(),
                          data.size() + bytes.size());
    data += bytes;
  }
  std::string bytes() const { return safetensors_bytes(fmt::format("{{{}}}", header), data); }
};

}  // namespace support
