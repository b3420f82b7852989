#include "engine/model_file/tensor_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"

namespace engine {
namespace {

struct NameRow {
  std::string_view canonical, gguf, hugging_face;
};

constexpr NameRow kTopNames[] = {
    {"embed", "token_embd.weight", "model.embed_tokens.weight"},
    {"head", "output.weight", "lm_head.weight"},
    {"final_norm", "output_norm.weight", "model.norm.weight"},
};

constexpr NameRow kLayerNames[] = {
    {"attn_norm", "attn_norm.weight", "input_layernorm.weight"},
    {"q", "attn_q.weight", "self_attn.q_proj.weight"},
    {"k", "attn_k.weight", "self_attn.k_proj.weight"},
    {"v", "attn_v.weight", "self_attn.v_proj.weight"},
    {"o", "attn_output.weight", "self_attn.o_proj.weight"},
    {"q_bias", "attn_q.bias", "self_attn.q_proj.bias"},
    {"k_bias", "attn_k.bias", "self_attn.k_proj.bias"},
    {"v_bias", "attn_v.bias", "self_attn.v_proj.bias"},
    {"q_norm", "attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"k_norm", "attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"ffn_norm", "ffn_norm.weight", "post_attention_layernorm.weight"},
    {"experts.0.gate", "ffn_gate.weight", "mlp.gate_proj.weight"},
    {"experts.0.up", "ffn_up.weight", "mlp.up_proj.weight"},
    {"experts.0.down", "ffn_down.weight", "mlp.down_proj.weight"},
};

template <size_t N>
std::string_view lookup_name(const NameRow (&rows)[N], NameStyle style,
                             std::string_view canonical) {
  for (const NameRow& r : rows) {
    if (r.canonical == canonical) return style == NameStyle::gguf ? r.gguf : r.hugging_face;
  }
  assert(!"not a canonical tensor name");
  return {};
}

bool is_plain(kernels::Dtype t) { return kernels::block_elements(t) == 1; }

}  // namespace

std::string stored_tensor_name(NameStyle style, std::string_view canonical) {
  constexpr std::string_view kLayers = "layers.";
  if (!canonical.starts_with(kLayers)) {
    return std::string(lookup_name(kTopNames, style, canonical));
  }
  const size_t dot = canonical.find('.', kLayers.size());
  assert(dot != canonical.npos);
  return fmt::format("{}.{}.{}", style == NameStyle::gguf ? "blk" : "model.layers",
                     canonical.substr(kLayers.size(), dot - kLayers.size()),
                     lookup_name(kLayerNames, style, canonical.substr(dot + 1)));
}

TensorTable::TensorTable(const ModelConfig& c, NameStyle style, const std::string& file,
                         const Lookup& lookup) {
  const int64_t d = c.d_model, q = c.n_heads * c.d_head, kv = c.n_kv_heads * c.d_head;
  const int64_t f = c.moe.d_shared;
  const auto want = [&](const std::string& name, std::vector<int64_t> shape) {
    add(name, std::move(shape), style, file, lookup);
  };
  want("embed", {c.vocab, d});
  want("final_norm", {d});
  if (!c.tied_head) want("head", {c.vocab, d});
  for (int32_t i = 0; i < c.n_layers; ++i) {
    const std::string layer = fmt::format("layers.{}.", i);
    want(layer + "attn_norm", {d});
    want(layer + "q", {q, d});
    want(layer + "k", {kv, d});
    want(layer + "v", {kv, d});
    want(layer + "o", {d, q});
    if (c.qkv_bias) {
      want(layer + "q_bias", {q});
      want(layer + "k_bias", {kv});
      want(layer + "v_bias", {kv});
    }
    if (c.qk_norm != QkNorm::none) {
      want(layer + "q_norm", {c.d_head});
      want(layer + "k_norm", {c.d_head});
    }
    want(layer + "ffn_norm", {d});
    want(layer + "experts.0.gate", {f, d});
    want(layer + "experts.0.up", {f, d});
    want(layer + "experts.0.down", {d, f});
  }
}

void TensorTable::add(const std::string& canonical, std::vector<int64_t> shape, NameStyle style,
                      const std::string& file, const Lookup& lookup) {
  const std::string name = stored_tensor_name(style, canonical);
  const std::optional<Stored> found = lookup(name);
  if (!found) {
    throw ModelFileError(fmt::format("{}: tensor '{}' is missing, want shape [{}]", file, name,
                                     fmt::join(shape, ", ")));
  }
  const std::string& where = found->source->name();
  if (*found->shape != shape) {
    throw ModelFileError(fmt::format("{}: tensor '{}' has shape [{}], want [{}]", where, name,
                                     fmt::join(*found->shape, ", "), fmt::join(shape, ", ")));
  }
  const bool vector = shape.size() == 1;
  if (!found->dtype || (vector && !is_plain(*found->dtype))) {
    throw ModelFileError(fmt::format(
        "{}: tensor '{}' has type {}, want {}", where, name, found->stored_type,
        vector || style == NameStyle::hugging_face ? "F32, F16 or BF16" : "a type that is read"));
  }
  stored_.emplace(name, Place{found->source, found->offset});
  tensors_.push_back({canonical, name, *found->dtype, std::move(shape)});
}

void TensorTable::read_rows(const TensorInfo& t, int64_t first, int64_t n, void* dst) const {
  const auto place = stored_.find(t.stored_name);
  assert(place != stored_.end());
  [[maybe_unused]] const int64_t rows = t.shape.size() == 1 ? 1 : t.shape.front();
  assert(first >= 0 && n >= 0 && first <= rows && n <= rows - first);
  const auto row = static_cast<uint64_t>(kernels::row_bytes(t.dtype, t.shape.back()));
  place->second.source->read(place->second.offset + static_cast<uint64_t>(first) * row, dst,
                             static_cast<uint64_t>(n) * row);
}

}  // namespace engine
