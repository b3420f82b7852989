#!/usr/bin/env python3
"""The weights that transformers runs are gguf's own dequantisation of the file, bit for bit.

llama.cpp stores the rows of q and k with each head's rotary halves interleaved; Hugging Face keeps
them apart, so these two are compared after undoing that order here.

  check_weights.py --model FILE.gguf
"""
import argparse

import gguf
import numpy as np

import common

BLOCK = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
         "ffn_norm": "post_attention_layernorm"}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
       "output.weight": "lm_head.weight"}


def halves_apart(w, n_heads):
    """Row 2i+h of a head -> row h*(d/2)+i."""
    rows, columns = w.shape
    return w.reshape(n_heads, rows // n_heads // 2, 2, columns).swapaxes(1, 2).reshape(w.shape)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    reader = gguf.GGUFReader(a.model)
    heads = {"attn_q": reader.fields["llama.attention.head_count"].contents(),
             "attn_k": reader.fields["llama.attention.head_count_kv"].contents()}
    state = common.load_model(a.model, a.threads).state_dict()
    n = different = values = 0
    for t in reader.tensors:
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
        if t.name in TOP:
            name = TOP[t.name]
        else:
            _, layer, part, _ = t.name.split(".")
            name = f"model.layers.{layer}.{BLOCK[part]}.weight"
            if part in heads:
                w = halves_apart(w, heads[part])
        theirs = state.pop(name).numpy()
        n, values = n + 1, values + w.size
        if w.shape != theirs.shape or w.tobytes() != theirs.tobytes():
            different += 1
            print(f"{t.name}: differs, {w.shape} and {theirs.shape}")
    tied = "lm_head.weight" in state and np.array_equal(
        state.pop("lm_head.weight").numpy(), state_embedding(reader))
    print(f"{n} tensors, {values} values compared, {different} tensors differ; "
          f"head tied to the embedding: {tied}; left over: {sorted(state)}")
    print(common.versions("gguf", "numpy", "torch", "transformers"), common.sha256(a.model))
    return 1 if different or state else 0


def state_embedding(reader):
    t = next(t for t in reader.tensors if t.name == "token_embd.weight")
    return gguf.quants.dequantize(t.data, t.tensor_type)


if __name__ == "__main__":
    raise SystemExit(main())
