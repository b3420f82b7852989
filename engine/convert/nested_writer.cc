#include "engine/convert/nested_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <fstream>
#include <sstream>

#include "engine/convert/durable_file.h"
#include "engine/model_file/gguf.h"
#include "engine/model_file/nested_config.h"
#include "engine/model_file/tensor_names.h"
#include "engine/model_file_error.h"
#include "kernels/half.h"

namespace engine::convert {
namespace {

using kernels::Dtype;

struct Written {
  std::string canonical, stored;
  std::vector<int64_t> shape;
  Dtype dtype = Dtype::f32;
  uint64_t bytes = 0;
};

// "layers.12.experts.3.down" taken apart.
struct Name {
  int32_t layer = -1, expert = -1;
  std::string_view part;

  explicit Name(std::string_view canonical) : part(canonical) {
    layer = number_after("layers.");
    if (layer >= 0) expert = number_after("experts.");
  }

 private:
  int32_t number_after(std::string_view prefix) {
    if (!part.starts_with(prefix)) return -1;
    const size_t dot = part.find('.', prefix.size());
    int32_t n = -1;
    std::from_chars(part.data() + prefix.size(), part.data() + dot, n);
    part.remove_prefix(dot + 1);
    return n;
  }
};

class WeightsWriter {
 public:
  WeightsWriter(const Checkpoint& parent, const Options& o, const std::vector<LayerPlan>& plans,
                const std::filesystem::path& path)
      : parent_(parent), options_(o), plans_(plans), path_(path), file_(path) {
    for_each_wanted_tensor(nested_config(parent, o), NameStyle::hugging_face,
                           [&](const WantedTensor& w) { add(w); });
  }

  bool write(const std::atomic<bool>& stop) {
    write_header();
    for (const Written& t : tensors_) {
      if (stop.load(std::memory_order_relaxed)) return false;
      begin_ = &t;
      write_tensor(t);
      assert(left_ == 0);
    }
    file_.commit();
    return true;
  }

 private:
  void add(const WantedTensor& w) {
    Written t{w.canonical, w.forms.front().name, w.shape, Dtype::f32, 0};
    const Name name(t.canonical);
    const bool router = name.part == "router" || name.part.starts_with("rep_") ||
                        name.part == "mix" || name.part == "activation_scale" ||
                        name.part == "expert_means";
    if (w.shape.size() > 1 && !router) t.dtype = options_.dtype;
    uint64_t elements = 1;
    for (const int64_t n : w.shape) elements *= static_cast<uint64_t>(n);
    t.bytes = elements * (t.dtype == Dtype::f16 ? 2 : 4);
    tensors_.push_back(std::move(t));
  }

  void write_header() {
    std::string header = R"({"__metadata__":{"format":"pt"})";
    uint64_t at = 0;
    for (const Written& t : tensors_) {
      header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                            t.stored, t.dtype == Dtype::f16 ? "F16" : "F32",
                            fmt::join(t.shape, ","), at, at + t.bytes);
      at += t.bytes;
    }
    header += '}';
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const uint64_t size = header.size();
    file_.write(&size, sizeof size);
    file_.write(header.data(), header.size());
  }

  void write_tensor(const Written& t) {
    left_ = t.bytes;
    const Name name(t.canonical);
    if (name.layer < 0) return copy(t.canonical);
    const LayerPlan& plan = plans_[name.layer];
    if (name.expert >= 0) return expert(name, t.shape);
    if (name.part == "router") return floats(plan.router);
    if (name.part == "router_bias") return floats(plan.bias);
    if (name.part == "mix") return floats(plan.mix);
    if (name.part == "activation_scale") return floats(plan.activation_scale);
    if (name.part == "expert_means") return floats(plan.means);
    if (name.part == "rep_gate") return rows(block(name.layer, "gate"), plan.representatives);
    if (name.part == "rep_up") return rows(block(name.layer, "up"), plan.representatives);
    copy(t.canonical);
  }

  static std::string block(int32_t layer, std::string_view part) {
    return fmt::format("layers.{}.experts.0.{}", layer, part);
  }

  void expert(const Name& name, const std::vector<int64_t>& shape) {
    const std::vector<int32_t>& order = plans_[name.layer].order;
    const bool down = name.part == "down";
    const int64_t size = down ? shape[1] : shape[0];
    const auto first = order.begin() + name.expert * size;
    const std::vector<int32_t> neurons(first, first + size);
    const std::string source = block(name.layer, name.part);
    if (!down) return rows(source, neurons);
    if (down_of_ != name.layer) read_down(name.layer, source);
    const auto width = static_cast<int64_t>(order.size());
    std::vector<float> row(size);
    for (int64_t i = 0; i < shape[0]; ++i) {
      for (int64_t j = 0; j < size; ++j) row[j] = down_[i * width + neurons[j]];
      floats(row);
    }
  }

  // Every expert takes columns of it.
  void read_down(int32_t layer, const std::string& name) {
    const TensorInfo& t = tensor(name);
    down_.resize(static_cast<size_t>(t.shape[0] * t.shape[1]));
    for (int64_t i = 0; i < t.shape[0]; ++i) read_row(t, i, down_.data() + i * t.shape[1]);
    down_of_ = layer;
  }

  void rows(const std::string& name, const std::vector<int32_t>& ids) {
    const TensorInfo& t = tensor(name);
    std::vector<float> row(t.shape.back());
    for (const int32_t i : ids) {
      read_row(t, i, row.data());
      floats(row);
    }
  }

  void copy(const std::string& name) {
    const TensorInfo& t = tensor(name);
    std::vector<float> row(t.shape.back());
    const int64_t n = t.shape.size() == 1 ? 1 : t.shape.front();
    for (int64_t i = 0; i < n; ++i) {
      read_row(t, i, row.data());
      floats(row);
    }
  }

  const TensorInfo& tensor(const std::string& name) const {
    const TensorInfo* t = parent_.find(name);
    assert(t != nullptr);
    return *t;
  }

  void read_row(const TensorInfo& t, int64_t row, float* dst) {
    stored_.resize(kernels::row_bytes(t.dtype, t.shape.back()));
    parent_.read_rows(t, row, 1, stored_.data());
    kernels::dequantise_row(t.dtype, stored_.data(), dst, t.shape.back());
  }

  void floats(const std::vector<float>& values) {
    if (begin_->dtype == Dtype::f32) {
      file_.write(values.data(), values.size() * sizeof(float));
      left_ -= values.size() * sizeof(float);
      return;
    }
    halves_.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      halves_[i] = kernels::half_from_float(values[i]);
      if ((halves_[i] & 0x7c00) == 0x7c00) {
        throw ModelFileError(
            fmt::format("{}: tensor {} holds {}, which f16 cannot: use --dtype f32",
                        parent_.path().string(), begin_->canonical, values[i]));
      }
    }
    file_.write(halves_.data(), halves_.size() * sizeof(uint16_t));
    left_ -= halves_.size() * sizeof(uint16_t);
  }

  const Checkpoint& parent_;
  const Options& options_;
  const std::vector<LayerPlan>& plans_;
  const std::filesystem::path path_;
  DurableFile file_;
  std::vector<Written> tensors_;
  const Written* begin_ = nullptr;  // the tensor at hand
  uint64_t left_ = 0;               // bytes of it still to come
  int32_t down_of_ = -1;
  std::vector<float> down_;
  std::vector<std::byte> stored_;
  std::vector<uint16_t> halves_;
};

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  DurableFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

std::string gguf_without_tensors(const std::filesystem::path& path) {
  const GgufFile gguf = GgufFile::open(path);
  std::string bytes(gguf.metadata_end(), '\0');
  gguf.source().read(0, bytes.data(), bytes.size());
  // Magic and version, then the number of tensors, then that of keys.
  std::fill_n(bytes.begin() + 8, 8, '\0');
  return bytes;
}

RouterKind router_kind(RouterFit fit) {
  switch (fit) {
    case RouterFit::ridge:
    case RouterFit::cmoe:
      return RouterKind::representative;
    case RouterFit::gate_first:
      return RouterKind::gate_first;
    case RouterFit::exact_norm:
      return RouterKind::exact_norm;
    case RouterFit::static_order:
      return RouterKind::linear;
  }
  return RouterKind::none;
}

}  // namespace

ModelConfig nested_config(const Checkpoint& parent, const Options& o) {
  ModelConfig c = parent.config();
  const int64_t width = c.moe.d_shared;
  c.name += c.name.empty() ? "nested" : " nested";
  c.family = "moeval_nested";
  c.moe = {};
  c.moe.n_experts = c.moe.trained_k = o.n_experts;
  c.moe.n_shared = o.n_shared;
  c.moe.d_expert = c.moe.d_shared = width / o.n_experts;
  c.moe.router = router_kind(o.router);
  c.moe.n_representatives = o.representatives_read();
  c.moe.unit_weights = true;
  c.moe.compensate = o.compensate;
  return c;
}

bool write_weights(const Checkpoint& parent, const Options& o, const std::vector<LayerPlan>& plans,
                   const std::filesystem::path& file, const std::atomic<bool>& stop) {
  return WeightsWriter(parent, o, plans, file).write(stop);
}

void write_config(const ModelConfig& config, const std::filesystem::path& file) {
  write_file(file, nested_config_json(config));
}

void write_tokenizer(const std::filesystem::path& parent, const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(parent)) {
    write_file(folder / "tokenizer.gguf", gguf_without_tensors(parent));
    return;
  }
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                           "generation_config.json"}) {
    std::ifstream in(parent / name, std::ios::binary);
    if (!in) continue;
    std::ostringstream bytes;
    bytes << in.rdbuf();
    write_file(folder / name, std::move(bytes).str());
  }
}

}  // namespace engine::convert
