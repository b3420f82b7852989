"""Logits of the golden mixtures of experts by llama.cpp, at every k, beside those of transformers.

Usage: python moe_goldens_llama_cpp.py [folder of goldens, default tests/engine/golden]
Writes each golden that has logits_by_k.f32 as an fp32 GGUF file (gguf-py, the
tensor layout of llama.cpp's converter), runs it with expert_used_count overridden, and prints the
largest difference as a share of the largest logit. What llama.cpp cannot run is named.
Needs: gguf, llama-cpp-python, numpy, safetensors.
"""

import ctypes
import json
import pathlib
import sys
import tempfile

import gguf
import llama_cpp
import numpy
from safetensors.numpy import load_file

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "tests/engine/golden"
ARCH = {"mixtral": "llama", "olmoe": "olmoe", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe"}
RENORMALISED = {"mixtral": True, "olmoe": False, "qwen2_moe": False, "qwen3_moe": True}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm", "mlp.gate": "ffn_gate_inp",
         "block_sparse_moe.gate": "ffn_gate_inp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
         "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
         "mlp.shared_expert.down_proj": "ffn_down_shexp"}
PARTS = {"gate": ("gate_proj", "w1"), "up": ("up_proj", "w3"), "down": ("down_proj", "w2")}


def interleave(w, n_heads):
    """Rows of q and k as llama.cpp's llama architecture wants them."""
    return w.reshape(n_heads, 2, w.shape[0] // n_heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def experts(tensors, block, n, part):
    fused = f"{block}experts.{'down_proj' if part == 'down' else 'gate_up_proj'}"
    if fused in tensors:
        w = tensors[fused]
        half = w.shape[1] // 2
        return {"down": w, "gate": w[:, :half], "up": w[:, half:]}[part]
    own, mixtral = PARTS[part]
    name = mixtral if "block_sparse_moe" in block else own
    return numpy.stack([tensors[f"{block}experts.{e}.{name}.weight"] for e in range(n)])


def write(folder, path):
    c = json.loads((folder / "config.json").read_text())
    kind = c["model_type"]
    arch = ARCH[kind]
    tensors = load_file(folder / "model.safetensors")
    n = c.get("num_local_experts") or c["num_experts"]
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    d_head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    w.add_key_length(d_head)
    w.add_value_length(d_head)
    w.add_rope_dimension_count(d_head)
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c.get("rope_theta") or c["rope_parameters"]["rope_theta"])
    w.add_vocab_size(c["vocab_size"])
    w.add_expert_count(n)
    w.add_expert_used_count(c["num_experts_per_tok"])
    if "moe_intermediate_size" in c:
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    if "shared_expert_intermediate_size" in c:
        w.add_expert_shared_feed_forward_length(c["shared_expert_intermediate_size"])
    w.add_tokenizer_model("no_vocab")

    def add(name, value):
        w.add_tensor(name, numpy.ascontiguousarray(value, dtype=numpy.float32))

    add("token_embd.weight", tensors["model.embed_tokens.weight"])
    add("output_norm.weight", tensors["model.norm.weight"])
    add("output.weight", tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"]))
    for i in range(c["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for ours, theirs in NAMES.items():
            for kind_of in ("weight", "bias"):
                value = tensors.get(f"{layer}{ours}.{kind_of}")
                if value is None:
                    continue
                if kind == "mixtral" and theirs in ("attn_q", "attn_k"):
                    heads = "num_attention_heads" if theirs == "attn_q" else "num_key_value_heads"
                    value = interleave(value, c[heads])
                if theirs == "ffn_gate_inp_shexp":
                    value = value.reshape(-1)
                add(f"blk.{i}.{theirs}.{kind_of}", value)
        block = layer + ("block_sparse_moe." if layer + "block_sparse_moe.gate.weight" in tensors
                         else "mlp.")
        for part in PARTS:
            add(f"blk.{i}.ffn_{part}_exps.weight", experts(tensors, block, n, part))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    shared = 1 if kind == "qwen2_moe" else 0
    return arch, c["vocab_size"], n, shared


def logits(path, arch, k, tokens, vocab):
    """[tokens, vocab], or nothing when llama.cpp does not load it."""
    params = llama_cpp.llama_model_default_params()
    override = (llama_cpp.llama_model_kv_override * 2)()
    override[0].key = f"{arch}.expert_used_count".encode()
    override[0].tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_INT
    override[0].value.val_i64 = k
    params.kv_overrides = override
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        return None
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_threads = 256, len(tokens), 1
    options.type_k = options.type_v = 0  # fp32
    options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, options)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    assert llama_cpp.llama_decode(context, batch) == 0
    all_logits = llama_cpp.llama_get_logits(context)
    result = numpy.ctypeslib.as_array(all_logits, (len(tokens), vocab)).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return result


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def main():
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    temporary = tempfile.TemporaryDirectory()
    out = pathlib.Path(temporary.name)
    golden = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    for folder in sorted(p.parent for p in golden.glob("*/logits_by_k.f32")):
        config = json.loads((folder / "config.json").read_text())
        if config.get("norm_topk_prob", True) != RENORMALISED[config["model_type"]]:
            print(f"{folder.name}: not run: norm_topk_prob is fixed in llama.cpp for this architecture")
            continue
        path = out / f"{folder.name}.gguf"
        arch, vocab, n, shared = write(folder, path)
        tokens = json.loads((folder / "tokens.json").read_text())
        expected = numpy.fromfile(folder / "logits_by_k.f32", "<f4").reshape(-1, len(tokens), vocab)
        agreed, failed, worst = [], [], 0.0
        for k, at_k in enumerate(expected, 1):
            got = logits(path, arch, k - shared, tokens, vocab) if k > shared else None
            if got is None:
                failed.append(k)
                continue
            agreed.append(k)
            worst = max(worst, numpy.abs(got - at_k).max() / numpy.abs(at_k).max())
        if not agreed:
            print(f"{folder.name}: not run: llama.cpp does not load it")
            continue
        print(f"{folder.name}: k {agreed[0]} to {agreed[-1]} ({len(agreed)}), largest difference "
              f"{worst:.1e} of the largest logit; not run: {failed or 'none'}")


if __name__ == "__main__":
    main()
