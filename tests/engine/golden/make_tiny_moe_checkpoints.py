"""Writes tiny random fp32 mixture-of-experts checkpoints and their logits at every number of
experts, computed by transformers.

Usage: python make_tiny_moe_checkpoints.py [output folder, default: this script's]
Layout: as make_tiny_checkpoints.py, and logits_by_k.f32 ([k, tokens, vocab]: experts run per token,
shared ones included, from 1 to min(16, all)). Another k is another num_experts_per_tok of the same
saved weights.
"""

import json
import pathlib
import shutil
import sys

import numpy
import safetensors
import safetensors.torch
import torch
import transformers

from make_tiny_checkpoints import as_version_4, randomise, rope

VOCAB, TOKENS, MAX_K = 64, 24, 16
SMALLEST_GAP = 1e-4  # between neighbouring router scores of a token; fp32 noise is near 1e-6
SMALLEST_STEP = 1e-2  # of the largest logit, when k grows by one; the test allows 1e-4
SHAPE = dict(
    vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5,
    tie_word_embeddings=False, attn_implementation="eager", experts_implementation="eager",
    dtype=torch.float32,
)

# name: (configuration class, settings, experts that are always on, spelling of the config,
#        tensors as transformers saves them (one per expert) or as it holds them (fused))
MODELS = {
    "mixtral": (transformers.MixtralConfig,
                rope(1000000.0) | dict(intermediate_size=16, num_local_experts=8,
                                       num_experts_per_tok=2), 0, 4, "separate"),
    "olmoe": (transformers.OlmoeConfig,
              rope(10000.0) | dict(intermediate_size=8, num_experts=16, num_experts_per_tok=4,
                                   norm_topk_prob=False), 0, 4, "separate"),
    "qwen2_moe": (transformers.Qwen2MoeConfig,
                  rope(1000000.0) | dict(moe_intermediate_size=8,
                                         shared_expert_intermediate_size=20, num_experts=16,
                                         num_experts_per_tok=3, norm_topk_prob=False), 1, 4,
                  "separate"),
    "qwen2_moe_fused": (transformers.Qwen2MoeConfig,
                        rope(1000000.0) | dict(moe_intermediate_size=12,
                                               shared_expert_intermediate_size=16, num_experts=9,
                                               num_experts_per_tok=2, norm_topk_prob=True), 1, 5,
                        "fused"),
    "qwen3_moe": (transformers.Qwen3MoeConfig,
                  rope(1000000.0) | dict(head_dim=12, moe_intermediate_size=8, num_experts=20,
                                         num_experts_per_tok=4, norm_topk_prob=True,
                                         tie_word_embeddings=True), 0, 5, "separate"),
}


def routed_experts(config):
    return config.num_local_experts if hasattr(config, "num_local_experts") else config.num_experts


def router_gap(model, tokens):
    """The smallest difference between neighbouring router scores of one token in one layer."""
    scores = []
    hooks = [module.register_forward_hook(lambda _m, _i, out: scores.append(out[0]))
             for name, module in model.named_modules() if name.endswith("mlp.gate")]
    with torch.no_grad():
        model(tokens, use_cache=False)
    for hook in hooks:
        hook.remove()
    assert len(scores) == model.config.num_hidden_layers
    return min(s.sort(dim=-1).values.diff(dim=-1).min().item() for s in scores)


def logits_of(folder, tokens, k):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, num_experts_per_tok=k, dtype=torch.float32, attn_implementation="eager",
        experts_implementation="eager").eval()
    assert all(m.top_k == k for n, m in model.named_modules() if n.endswith("mlp.gate"))
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0]
    assert logits.shape == (TOKENS, VOCAB) and torch.isfinite(logits).all()
    return logits, router_gap(model, tokens)


def sharpen(model):
    """Experts that move the logits, routers that leave the last of sixteen experts some weight."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "mlp.gate.weight" in name:
                p.mul_(0.4)
            elif "expert" in name:
                p.mul_(2)


def candidates(config, seed):
    """Random models and prompts, one per seed."""
    while True:
        generator = torch.Generator().manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
        randomise(model, generator)
        sharpen(model)
        tokens = torch.randint(0, VOCAB, (1, TOKENS), generator=generator)
        yield seed, model, tokens
        seed += 100


def write(folder, seed, config_class, settings, n_shared, spelling, names):
    config = config_class(**SHAPE | settings)
    trained, n = config.num_experts_per_tok, routed_experts(config)
    budgets = range(1, min(MAX_K, n + n_shared) + 1)
    for seed, model, tokens in candidates(config, seed):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model.save_pretrained(folder, save_original_format=names == "separate")
        results = []
        for k in budgets:
            results.append(logits_of(folder, tokens, k - n_shared))
            if results[-1][1] < SMALLEST_GAP:
                break
        gap = min(g for _, g in results)
        if gap < SMALLEST_GAP:
            continue
        by_k = torch.stack([logits for logits, _ in results])
        largest = by_k.abs().max()
        step = min((a - b).abs().max() for a, b in zip(by_k, by_k[1:])) / largest
        if step >= SMALLEST_STEP:
            break

    (folder / "generation_config.json").unlink(missing_ok=True)
    stored = json.loads((folder / "config.json").read_text())
    if spelling == 4:
        stored = as_version_4(stored)
    (folder / "config.json").write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    (folder / "tokens.json").write_text(json.dumps(tokens[0].tolist()) + "\n")
    by_k[trained + n_shared - 1].numpy().astype("<f4").tofile(folder / "logits.f32")
    by_k.numpy().astype("<f4").tofile(folder / "logits_by_k.f32")
    print(f"{folder.name}: seed {seed}, k 1 to {budgets[-1]}, largest |logit| {largest:.4f}, smallest "
          f"step of k {step:.4f}, smallest router gap {gap:.2e}")


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for seed, (name, arguments) in enumerate(MODELS.items()):
        write(out / name, 2000 + seed, *arguments)
    print("versions:", "transformers", transformers.__version__, "torch", torch.__version__,
          "safetensors", safetensors.__version__, "numpy", numpy.__version__)


if __name__ == "__main__":
    main()
