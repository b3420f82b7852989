"""Writes tiny random fp32 checkpoints of each family and their logits, computed by transformers.

Usage: python make_tiny_checkpoints.py [output folder, default: this script's]
Layout: <name>/config.json, model.safetensors (or shards and index), tokens.json (the prompt's
ids), logits.f32 ([tokens, vocab] little-endian float32). Weights come from a fixed seed per model.
"""

import json
import pathlib
import sys

import numpy
import safetensors
import safetensors.torch
import torch
import transformers

VOCAB, TOKENS = 128, 40
SHAPE = dict(
    vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    rms_norm_eps=1e-5, attn_implementation="eager", dtype=torch.float32,
)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=32)


def rope(theta, **more):
    return dict(rope_parameters={"rope_type": "default", "rope_theta": theta, **more})


# name: (configuration class, settings, spelling of the rope settings, shards)
MODELS = {
    "llama": (transformers.LlamaConfig, rope(10000.0) | dict(tie_word_embeddings=False), 4, 2),
    "llama_tied": (transformers.LlamaConfig, rope(100000.0) | dict(tie_word_embeddings=True), 5, 1),
    "llama3_rope": (transformers.LlamaConfig,
                    dict(rope_parameters=LLAMA3, tie_word_embeddings=False), 4, 1),
    "llama_linear_rope": (transformers.LlamaConfig,
                          rope(10000.0) | dict(rope_parameters={"rope_type": "linear", "factor": 4.0,
                                                                "rope_theta": 10000.0},
                                               tie_word_embeddings=True), 4, 1),
    "mistral": (transformers.MistralConfig,
                rope(10000.0) | dict(sliding_window=None, tie_word_embeddings=False, head_dim=8), 4, 1),
    "qwen2": (transformers.Qwen2Config, rope(1000000.0) | dict(tie_word_embeddings=False), 4, 1),
    "qwen3": (transformers.Qwen3Config,
              rope(1000000.0) | dict(head_dim=16, tie_word_embeddings=True), 5, 1),
}


def randomise(model, generator):
    """Weights large enough that every part moves the logits."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                p.copy_(0.5 * noise)
            else:
                p.copy_(0.3 * noise)


def as_version_4(config):
    """The spelling of transformers 4: rope_theta and rope_scaling apart."""
    rope_parameters = config.pop("rope_parameters")
    config["rope_theta"] = rope_parameters.pop("rope_theta")
    config["rope_scaling"] = None if rope_parameters["rope_type"] == "default" else rope_parameters
    config["torch_dtype"] = config.pop("dtype")
    return config


def write(folder, seed, config_class, settings, spelling, shards):
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    config = config_class(**SHAPE | settings)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomise(model, generator)
    tokens = torch.randint(0, VOCAB, (1, TOKENS), generator=generator)
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0]
    assert logits.shape == (TOKENS, VOCAB) and torch.isfinite(logits).all()

    bytes_per_shard = 10**9 if shards == 1 else sum(p.numel() * 4 for p in model.parameters()) // 2 + 20000
    model.save_pretrained(folder, max_shard_size=bytes_per_shard)
    (folder / "generation_config.json").unlink(missing_ok=True)
    assert len(list(folder.glob("*.safetensors"))) == shards, folder
    stored = json.loads((folder / "config.json").read_text())
    if spelling == 4:
        stored = as_version_4(stored)
    (folder / "config.json").write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    (folder / "tokens.json").write_text(json.dumps(tokens[0].tolist()) + "\n")
    logits.numpy().astype("<f4").tofile(folder / "logits.f32")
    print(f"{folder.name}: largest |logit| {logits.abs().max():.4f}, spread {logits.std():.4f}")


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    torch.set_num_threads(1)
    for seed, (name, arguments) in enumerate(MODELS.items()):
        write(out / name, 1000 + seed, *arguments)
    print("versions:", "transformers", transformers.__version__, "torch", torch.__version__,
          "safetensors", safetensors.__version__, "numpy", numpy.__version__)


if __name__ == "__main__":
    main()
