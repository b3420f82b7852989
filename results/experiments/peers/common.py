"""What the peer scripts share: the model in fp32, its tokenizer, MMLU rows, moeval's sampling rule.

Nothing here imports or reads moeval's sources: the rules are restated from the protocols, so that
a slip on one side shows as a difference. Needs gguf, tokenizers, torch and transformers.
"""
import csv
import hashlib
import pathlib
import platform
from importlib.metadata import version

import gguf
import numpy as np

MASK = (1 << 64) - 1


def versions(*packages):
    out = {"python": platform.python_version()}
    out.update({p: version(p) for p in packages})
    return out


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


# ---- data ----

def read_mmlu(data, split="test"):
    """Every row of a split: {id: {subject, question, choices, gold}}, subjects by name."""
    folder = next(f for f in (pathlib.Path(data) / "mmlu", pathlib.Path(data))
                  if (f / split).is_dir())
    ending = f"_{split}.csv"
    rows = {}
    for subject in sorted(p.name[:-len(ending)] for p in (folder / split).glob("*" + ending)):
        with open(folder / split / (subject + ending), newline="", encoding="utf-8") as f:
            for i, (question, a, b, c, d, key) in enumerate(csv.reader(f)):
                rows[f"mmlu/{subject}/{split}/{i}"] = {
                    "subject": subject, "question": question, "choices": [a, b, c, d],
                    "gold": "ABCD".index(key)}
    return rows


def cloze_prompt(row):
    """Context and four continuations of lm-eval's mmlu_continuation, 0-shot."""
    subject = row["subject"].replace("_", " ")
    context = (f"The following are questions (with answers) about {subject}.\n\n"
               f"Question: {row['question'].strip()}\nAnswer:")
    return context, [" " + choice for choice in row["choices"]]


# ---- moeval run --sample N --seed S: the N ids of smallest hash, in the order of the data ----

def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def hash_text(seed, text):
    h = splitmix64(seed)
    for byte in text.encode():
        h = splitmix64(h ^ byte)
    return h


def draw(ids, n, seed):
    kept = set(sorted(range(len(ids)), key=lambda i: (hash_text(seed, ids[i]), i))[:n])
    return [id_ for i, id_ in enumerate(ids) if i in kept]


# ---- model and tokenizer ----

def load_model(path, threads):
    """transformers on the file's weights, dequantised to fp32, eager attention."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(threads)
    path = pathlib.Path(path)
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager")
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return model.eval()


def load_tokenizer(path):
    """Hugging Face tokenizers on the file's vocabulary and merges; SmolLM's pre-tokenizer."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    fields = gguf.GGUFReader(path).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t, kind in zip(tokens, kinds) if kind == 3])
    return tokenizer


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def encode_pair(tokenizer, context, continuation):
    """lm-eval's rule: trailing white space moves over, the whole is encoded, then cut."""
    kept = context.rstrip()
    prompt = encode(tokenizer, kept)
    whole = encode(tokenizer, context + continuation)
    return prompt, whole[len(prompt):]


def log_softmax(logits):
    """Rows of float logits -> float64 log-probabilities."""
    x = np.asarray(logits, dtype=np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
