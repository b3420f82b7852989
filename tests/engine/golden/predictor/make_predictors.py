"""Writes the predictors of this folder and what NumPy says about them.

Run: python3 make_predictors.py   (made with Python 3.11, NumPy 2.4.6; float32 inference re-done in
float64, so the answers are exact to about 1e-6)
"""
import json
import math
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SHA = "ab" * 32
D, VOCAB = 8, 97
GRID = [1, 2, 4, 8]
FEATURES = ["embedding_mean", "embedding_max", "log_tokens", "log_bytes", "word_bytes", "digits",
            "upper_case", "blanks", "newlines", "code", "latex", "non_ascii"]
QUESTIONS = ["What is 12 + 30?", "", "Let $x^2 = \\frac{1}{2}$.\nFind x;", "f(a) = {b: [1, 2]}\t# Caf\u00e9",
             "NASA   AND  ESA"]


def embedding(token):
    """The same formula as in the test."""
    return np.array([((token * 37 + i * 11) % 64 - 32) / 16.0 for i in range(D)])


def tokens_of(question):
    return [b % VOCAB for b in question.encode()]


def features(question):
    raw = question.encode()
    toks = tokens_of(question)
    rows = np.array([embedding(t) for t in toks]) if toks else np.zeros((1, D))
    share = lambda ok: (sum(ok(b) for b in raw) / len(raw)) if raw else 0.0
    words = question.split()
    return np.concatenate([
        rows.mean(0), rows.max(0),
        [math.log1p(len(toks)), math.log1p(len(raw)),
         sum(len(w.encode()) for w in words) / len(words) if words else 0.0,
         share(lambda b: 48 <= b <= 57), share(lambda b: 65 <= b <= 90),
         share(lambda b: b in b" \t\n\r"), share(lambda b: b == 10),
         share(lambda b: b in b"{}[]()<>=;_#"), share(lambda b: b in b"\\$^"),
         share(lambda b: b >= 128)]])


def write(path, header, tensors):
    table, data = {"__metadata__": {"moeval_predictor": json.dumps(header)}}, b""
    for name, t in tensors.items():
        raw = np.asarray(t, dtype="<f4").tobytes()
        table[name] = {"dtype": "F32", "shape": list(t.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def infer(header, t, x):
    t = {k: v.astype(np.float64) for k, v in t.items()}
    if "feature_mean" in t:
        x = (x - t["feature_mean"]) / t["feature_scale"]
    i = 0
    while f"layers.{i}.weight" in t:
        x = np.maximum(t[f"layers.{i}.weight"] @ x + t[f"layers.{i}.bias"], 0)
        i += 1
    p = None
    if "p_k" in header:
        o = t["p_k.weight"] @ x + t["p_k.bias"]
        if header["p_k"] == "ordinal":
            o = np.concatenate([o[:1], o[0] + np.cumsum(np.log1p(np.exp(o[1:])))])
        p = 1 / (1 + np.exp(-o))
    rule = header["rule"]
    if rule["kind"] == "plug_in":
        value = p - rule["lambda"] * np.array(rule["cost"])
    else:
        value = t["policy.weight"] @ x + t["policy.bias"]
    if p is not None:
        c = GRID[0] + sum((GRID[j + 1] - GRID[j]) * (1 - p[j]) for j in range(len(GRID) - 1))
    else:
        e = np.exp(value - value.max())
        c = float((e * GRID).sum() / e.sum())
    return {"k": GRID[int(np.argmax(value))], "p_k": [] if p is None else [float(v) for v in p],
            "complexity": float(c)}


def main():
    rng = np.random.default_rng(3)
    n = len(features(QUESTIONS[0]))
    f32 = lambda *shape: rng.normal(0, 1 / math.sqrt(shape[-1]), shape).astype(np.float32)
    base = {"version": 1, "model_sha256": SHA, "features": FEATURES, "activation": "relu", "k": GRID}
    plug_in = {"kind": "plug_in", "lambda": 0.4, "cost": [0.30, 0.34, 0.44, 0.63]}
    made = {
        "ordinal": ({**base, "p_k": "ordinal", "rule": plug_in},
                    {"feature_mean": f32(n), "feature_scale": np.abs(f32(n)) + np.float32(0.5),
                     "layers.0.weight": f32(16, n), "layers.0.bias": f32(16),
                     "layers.1.weight": f32(12, 16), "layers.1.bias": f32(12),
                     "p_k.weight": 4 * f32(4, 12), "p_k.bias": f32(4)}),
        "free": ({**base, "p_k": "free", "rule": plug_in},
                 {"layers.0.weight": f32(8, n), "layers.0.bias": f32(8),
                  "p_k.weight": 3 * f32(4, 8), "p_k.bias": f32(4)}),
        "logits": ({**base, "rule": {"kind": "logits"}},
                   {"layers.0.weight": f32(8, n), "layers.0.bias": f32(8),
                    "policy.weight": 4 * f32(4, 8), "policy.bias": f32(4)}),
    }
    out = {"questions": QUESTIONS, "features": [features(q).tolist() for q in QUESTIONS], "answers": {}}
    for name, (header, tensors) in made.items():
        write(HERE / f"{name}.safetensors", header, tensors)
        out["answers"][name] = [infer(header, tensors, features(q)) for q in QUESTIONS]
    out["numpy"] = np.__version__
    (HERE / "expected.json").write_text(json.dumps(out, indent=1, ensure_ascii=True) + "\n")


main()
