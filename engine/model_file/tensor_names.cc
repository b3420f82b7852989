#include "engine/model_file/tensor_names.h"

#include <fmt/format.h>

#include <cassert>
#include <string_view>
#include <utility>

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
    {"shared_gate", "ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight"},
};

// A matrix of a gated block. `w` is Mixtral's name for it.
struct Part {
  std::string_view name, w;
  bool down = false;
  int64_t rank = 0;  // in a tensor that stacks gate and up
};
constexpr Part kParts[] = {
    {"gate", "w1", false, 0}, {"up", "w3", false, 1}, {"down", "w2", true, 0}};

template <size_t N>
std::string_view lookup_name(const NameRow (&rows)[N], NameStyle style,
                             std::string_view canonical) {
  for (const NameRow& r : rows) {
    if (r.canonical == canonical) return style == NameStyle::gguf ? r.gguf : r.hugging_face;
  }
  assert(!"not a canonical tensor name");
  return {};
}

class Walk {
 public:
  Walk(const ModelConfig& c, NameStyle style, const std::function<void(const WantedTensor&)>& visit)
      : c_(c), style_(style), visit_(visit) {}

  void top(std::string_view name, std::vector<int64_t> shape) const {
    one(std::string(name), std::string(lookup_name(kTopNames, style_, name)), std::move(shape));
  }

  void layer(int32_t i) {
    layer_ = i;
    stored_ = fmt::format("{}.{}.", gguf() ? "blk" : "model.layers", i);
    const int64_t d = c_.d_model, q = c_.n_heads * c_.d_head, kv = c_.n_kv_heads * c_.d_head;
    plain("attn_norm", {d});
    plain("q", {q, d});
    plain("k", {kv, d});
    plain("v", {kv, d});
    plain("o", {d, q});
    if (c_.qkv_bias) {
      plain("q_bias", {q});
      plain("k_bias", {kv});
      plain("v_bias", {kv});
    }
    if (c_.qk_norm != QkNorm::none) {
      const bool whole = c_.qk_norm == QkNorm::whole;
      plain("q_norm", {whole ? q : c_.d_head});
      plain("k_norm", {whole ? kv : c_.d_head});
    }
    plain("ffn_norm", {d});
    feed_forward();
  }

 private:
  bool gguf() const { return style_ == NameStyle::gguf; }
  std::string canonical(std::string_view name) const {
    return fmt::format("layers.{}.{}", layer_, name);
  }

  void one(std::string canonical, std::string stored, std::vector<int64_t> shape) const {
    visit_({std::move(canonical), shape, {{std::move(stored), shape, 0}}});
  }
  void plain(std::string_view name, std::vector<int64_t> shape) const {
    one(canonical(name), stored_ + std::string(lookup_name(kLayerNames, style_, name)),
        std::move(shape));
  }

  void feed_forward() const {
    const MoeConfig& moe = c_.moe;
    if (c_.family == "moeval_nested") return nested();
    if (moe.router == RouterKind::linear) router();
    if (moe.shared_gate) plain("shared_gate", {moe.n_shared, c_.d_model});
    for (int32_t e = 0; e < moe.n_experts; ++e) {
      const bool shared = e < moe.n_shared;
      const int64_t width = shared ? moe.d_shared : moe.d_expert;
      for (const Part& p : kParts) {
        WantedTensor t;
        t.canonical = canonical(fmt::format("experts.{}.{}", e, p.name));
        t.shape = p.down ? std::vector<int64_t>{c_.d_model, width}
                         : std::vector<int64_t>{width, c_.d_model};
        if (shared) {
          t.forms = {{shared_name(p), t.shape, 0}};
        } else {
          t.forms = gguf() ? gguf_forms(p, e - moe.n_shared, t.shape)
                           : hugging_face_forms(p, e - moe.n_shared, t.shape);
        }
        visit_(t);
      }
    }
  }

  // The family that conversion writes: shared and routed experts under one numbering.
  void nested() const {
    const MoeConfig& moe = c_.moe;
    const int64_t d = c_.d_model, routed = moe.n_routed();
    const int64_t neurons = routed * moe.n_representatives;
    const auto want = [&](std::string_view name, std::string_view stored,
                          std::vector<int64_t> shape) {
      one(canonical(name), fmt::format("{}mlp.{}", stored_, stored), std::move(shape));
    };
    if (moe.router == RouterKind::linear || moe.router == RouterKind::representative) {
      want("router", "gate.weight", {routed, d});
      want("router_bias", "gate.bias", {routed});
    }
    if (moe.router == RouterKind::representative) {
      want("rep_gate", "gate.representative_gate.weight", {neurons, d});
      want("rep_up", "gate.representative_up.weight", {neurons, d});
      want("mix", "gate.mix.weight", {routed, neurons});
    }
    if (moe.router == RouterKind::gate_first) {
      want("activation_scale", "gate.activation_scale", {routed, moe.d_expert});
    }
    if (moe.compensate) want("expert_means", "expert_means", {moe.n_experts, d});
    for (int32_t e = 0; e < moe.n_experts; ++e) {
      const int64_t width = e < moe.n_shared ? moe.d_shared : moe.d_expert;
      for (const Part& p : kParts) {
        want(fmt::format("experts.{}.{}", e, p.name),
             fmt::format("experts.{}.{}_proj.weight", e, p.name),
             p.down ? std::vector<int64_t>{d, width} : std::vector<int64_t>{width, d});
      }
    }
  }

  void router() const {
    WantedTensor t{canonical("router"), {c_.moe.n_routed(), c_.d_model}, {}};
    if (gguf()) {
      t.forms.push_back({stored_ + "ffn_gate_inp.weight", t.shape, 0});
    } else {
      for (const std::string& block : blocks()) {
        t.forms.push_back({block + "gate.weight", t.shape, 0});
      }
    }
    visit_(t);
  }

  // The block of a dense model, or the expert beside the routed ones.
  std::string shared_name(const Part& p) const {
    const bool dense = c_.moe.n_experts == 1;
    if (gguf()) return fmt::format("{}ffn_{}{}.weight", stored_, p.name, dense ? "" : "_shexp");
    return fmt::format("{}mlp.{}{}_proj.weight", stored_, dense ? "" : "shared_expert.", p.name);
  }

  // Experts stacked in one tensor, gate and up in one, or (Mixtral files of 2023) a tensor each.
  std::vector<StoredForm> gguf_forms(const Part& p, int32_t expert,
                                     const std::vector<int64_t>& shape) const {
    std::vector<StoredForm> forms = {
        stacked(fmt::format("{}ffn_{}_exps.weight", stored_, p.name), shape, expert)};
    if (!p.down) {
      forms.push_back(gate_and_up(stored_ + "ffn_gate_up_exps.weight", p, shape, expert));
    }
    forms.push_back({fmt::format("{}ffn_{}.{}.weight", stored_, p.name, expert), shape, 0});
    return forms;
  }

  // A tensor each (what save_pretrained writes), or the stacked ones that transformers 5 holds.
  std::vector<StoredForm> hugging_face_forms(const Part& p, int32_t expert,
                                             const std::vector<int64_t>& shape) const {
    std::vector<StoredForm> forms;
    if (mixtral()) {
      forms.push_back(
          {fmt::format("{}block_sparse_moe.experts.{}.{}.weight", stored_, expert, p.w), shape, 0});
    } else {
      forms.push_back(
          {fmt::format("{}mlp.experts.{}.{}_proj.weight", stored_, expert, p.name), shape, 0});
    }
    for (const std::string& block : blocks()) {
      forms.push_back(p.down ? stacked(block + "experts.down_proj", shape, expert)
                             : gate_and_up(block + "experts.gate_up_proj", p, shape, expert));
    }
    return forms;
  }

  bool mixtral() const { return c_.family == "mixtral"; }
  // Hugging Face names of the block of experts.
  std::vector<std::string> blocks() const {
    if (mixtral()) return {stored_ + "block_sparse_moe.", stored_ + "mlp."};
    return {stored_ + "mlp."};
  }

  StoredForm stacked(std::string name, const std::vector<int64_t>& shape, int32_t expert) const {
    return {std::move(name), {c_.moe.n_routed(), shape[0], shape[1]}, expert * shape[0]};
  }
  StoredForm gate_and_up(std::string name, const Part& p, const std::vector<int64_t>& shape,
                         int32_t expert) const {
    return {std::move(name),
            {c_.moe.n_routed(), 2 * shape[0], shape[1]},
            (2 * expert + p.rank) * shape[0]};
  }

  const ModelConfig& c_;
  const NameStyle style_;
  const std::function<void(const WantedTensor&)>& visit_;
  int32_t layer_ = 0;
  std::string stored_;  // what the names of this layer begin with
};

}  // namespace

void for_each_wanted_tensor(const ModelConfig& c, NameStyle style,
                            const std::function<void(const WantedTensor&)>& visit) {
  Walk walk(c, style, visit);
  walk.top("embed", {c.vocab, c.d_model});
  walk.top("final_norm", {c.d_model});
  if (!c.tied_head) walk.top("head", {c.vocab, c.d_model});
  for (int32_t i = 0; i < c.n_layers; ++i) walk.layer(i);
}

}  // namespace engine
