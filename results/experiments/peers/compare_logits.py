#!/usr/bin/env python3
"""moeval's logits beside transformers' (fp32 on the dequantised weights) and llama.cpp's, at every
position of the prompts of logits_prompts.json; --f32-model (from dequantise_gguf.py) adds llama.cpp
without its rounding of activations, keys and values.

For each pair: share of positions with the same first token, KL divergence (nats), and per prompt the
largest |logit difference| over the largest |logit| of the second. The peers' logits are kept in
--work (some 700 MB), so that another build of moeval is compared in a minute.

  compare_logits.py --model FILE.gguf --work DIR [--moeval PROGRAM] [--out FIGURES.json]
"""
import argparse
import json
import pathlib
import subprocess

import numpy as np

import common


def of_transformers(prompts, a):
    import torch
    model = common.load_model(a.model, a.threads)
    with torch.no_grad():
        for p in prompts:
            yield model(torch.tensor([p["ids"]])).logits[0].numpy()


def of_llama_cpp(prompts, a, path=None, **options):
    import llama_cpp
    model = llama_cpp.Llama(path or a.model, n_ctx=1024, n_batch=1024, n_ubatch=1024,
                            n_threads=a.threads, n_threads_batch=a.threads, logits_all=True,
                            verbose=False, **options)
    for p in prompts:
        model.reset()
        model.eval(p["ids"])
        yield np.array(model.scores[:len(p["ids"])], dtype=np.float32)


def of_llama_cpp_f32(prompts, a):
    """The dequantised file, keys and values kept in fp32."""
    return of_llama_cpp(prompts, a, a.f32_model, type_k=0, type_v=0)


def of_moeval(prompts, a):
    for p in prompts:
        ids = ",".join(map(str, p["ids"]))
        text = subprocess.run([a.moeval, "inspect", "logits", "--model", a.model, "--ids", ids,
                               "--top", "0", *a.moeval_args.split()],
                              check=True, stdout=subprocess.PIPE).stdout
        yield np.array(json.loads(text)["logits"], dtype=np.float32)


def logits_of(name, make, prompts, a, keep):
    path = pathlib.Path(a.work) / f"{name}.npy"
    if keep and path.exists():
        return np.load(path, mmap_mode="r")
    rows = np.concatenate(list(make(prompts, a)))
    np.save(path, rows)
    return rows


def compare(mine, theirs, prompts, k=10):
    starts = np.cumsum([0] + [len(p["ids"]) for p in prompts])
    kl, same, unequal, relative, logprob = [], [], [], [], []
    top_k, logprob_top = [], []
    for i in range(len(prompts)):
        x, y = (np.asarray(z[starts[i]:starts[i + 1]], dtype=np.float64) for z in (mine, theirs))
        p, q = common.log_softmax(x), common.log_softmax(y)
        kl.extend((np.exp(p) * (p - q)).sum(axis=1))
        first, other = x.argmax(axis=1), y.argmax(axis=1)
        same.extend(first == other)
        for position in np.flatnonzero(first != other):
            # how clearly the second one prefers its own choice, in its logits
            gap = y[position, other[position]] - y[position, first[position]]
            unequal.append({"prompt": i, "position": int(position), "first": int(first[position]),
                            "second": int(other[position]), "gap_nats": round(float(gap), 6)})
        relative.append(np.abs(x - y).max() / np.abs(y).max())
        logprob.append(np.abs(p - q).max())
        best = np.argpartition(y, -k, axis=1)[:, -k:]
        logprob_top.append(np.abs(np.take_along_axis(p - q, best, 1)).max())
    kl, relative = np.array(kl), np.array(relative)
    return {"n_prompts": len(prompts), "n_positions": len(kl),
            "same_first": int(sum(same)), "same_first_share": float(np.mean(same)),
            "kl_mean": float(kl.mean()), "kl_median": float(np.median(kl)),
            "kl_p99": float(np.quantile(kl, 0.99)), "kl_max": float(kl.max()),
            "logit_difference_over_largest_max": float(relative.max()),
            "logit_difference_over_largest_median": float(np.median(relative)),
            "worst_prompt": int(relative.argmax()),
            "logprob_difference_max": float(max(logprob)),
            "logprob_difference_of_top_10_max": float(max(logprob_top)),
            "different_first": unequal}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--f32-model")
    p.add_argument("--moeval")
    p.add_argument("--reuse", action="store_true", help="moeval's logits from --work too")
    p.add_argument("--moeval-args", default="", help="more options of inspect logits")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out")
    a = p.parse_args()
    prompts = json.loads(pathlib.Path(__file__).with_name("logits_prompts.json").read_text(
        encoding="utf-8"))["prompts"]
    sides = {"transformers": logits_of("transformers", of_transformers, prompts, a, True),
             "llama_cpp": logits_of("llama_cpp", of_llama_cpp, prompts, a, True)}
    pairs = [("llama_cpp", "transformers")]
    if a.f32_model:
        sides["llama_cpp_f32"] = logits_of("llama_cpp_f32", of_llama_cpp_f32, prompts, a, True)
        pairs.append(("llama_cpp_f32", "transformers"))
    if a.moeval:
        sides["moeval"] = logits_of("moeval", of_moeval, prompts, a, a.reuse)
        pairs = [("moeval", other) for other in sides if other != "moeval"] + pairs
    figures = {"versions": common.versions("torch", "transformers", "llama_cpp_python", "numpy"),
               "model_sha256": common.sha256(a.model), "pairs": {}}
    for first, second in pairs:
        f = compare(sides[first], sides[second], prompts)
        figures["pairs"][f"{first} | {second}"] = f
        print(f"{first} | {second}: "
              f"same first token {f['same_first']}/{f['n_positions']}, KL mean {f['kl_mean']:.3g} "
              f"max {f['kl_max']:.3g}, |logit difference| / largest "
              f"{f['logit_difference_over_largest_max']:.3g} (prompt {f['worst_prompt']}), "
              f"|log-prob difference| {f['logprob_difference_max']:.3g}, "
              f"of the ten likeliest {f['logprob_difference_of_top_10_max']:.3g}")
        gaps = [d["gap_nats"] for d in f["different_first"]]
        if gaps:
            print(f"  {len(gaps)} first tokens differ, gap {min(gaps):.4f} to {max(gaps):.4f} nat")
    if a.out:
        pathlib.Path(a.out).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
