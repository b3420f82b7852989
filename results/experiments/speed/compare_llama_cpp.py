#!/usr/bin/env python3
"""Speed and peak memory of the engine beside llama.cpp on the same file, in alternation.

python compare_llama_cpp.py MODEL.gguf build/bench/engine_bench [rounds]

Needs llama-cpp-python. Each round measures both once; best and median over the rounds are printed,
as ratios too. The machine should be otherwise idle.
"""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

THREADS = 2
PREFILL, DECODE = 512, 64


def tokens(n, seed):
    state, out = (seed * 2654435761 + 12345) & (2**64 - 1), []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out.append((state >> 33) % 40000 + 100)
    return out


def llama_worker(model):
    import llama_cpp
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    llm = llama_cpp.Llama(model, n_ctx=1024, n_batch=512, n_threads=THREADS,
                          n_threads_batch=THREADS, verbose=False)
    prompt = tokens(PREFILL, 1)
    llm.eval(prompt)  # warm-up
    llm.reset()
    t = time.perf_counter()
    llm.eval(prompt)
    prefill = PREFILL / (time.perf_counter() - t)
    llm.reset()
    t = time.perf_counter()
    llm.eval(tokens(4, 0))
    for i in range(DECODE - 1):
        llm.eval([100 + i])
    decode = DECODE / (time.perf_counter() - t)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"prefill": prefill, "decode": decode, "peak_MB": (peak - base) / 1024,
                      "version": llama_cpp.__version__}))


def run_llama(model):
    out = subprocess.run([sys.executable, __file__, "--worker", model], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def run_ours(model, bench, pattern):
    env = dict(os.environ, MOEVAL_MODEL=model, MOEVAL_THREADS=str(THREADS))
    out = subprocess.run([bench, "--benchmark_format=json", f"--benchmark_filter={pattern}",
                          "--benchmark_min_time=0.3"], check=True, capture_output=True, text=True,
                         env=env).stdout
    return {b["name"].split("/real_time")[0]: b for b in json.loads(out)["benchmarks"]}


def main():
    if sys.argv[1] == "--worker":
        return llama_worker(sys.argv[2])
    model, bench = sys.argv[1], sys.argv[2]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    rows = {}
    note = lambda key, value: rows.setdefault(key, []).append(value)
    for _ in range(rounds):
        ours = run_ours(model, bench, "prefill|decode/1/")
        note("prefill 512, ours", ours["prefill/512"]["tok/s"])
        note("decode 1 stream, ours", ours["decode/1"]["tok/s"])
        note("peak MB, ours", ours["decode/1"]["peak_MB"])
        note("decode 16 streams, ours", run_ours(model, bench, "decode/16")["decode/16"]["tok/s"])
        theirs = run_llama(model)
        note("prefill 512, llama.cpp", theirs["prefill"])
        note("decode 1 stream, llama.cpp", theirs["decode"])
        note("peak MB, llama.cpp (without Python's own)", theirs["peak_MB"])
    for _ in range(2):
        mmlu = run_ours(model, bench, "mmlu_shaped")
        note("MMLU-shaped s, whole prompts", mmlu["mmlu_shaped/reuse:0"]["real_time"] / 1e3)
        note("MMLU-shaped s, prefix reused", mmlu["mmlu_shaped/reuse:1"]["real_time"] / 1e3)
    print(f"llama-cpp-python {theirs['version']}, {THREADS} threads, {rounds} rounds")
    for key, values in rows.items():
        print(f"{key:44s} best {max(values):9.2f}  median {statistics.median(values):9.2f}"
              f"  least {min(values):9.2f}  n {len(values)}")
    best = lambda key: max(rows[key])
    print(f"prefill ours/llama.cpp {best('prefill 512, ours') / best('prefill 512, llama.cpp'):.2f}")
    print("decode ours/llama.cpp "
          f"{best('decode 1 stream, ours') / best('decode 1 stream, llama.cpp'):.2f}")
    print("16 streams / 1 stream "
          f"{best('decode 16 streams, ours') / best('decode 1 stream, ours'):.2f}")
    print("peak memory ours/llama.cpp "
          f"{max(rows['peak MB, ours']) / max(rows['peak MB, llama.cpp (without Python' + chr(39) + 's own)']):.2f}")
    print("MMLU-shaped whole/reused "
          f"{min(rows['MMLU-shaped s, whole prompts']) / min(rows['MMLU-shaped s, prefix reused']):.2f}")


main()
