#!/usr/bin/env python3
"""Speed and peak memory of llama.cpp on a file, alternating with another program's command line.

Each round runs llama.cpp in a fresh process (--n-prompt tokens in one batch, then --n-new single
tokens, their ids from a fixed seed) and then, when given, the other command; so a change of the
machine's state meets both. Peak memory is the child's own high-water mark of resident pages
(wait4); python_rss_bytes is what Python and its modules held before the model was opened. Refuses to start at a load above --max-load.

The other command's speeds are read from its output with --prefill-regex and --decode-regex, first
group = tokens per second; without them only its wall time and peak memory are recorded.

  llama_cpp_speed.py --model FILE.gguf --rounds 8 --threads 2 \\
      --command 'python3 moeval_speed.py --moeval build/release/moeval --model FILE.gguf' \\
      --prefill-regex 'prefill ([0-9.]+)' --decode-regex 'decode ([0-9.]+)' --out F.json
"""
import argparse
import json
import os
import pathlib
import platform
import re
import resource
import shlex
import statistics
import subprocess
import sys
import time

import common


def child(a):
    """One measurement of llama.cpp in this process; prints one JSON line."""
    import llama_cpp
    import numpy as np
    python_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # the default f16 keys and values; one logits row, as generation needs
    model = llama_cpp.Llama(a.model, n_ctx=a.n_prompt + a.n_new, n_batch=a.n_prompt,
                            n_ubatch=a.n_prompt, n_threads=a.threads, n_threads_batch=a.threads,
                            verbose=False)
    ids = np.random.default_rng(1).integers(100, model.n_vocab(), a.n_prompt + a.n_new).tolist()
    model.eval(ids[:8])  # touches the weights once, so that no page fault is timed
    model.reset()
    model._ctx.kv_cache_clear()
    began = time.perf_counter()
    model.eval(ids[:a.n_prompt])
    middle = time.perf_counter()
    for id_ in ids[a.n_prompt:]:
        model.eval([id_])
    ended = time.perf_counter()
    print(json.dumps({"prefill_tokens_per_s": a.n_prompt / (middle - began),
                      "decode_tokens_per_s": a.n_new / (ended - middle),
                      "python_rss_bytes": python_bytes}))


def measured(command):
    """Runs a command: (its output, wall seconds, peak resident bytes)."""
    read, write = os.pipe()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as f:
        text = f.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}: exit code {process.returncode}\n{text}")
    return text, time.perf_counter() - began, usage.ru_maxrss * 1024


def summary(values):
    return {"max": max(values), "median": statistics.median(values), "min": min(values),
            "n": len(values)}


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--n-prompt", type=int, default=512)
    p.add_argument("--n-new", type=int, default=128)
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--command", help="another program, run after llama.cpp in each round")
    p.add_argument("--prefill-regex")
    p.add_argument("--decode-regex")
    p.add_argument("--max-load", type=float, default=0.5)
    p.add_argument("--out")
    p.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child:
        return child(a)
    load = os.getloadavg()[0]
    if load > a.max_load:
        raise SystemExit(f"load {load:.2f} is above --max-load {a.max_load}: nothing was measured")

    own = [sys.executable, __file__, "--child", "--model", a.model, "--threads", str(a.threads),
           "--n-prompt", str(a.n_prompt), "--n-new", str(a.n_new)]
    sides = {"llama_cpp": [], "command": []}
    for i in range(a.rounds):
        text, wall_s, peak = measured(own)
        sides["llama_cpp"].append(json.loads(text.splitlines()[-1])
                                  | {"wall_s": wall_s, "peak_rss_bytes": peak})
        if a.command:
            text, wall_s, peak = measured(shlex.split(a.command))
            row = {"wall_s": wall_s, "peak_rss_bytes": peak}
            for name, regex in (("prefill_tokens_per_s", a.prefill_regex),
                                ("decode_tokens_per_s", a.decode_regex)):
                if regex:
                    found = re.search(regex, text)
                    if not found:
                        raise SystemExit(f"{regex!r} is not in the output of {a.command}:\n{text}")
                    row[name] = float(found.group(1))
            sides["command"].append(row)
        print(f"round {i + 1}: " + "; ".join(
            f"{side} " + " ".join(f"{k}={v:.4g}" for k, v in rows[-1].items())
            for side, rows in sides.items() if rows), flush=True)

    figures = {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": a.threads, "load_before": load,
               "n_prompt": a.n_prompt, "n_new": a.n_new, "command": a.command,
               "model_sha256": common.sha256(a.model),
               "versions": common.versions("llama_cpp_python"), "sides": {}}
    for side, rows in sides.items():
        if rows:
            figures["sides"][side] = {k: summary([r[k] for r in rows]) for k in rows[0]}
    print(json.dumps(figures, indent=1))
    if a.out:
        pathlib.Path(a.out).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
