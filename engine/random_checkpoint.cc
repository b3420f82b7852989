#include "engine/random_checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "engine/model_file/printable.h"
#include "engine/model_file/tensor_names.h"
#include "engine/model_file_error.h"
#include "engine/nearest_name.h"
#include "kernels/half.h"

namespace engine {
namespace {

using kernels::Dtype;

constexpr std::array kTypes = {Dtype::f32,  Dtype::f16,  Dtype::bf16,
                               Dtype::q8_0, Dtype::q4_0, Dtype::q4_1};

ModelConfig llama(std::string name, int32_t layers, int64_t d_model, int64_t width, int64_t heads,
                  int64_t kv_heads, int64_t vocab) {
  ModelConfig c;
  c.family = "llama";
  c.name = std::move(name);
  c.n_layers = layers;
  c.d_model = d_model;
  c.n_heads = heads;
  c.n_kv_heads = kv_heads;
  c.d_head = d_model / heads;
  c.vocab = vocab;
  c.max_tokens = 8192;
  c.rope.d_rot = c.d_head;
  c.moe.d_shared = width;
  return c;
}

ModelConfig with_experts(ModelConfig c, std::string family, int32_t experts, int32_t k,
                         int64_t width) {
  c.family = std::move(family);
  c.moe = {};
  c.moe.n_experts = experts;
  c.moe.n_shared = 0;
  c.moe.trained_k = k;
  c.moe.d_expert = width;
  c.moe.router = RouterKind::linear;
  return c;
}

// config.json of the published checkpoints.
std::vector<ModelConfig> shapes() {
  auto small = llama("smollm2-135m", 30, 576, 1536, 9, 3, 49152);
  small.tied_head = true;
  // What `convert` makes of it by default.
  auto nested = small;
  nested.name = "smollm2-135m-nested";
  nested.family = "moeval_nested";
  nested.moe = {.n_experts = 16,
                .n_shared = 2,
                .trained_k = 16,
                .d_expert = 96,
                .d_shared = 96,
                .router = RouterKind::representative,
                .n_representatives = 2,
                .unit_weights = true,
                .compensate = true};
  auto olmoe = with_experts(llama("olmoe", 16, 2048, 0, 16, 16, 50304), "olmoe", 64, 8, 1024);
  olmoe.qk_norm = QkNorm::whole;
  olmoe.max_tokens = 4096;
  auto mixtral =
      with_experts(llama("mixtral-8x7b", 32, 4096, 0, 32, 8, 32000), "mixtral", 8, 2, 14336);
  mixtral.moe.renormalise = true;
  auto qwen =
      with_experts(llama("qwen3-30b-a3b", 48, 2048, 0, 32, 4, 151936), "qwen3_moe", 128, 8, 768);
  qwen.d_head = qwen.rope.d_rot = 128;
  qwen.qk_norm = QkNorm::head;
  qwen.moe.renormalise = true;
  return {small, nested, olmoe, mixtral, qwen};
}

uint64_t mix_name(uint64_t x) {  // SplitMix64, Steele et al. 2014
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Uniform bytes and numbers.
class Bytes {
 public:
  explicit Bytes(uint64_t seed) : state_(seed) {}
  uint8_t next() {
    if (left_ == 0) {
      word_ = mix_name(state_++);
      left_ = 8;
    }
    const auto b = static_cast<uint8_t>(word_);
    word_ >>= 8;
    --left_;
    return b;
  }
  // In (-1, 1), of 16 bits.
  float number() {
    const int high = next(), low = next();
    return (static_cast<float>(high * 256 + low) + 0.5f) / 32768.0f - 1.0f;
  }

 private:
  uint64_t state_, word_ = 0;
  int left_ = 0;
};

template <class T>
std::byte* put(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

// n elements, uniform in [-bound, bound].
void fill(Dtype dtype, int64_t n, float bound, Bytes& random, std::byte* to) {
  switch (dtype) {
    case Dtype::f32:
      for (int64_t i = 0; i < n; ++i) to = put(to, bound * random.number());
      return;
    case Dtype::f16:
      for (int64_t i = 0; i < n; ++i)
        to = put(to, kernels::half_from_float(bound * random.number()));
      return;
    case Dtype::bf16:
      for (int64_t i = 0; i < n; ++i)
        to = put(to, static_cast<uint16_t>(std::bit_cast<uint32_t>(bound * random.number()) >> 16));
      return;
    default:
      break;
  }
  const int64_t bytes = kernels::block_bytes(dtype);
  for (int64_t block = 0; block < n / kernels::block_elements(dtype); ++block) {
    std::byte* const end = to + bytes;
    if (dtype == Dtype::q8_0) {  // d * q, q in -128..127
      to = put(to, kernels::half_from_float(bound / 128));
    } else if (dtype == Dtype::q4_0) {  // d * (q - 8), q in 0..15
      to = put(to, kernels::half_from_float(bound / 8));
    } else {  // q4_1: d * q + m
      to = put(to, kernels::half_from_float(2 * bound / 15));
      to = put(to, kernels::half_from_float(-bound));
    }
    while (to < end) *to++ = static_cast<std::byte>(random.next());
  }
}

// Routers decide by small differences and are small: they stay in f32, as in most files.
bool is_large_matrix(std::string_view name) {
  if (name == "embed" || name == "head") return true;
  for (const char* end : {".q", ".k", ".v", ".o", ".gate", ".up", ".down"})
    if (name.ends_with(end)) return true;
  return false;
}

class RandomCheckpoint final : public Checkpoint {
 public:
  RandomCheckpoint(const ModelConfig& config, Dtype dtype, uint64_t seed)
      : config_(config), path_("shape " + config.name), seed_(seed) {
    for_each_wanted_tensor(config, NameStyle::gguf, [&](const WantedTensor& want) {
      TensorInfo t;
      t.name = t.stored_name = want.canonical;
      t.shape = want.shape;
      const bool fills = want.shape.back() % kernels::block_elements(dtype) == 0;
      t.dtype = is_large_matrix(want.canonical) && fills ? dtype : Dtype::f32;
      tensors_.push_back(std::move(t));
    });
  }

  const ModelConfig& config() const override { return config_; }
  const std::filesystem::path& path() const override { return path_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::vector<std::filesystem::path> files() const override { return {}; }

  void read_rows(const TensorInfo& t, int64_t first, int64_t n, void* dst) const override {
    const int64_t width = t.shape.back(), bytes = kernels::row_bytes(t.dtype, width);
    auto* to = static_cast<std::byte*>(dst);
    uint64_t name = mix_name(seed_);
    for (const char c : t.name) name = mix_name(name ^ static_cast<unsigned char>(c));
    for (int64_t row = first; row < first + n; ++row, to += bytes) {
      if (t.name.ends_with("norm")) {
        for (int64_t i = 0; i < width; ++i) put(to + i * 4, 1.0f);
        continue;
      }
      Bytes random(mix_name(name + static_cast<uint64_t>(row)));
      fill(t.dtype, width, std::sqrt(3.0f / static_cast<float>(width)), random, to);
    }
  }

 private:
  const ModelConfig config_;
  const std::filesystem::path path_;
  const uint64_t seed_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const auto& c : shapes()) names.push_back(c.name);
  return names;
}

ModelConfig named_shape(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto all = shapes();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const ModelConfig& c) { return c.name == name; });
  if (found == all.end()) {
    std::vector<std::string_view> names;
    for (const auto& c : all) names.push_back(c.name);
    const auto near = nearest_name(name, names);
    throw ModelFileError(fmt::format("shape {}: unknown, {}", printable(name),
                                     near.likely
                                         ? fmt::format("the nearest is {}", near.name)
                                         : fmt::format("want one of {}", fmt::join(names, ", "))));
  }
  ModelConfig c = *found;
  if (colon != std::string_view::npos) {
    const std::string_view layers = text.substr(colon + 1);
    int32_t n = 0;
    const auto [end, error] = std::from_chars(layers.data(), layers.data() + layers.size(), n);
    if (error != std::errc() || end != layers.data() + layers.size() || n < 1 || n > c.n_layers)
      throw ModelFileError(fmt::format("shape {}: layers {}, want 1 to {}", printable(text),
                                       printable(layers), c.n_layers));
    c.n_layers = n;
    c.name = std::string(text);
  }
  return c;
}

std::vector<Dtype> random_dtypes() { return {kTypes.begin(), kTypes.end()}; }

std::unique_ptr<Checkpoint> make_random_checkpoint(const ModelConfig& config, Dtype dtype,
                                                   uint64_t seed) {
  return std::make_unique<RandomCheckpoint>(config, dtype, seed);
}

uint64_t random_checkpoint_bytes(const Checkpoint& checkpoint) {
  uint64_t sum = 0;
  for (const TensorInfo& t : checkpoint.tensors()) {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < t.shape.size(); ++i) rows *= t.shape[i];
    sum += static_cast<uint64_t>(rows * kernels::row_bytes(t.dtype, t.shape.back()));
  }
  return sum;
}

}  // namespace engine
