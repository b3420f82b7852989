// Owns the reading of a GGUF file as a checkpoint: architecture keys to ModelConfig, ggml's tensor
// names to canonical ones. Key names: ggml's docs/gguf.md.
#include <fmt/format.h>

#include <algorithm>

#include "engine/model_file/formats.h"
#include "engine/model_file/gguf.h"
#include "engine/model_file/printable.h"
#include "engine/model_file/tensor_table.h"
#include "engine/model_file_error.h"

namespace engine {
namespace {

constexpr const char* kRopeFactors = "rope_freqs.weight";

class GgufConfigReader {
 public:
  explicit GgufConfigReader(const GgufFile& file) : file_(file) {}

  ModelConfig read() {
    arch_ = std::string(file_.string("general.architecture"));
    c_.family = family();
    refuse_split();
    if (file_.tensors().empty()) {
      throw ModelFileError(
          fmt::format("{}: holds a vocabulary but no weights (0 tensors)", file_.name()));
    }
    c_.name = std::string(file_.find_string("general.name").value_or(""));
    c_.n_layers = static_cast<int32_t>(bounded("block_count", 512));
    c_.d_model = bounded("embedding_length", kMaxWidth);
    c_.n_heads = bounded("attention.head_count", 4096);
    c_.n_kv_heads = file_.find_u32(key("attention.head_count_kv")).value_or(c_.n_heads);
    experts();
    c_.max_tokens = bounded("context_length", int64_t{1} << 31);
    c_.norm_eps = file_.f32(key("attention.layer_norm_rms_epsilon"));
    c_.qkv_bias = arch_ == "qwen2" || arch_ == "qwen2moe" ||
                  file_.find_tensor("blk.0.attn_q.bias") != nullptr;
    c_.qk_norm = arch_ == "olmoe"                          ? QkNorm::whole
                 : arch_ == "qwen3" || arch_ == "qwen3moe" ? QkNorm::head
                                                           : QkNorm::none;
    c_.tied_head = file_.find_tensor("output.weight") == nullptr;
    c_.vocab = vocabulary();
    head_width();
    window();
    rope();
    c_.validate(file_.name());
    return c_;
  }

 private:
  static constexpr int64_t kMaxWidth = int64_t{1} << 20;

  std::string key(std::string_view name) const { return fmt::format("{}.{}", arch_, name); }

  [[noreturn]] void fail(std::string_view text) const {
    throw ModelFileError(fmt::format("{}: {}", file_.name(), text));
  }

  int64_t bounded(std::string_view name, int64_t max) const {
    const int64_t v = file_.u32(key(name));
    if (v < 1 || v > max) fail(fmt::format("{} is {}, want 1 to {}", key(name), v, max));
    return v;
  }

  // Mixtral files carry the architecture llama and a number of experts.
  std::string family() const {
    const uint32_t experts = file_.find_u32(key("expert_count")).value_or(0);
    if (arch_ == "llama") return experts > 0 ? "mixtral" : "llama";
    if (arch_ == "olmoe") return "olmoe";
    if (arch_ == "qwen2moe") return "qwen2_moe";
    if (arch_ == "qwen3moe") return "qwen3_moe";
    if (arch_ != "qwen2" && arch_ != "qwen3") fail_unknown_family(file_.name(), arch_);
    if (experts > 0) {
      fail(fmt::format("{} is {}, want 0 for the architecture {}", key("expert_count"), experts,
                       arch_));
    }
    return arch_;
  }

  // Widths and gate weights where a key is absent: llama.cpp's rules (src/models).
  void experts() {
    MoeConfig& m = c_.moe;
    if (c_.family == "llama" || c_.family == "qwen2" || c_.family == "qwen3") {
      m.d_shared = bounded("feed_forward_length", kMaxWidth);
      return;
    }
    const int64_t routed = bounded("expert_count", 512), used = bounded("expert_used_count", 512);
    if (used > routed) {
      fail(fmt::format("{} is {}, {} is {}", key("expert_used_count"), used, key("expert_count"),
                       routed));
    }
    want("expert_gating_func", 1);  // softmax
    want("expert_group_count", 1);
    want("leading_dense_block_count", 0);
    want("expert_shared_count", c_.family == "qwen2_moe");
    if (const auto scale = file_.find_f32(key("expert_weights_scale"));
        scale && *scale != 0.0f && *scale != 1.0f) {
      fail(fmt::format("{} is {}, want 1", key("expert_weights_scale"), *scale));
    }
    m.router = RouterKind::linear;
    m.n_shared = c_.family == "qwen2_moe" ? 1 : 0;
    m.shared_gate = m.n_shared > 0;
    m.n_experts = static_cast<int32_t>(routed) + m.n_shared;
    m.trained_k = static_cast<int32_t>(used) + m.n_shared;
    m.renormalise = file_.find_bool(key("expert_weights_norm"))
                        .value_or(c_.family == "mixtral" || c_.family == "qwen3_moe");
    const bool whole = c_.family == "mixtral" || c_.family == "olmoe";
    m.d_expert = has("expert_feed_forward_length")
                     ? bounded("expert_feed_forward_length", kMaxWidth)
                     : bounded("feed_forward_length", kMaxWidth) / (whole ? 1 : used);
    if (m.n_shared > 0) {
      m.d_shared =
          bounded(has("expert_shared_feed_forward_length") ? "expert_shared_feed_forward_length"
                                                           : "feed_forward_length",
                  kMaxWidth);
    }
  }

  bool has(std::string_view name) const { return file_.has(key(name)); }

  // A setting that is read as this value only; 0 counts as absent.
  void want(std::string_view name, uint32_t value) const {
    const uint32_t v = file_.find_u32(key(name)).value_or(0);
    if (v != 0 && v != value) fail(fmt::format("{} is {}, want {}", key(name), v, value));
  }

  void refuse_split() const {
    const uint16_t parts = file_.find_u16("split.count").value_or(0);
    if (parts > 1) {
      fail(fmt::format("is one of {} parts of a split model; merge them into one file first",
                       parts));
    }
  }

  // Token list, vocab_size and embedding rows must agree.
  int64_t vocabulary() const {
    const auto tokens = file_.array_size("tokenizer.ggml.tokens");
    for (const char* other : {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
      const auto n = file_.array_size(other);
      if (n && tokens && *n != *tokens) {
        fail(fmt::format("{} has {} elements, tokenizer.ggml.tokens has {}", other, *n, *tokens));
      }
    }
    const auto size = file_.find_u32(key("vocab_size"));
    if (size && tokens && *size != *tokens) {
      fail(
          fmt::format("{} is {}, tokenizer.ggml.tokens has {}", key("vocab_size"), *size, *tokens));
    }
    if (tokens) return static_cast<int64_t>(*tokens);
    if (size) return *size;
    fail("has neither tokenizer.ggml.tokens nor a vocab_size");
  }

  void head_width() {
    const auto k = file_.find_u32(key("attention.key_length"));
    const auto v = file_.find_u32(key("attention.value_length"));
    if (!k && c_.d_model % c_.n_heads != 0) {
      fail(fmt::format("{} {} does not divide {} {}", key("attention.head_count"), c_.n_heads,
                       key("embedding_length"), c_.d_model));
    }
    c_.d_head = k ? int64_t{*k} : c_.d_model / c_.n_heads;
    if (v && int64_t{*v} != c_.d_head) {
      fail(fmt::format("{} is {}, want the key length {}", key("attention.value_length"), *v,
                       c_.d_head));
    }
  }

  void window() {
    const int64_t w = file_.find_u32(key("attention.sliding_window")).value_or(0);
    if (w == 0 || w >= c_.max_tokens) return;
    c_.sliding_window = c_.max_tokens = w;
  }

  void rope() {
    RopeConfig& r = c_.rope;
    r.theta = file_.find_f32(key("rope.freq_base")).value_or(10000.0f);
    r.d_rot = file_.find_u32(key("rope.dimension_count")).value_or(c_.d_head);
    r.interleaved = arch_ == "llama";  // mixtral too
    const auto type = file_.find_string(key("rope.scaling.type"));
    // Before rope.scaling.type there was scale_linear.
    const auto factor = type ? file_.find_f32(key("rope.scaling.factor"))
                             : file_.find_f32(key("rope.scale_linear"));
    if (type && *type != "none" && *type != "linear") {
      fail(
          fmt::format("{} is {}, want none or linear", key("rope.scaling.type"), printable(*type)));
    }
    if (type != "none" && factor && *factor != 0.0f && *factor != 1.0f) {
      r.scaling = RopeScaling::linear;
      r.factor = *factor;
    }
    const GgufTensor* t = file_.find_tensor(kRopeFactors);
    if (t == nullptr) return;
    if (t->dtype != kernels::Dtype::f32 || t->shape != std::vector<int64_t>{r.d_rot / 2}) {
      fail(fmt::format("tensor '{}' is {} of {} dimensions and {} bytes, want f32 [{}]",
                       kRopeFactors, kernels::dtype_name(t->dtype), t->shape.size(), t->size_bytes,
                       r.d_rot / 2));
    }
    r.frequency_factors.resize(static_cast<size_t>(t->shape[0]));
    file_.source().read(t->offset, r.frequency_factors.data(), t->size_bytes);
  }

  const GgufFile& file_;
  std::string arch_;
  ModelConfig c_;
};

class GgufCheckpoint final : public Checkpoint {
 public:
  GgufCheckpoint(const std::shared_ptr<const ByteSource>& source, std::filesystem::path path,
                 const GgufFile& file)
      : path_(std::move(path)),
        config_(GgufConfigReader(file).read()),
        table_(config_, NameStyle::gguf, file.name(), [&](const std::string& name) {
          std::optional<TensorTable::Stored> found;
          if (const GgufTensor* t = file.find_tensor(name)) {
            found = {source, kernels::dtype_name(t->dtype), t->dtype, &t->shape, t->offset};
          }
          return found;
        }) {
    for (const GgufTensor& t : file.tensors()) {
      // attn_rot_embd: a constant that old writers stored and no reader uses.
      if (table_.uses(t.name) || t.name == kRopeFactors ||
          t.name.ends_with(".attn_rot_embd.weight")) {
        continue;
      }
      throw ModelFileError(fmt::format("{}: tensor {} is no part of the {} family as known here",
                                       file.name(), printable(t.name), config_.family));
    }
  }

  const ModelConfig& config() const override { return config_; }
  const std::filesystem::path& path() const override { return path_; }
  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  void read_rows(const TensorInfo& t, int64_t first, int64_t n, void* dst) const override {
    table_.read_rows(t, first, n, dst);
  }
  std::vector<std::filesystem::path> files() const override { return {path_}; }

 private:
  std::filesystem::path path_;
  ModelConfig config_;
  TensorTable table_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_gguf_checkpoint(std::shared_ptr<const ByteSource> source,
                                                 const std::filesystem::path& path) {
  const GgufFile file = GgufFile::parse(source);
  return std::make_unique<GgufCheckpoint>(source, path, file);
}

}  // namespace engine
