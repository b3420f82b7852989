// Owns the reading of a Hugging Face folder as a checkpoint: config.json to ModelConfig, the
// tensor names of transformers to canonical ones. Defaults of absent keys: the configuration
// classes of transformers (Llama, Mistral, Mixtral, Olmoe, Qwen2, Qwen2Moe, Qwen3, Qwen3Moe).
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/model_file/formats.h"
#include "engine/model_file/nested_config.h"
#include "engine/model_file/printable.h"
#include "engine/model_file/safetensors.h"
#include "engine/model_file/strict_json.h"
#include "engine/model_file/tensor_table.h"
#include "engine/model_file_error.h"

namespace engine {
namespace {

constexpr int64_t kMaxHfWidth = int64_t{1} << 20, kMaxHfContext = int64_t{1} << 31;
constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;

class HfConfigReader {
 public:
  HfConfigReader(const JsonFields& j, std::string file) : j_(j), file_(std::move(file)) {}

  ModelConfig read() {
    type_ = j_.require_string("model_type");
    if (is("moeval_nested")) {
      c_ = read_nested_config(j_);
      c_.validate(file_);
      return c_;
    }
    mixes_ = is("mixtral") || is("olmoe") || is("qwen2_moe") || is("qwen3_moe");
    if (!mixes_ && !is("llama") && !is("mistral") && !is("qwen2") && !is("qwen3")) {
      fail_unknown_family(file_, type_);
    }
    refuse_unread();
    c_.family = is("mistral") ? "llama" : type_;
    c_.name = j_.find_string("_name_or_path").value_or("");
    c_.n_layers = static_cast<int32_t>(j_.require_int("num_hidden_layers", 1, 512));
    c_.d_model = j_.require_int("hidden_size", 1, kMaxHfWidth);
    c_.n_heads = j_.require_int("num_attention_heads", 1, 4096);
    c_.n_kv_heads = is("llama") || is("olmoe")
                        ? j_.find_int("num_key_value_heads", 1, 4096).value_or(c_.n_heads)
                        : j_.require_int("num_key_value_heads", 1, 4096);
    c_.vocab = j_.require_int("vocab_size", 1, int64_t{1} << 24);
    c_.max_tokens = j_.require_int("max_position_embeddings", 1, kMaxHfContext);
    experts();
    c_.norm_eps =
        j_.find_float("rms_norm_eps").value_or(is("mixtral") || is("olmoe") ? 1e-5f : 1e-6f);
    c_.qkv_bias = is("qwen2") || (is("qwen2_moe") && j_.find_bool("qkv_bias").value_or(true)) ||
                  j_.find_bool("attention_bias").value_or(false);
    c_.qk_norm = is("olmoe")                      ? QkNorm::whole
                 : is("qwen3") || is("qwen3_moe") ? QkNorm::head
                                                  : QkNorm::none;
    c_.tied_head = j_.find_bool("tie_word_embeddings").value_or(false);
    head_width();
    window();
    rope();
    c_.validate(file_);
    return c_;
  }

 private:
  bool is(std::string_view type) const { return type_ == type; }

  // Settings that change the numbers and are not read here.
  void refuse_unread() const {
    if (const auto q = j_.find_object("quantization_config")) {
      j_.fail("quantization_config",
              fmt::format("is set (method {}): only F32, F16 and BF16 weights are read",
                          printable(q->find_string("quant_method").value_or("unknown"))));
    }
    if (const auto act = j_.find_string("hidden_act"); act && *act != "silu") {
      j_.fail("hidden_act", fmt::format("is {}, want 'silu'", printable(*act)));
    }
    if (j_.find_bool("mlp_bias").value_or(false)) j_.fail("mlp_bias", "is true, want false");
    if (const auto clip = j_.find_float("clip_qkv")) {
      j_.fail("clip_qkv", fmt::format("is {}, want null", *clip));
    }
  }

  // transformers names the number of routed experts in two ways, and reads both.
  const char* expert_count_key() const {
    const bool local = j_.find("num_local_experts") != nullptr;
    return local || (is("mixtral") && !j_.find("num_experts")) ? "num_local_experts"
                                                               : "num_experts";
  }

  void experts() {
    MoeConfig& m = c_.moe;
    const char* count = expert_count_key();
    if (!mixes_) {
      if (const auto n = j_.find_int(count, 0, INT64_MAX); n && *n > 0) {
        j_.fail(count, fmt::format("is {}, but model_type {} is dense", *n, type_));
      }
      m.d_shared = j_.require_int("intermediate_size", 1, kMaxHfWidth);
      return;
    }
    const int64_t routed = j_.require_int(count, 1, 512);
    const int64_t used = j_.require_int("num_experts_per_tok", 1, 512);
    if (used > routed) {
      j_.fail("num_experts_per_tok", fmt::format("is {}, {} is {}", used, count, routed));
    }
    if (const auto f = j_.find_string("scoring_func"); f && *f != "softmax") {
      j_.fail("scoring_func", fmt::format("is {}, want 'softmax'", printable(*f)));
    }
    refuse_dense_layers();
    m.router = RouterKind::linear;
    m.n_shared = is("qwen2_moe") ? 1 : 0;
    m.shared_gate = m.n_shared > 0;
    m.n_experts = static_cast<int32_t>(routed) + m.n_shared;
    m.trained_k = static_cast<int32_t>(used) + m.n_shared;
    m.renormalise = is("mixtral") || j_.find_bool("norm_topk_prob").value_or(false);
    m.d_expert =
        j_.require_int(is("mixtral") || is("olmoe") ? "intermediate_size" : "moe_intermediate_size",
                       1, kMaxHfWidth);
    if (m.n_shared > 0) {
      m.d_shared = j_.require_int("shared_expert_intermediate_size", 1, kMaxHfWidth);
    }
  }

  // Experts in every layer, or the layers differ.
  void refuse_dense_layers() const {
    if (const auto step = j_.find_int("decoder_sparse_step", 0, INT64_MAX); step && *step != 1) {
      j_.fail("decoder_sparse_step", fmt::format("is {}, want 1: experts in every layer", *step));
    }
    const nlohmann::json* dense = j_.find("mlp_only_layers");
    if (dense == nullptr) return;
    if (!dense->is_array()) {
      j_.fail("mlp_only_layers", fmt::format("is a JSON {}, want an array", dense->type_name()));
    }
    if (!dense->empty()) {
      j_.fail("mlp_only_layers",
              fmt::format("names {} layers, want none: experts in every layer", dense->size()));
    }
  }

  void head_width() {
    const auto d = j_.find_int("head_dim", 1, 4096);
    if (d || is("qwen3")) {
      c_.d_head = d.value_or(128);
      return;
    }
    if (c_.d_model % c_.n_heads != 0) {
      j_.fail("num_attention_heads",
              fmt::format("{} does not divide hidden_size {}", c_.n_heads, c_.d_model));
    }
    c_.d_head = c_.d_model / c_.n_heads;
  }

  // A window of W lets position i see i - W + 1 to i, so W tokens are attended in full.
  void window() {
    if (is("llama") || is("olmoe")) return;
    if (!is("mistral") && !is("mixtral") && !j_.find_bool("use_sliding_window").value_or(false))
      return;
    const int64_t w = j_.find_int("sliding_window", 1, kMaxHfContext).value_or(c_.max_tokens);
    if (w < c_.max_tokens) c_.sliding_window = c_.max_tokens = w;
  }

  // transformers 4 writes rope_theta and rope_scaling, 5 one rope_parameters with both.
  void rope() {
    RopeConfig& r = c_.rope;
    r.d_rot = c_.d_head;
    r.theta = j_.find_float("rope_theta").value_or(is("mixtral") ? 1e6f : 10000.0f);
    partial(j_);
    auto s = j_.find_object("rope_parameters");
    if (s) {
      r.theta = s->find_float("rope_theta").value_or(r.theta);
    } else {
      s = j_.find_object("rope_scaling");
    }
    if (!s) return;
    partial(*s);
    const char* type_key = s->find("rope_type") ? "rope_type" : "type";
    const std::string type = s->find_string(type_key).value_or("default");
    if (type == "default") return;
    r.factor = s->require_float("factor");
    if (type == "linear") {
      r.scaling = RopeScaling::linear;
    } else if (type == "llama3") {
      r.scaling = RopeScaling::llama3;
      r.low_freq_factor = s->require_float("low_freq_factor");
      r.high_freq_factor = s->require_float("high_freq_factor");
      r.original_context = s->require_int("original_max_position_embeddings", 1, kMaxHfContext);
    } else {
      s->fail(type_key, fmt::format("is {}, want default, linear or llama3", printable(type)));
    }
  }

  static void partial(const JsonFields& j) {
    const auto f = j.find_float("partial_rotary_factor");
    if (f && *f != 1.0f) j.fail("partial_rotary_factor", fmt::format("is {}, want 1", *f));
  }

  const JsonFields& j_;
  std::string file_, type_;
  bool mixes_ = false;
  ModelConfig c_;
};

ModelConfig read_config(const std::filesystem::path& path) {
  const nlohmann::json top = read_strict_json(path, kMaxConfigBytes, 16);
  const JsonFields fields(top, path.string());
  return HfConfigReader(fields, path.string()).read();
}

class HfCheckpoint final : public Checkpoint {
 public:
  HfCheckpoint(std::filesystem::path folder, const SafetensorsFolder& weights)
      : path_(std::move(folder)),
        config_(read_config(path_ / "config.json")),
        table_(config_, NameStyle::hugging_face, path_.string(), [&](const std::string& name) {
          std::optional<TensorTable::Stored> found;
          if (const auto p = weights.find(name)) {
            found = {p->file->source(), p->tensor->stored_type, p->tensor->dtype, &p->tensor->shape,
                     p->tensor->offset};
          }
          return found;
        }) {
    refuse_unknown(weights);
    files_ = weights.files();
    files_.push_back(path_ / "config.json");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                             "generation_config.json", "tokenizer.gguf"}) {
      std::error_code ignored;
      if (std::filesystem::exists(path_ / name, ignored)) files_.push_back(path_ / name);
    }
    std::sort(files_.begin(), files_.end());
  }

  const ModelConfig& config() const override { return config_; }
  const std::filesystem::path& path() const override { return path_; }
  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  void read_rows(const TensorInfo& t, int64_t first, int64_t n, void* dst) const override {
    table_.read_rows(t, first, n, dst);
  }
  std::vector<std::filesystem::path> files() const override { return files_; }

 private:
  void refuse_unknown(const SafetensorsFolder& weights) const {
    for (const SafetensorsFile& shard : weights.shards()) {
      for (const SafetensorsTensor& t : shard.tensors()) {
        const bool spare_head = config_.tied_head && t.name == "lm_head.weight";
        // inv_freq: a constant that old writers stored.
        if (table_.uses(t.name) || spare_head || t.name.ends_with(".rotary_emb.inv_freq")) continue;
        throw ModelFileError(fmt::format("{}: tensor {} is no part of the {} family as known here",
                                         shard.name(), printable(t.name), config_.family));
      }
    }
  }

  std::filesystem::path path_;
  ModelConfig config_;
  TensorTable table_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_hf_checkpoint(const std::filesystem::path& folder) {
  read_config(folder / "config.json");  // what the model is comes before what its files lack
  return std::make_unique<HfCheckpoint>(folder, SafetensorsFolder::open(folder));
}

}  // namespace engine
