// Owns reading a predictor's tensors with their shapes checked. For .cc files of engine/policy
// only.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/model_file/safetensors.h"
#include "engine/model_file_error.h"
#include "engine/policy/predictor_file.h"

namespace engine {

class PredictorNetwork::Reader {
 public:
  Reader(const std::filesystem::path& path, const SafetensorsFile& file)
      : path_(path), file_(file) {}

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }

  std::vector<float> floats(const std::string& name, const std::vector<int64_t>& shape) const {
    const auto* t = file_.find(name);
    if (t == nullptr) fail(fmt::format("tensor {} is missing", name));
    if (t->dtype != kernels::Dtype::f32)
      fail(fmt::format("tensor {} is {}, want F32", name, t->stored_type));
    if (t->shape != shape)
      fail(fmt::format("tensor {} is [{}], want [{}]", name, fmt::join(t->shape, ", "),
                       fmt::join(shape, ", ")));
    std::vector<float> out(t->size_bytes / sizeof(float));
    file_.source()->read(t->offset, out.data(), t->size_bytes);
    for (size_t i = 0; i < out.size(); ++i)
      if (!std::isfinite(out[i])) fail(fmt::format("tensor {} holds {} at {}", name, out[i], i));
    return out;
  }

  // Of a matrix; 0 where there is none.
  int64_t first_dimension(const std::string& name) const {
    const auto* t = file_.find(name);
    return t != nullptr && t->shape.size() == 2 ? t->shape[0] : 0;
  }

  // n_out from the file when it is 0.
  Linear linear(const std::string& name, int64_t n_out, int64_t n_in) const {
    const auto* t = file_.find(name + ".weight");
    if (n_out == 0 && t != nullptr && t->shape.size() == 2) n_out = t->shape[0];
    Linear l;
    l.n_out = n_out;
    l.n_in = n_in;
    l.weight = floats(name + ".weight", {n_out, n_in});
    l.bias = floats(name + ".bias", {n_out});
    return l;
  }

  [[noreturn]] void fail(const std::string& text) const {
    throw ModelFileError(fmt::format("{}: {}", path_.string(), text));
  }

 private:
  const std::filesystem::path& path_;
  const SafetensorsFile& file_;
};

}  // namespace engine
