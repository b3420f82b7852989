#!/usr/bin/env python3
"""same_answers.py CPU.db GPU.db: are the answers of two runs of one plan the same, attempt by attempt?

Compared: status, the best option, tokens, k and FLOPs. Experts of layers where scores tie to
within rounding may differ; they are counted and printed. Exit code 1: an answer differs.
"""
import sqlite3
import sys

SAME = ("status", "prompt_tokens", "prefix_tokens", "output_tokens", "k_requested", "k_mean",
        "useful_attention_flops", "useful_router_flops", "useful_experts_flops", "useful_head_flops")


def rows(path):
    db = sqlite3.connect(path)
    attempts = {r[0]: r[1:] for r in db.execute(f"SELECT ordinal, {', '.join(SAME)} FROM attempt")}
    experts = dict(db.execute("SELECT a.ordinal, e.tokens FROM attempt_expert e JOIN attempt a USING(attempt_id)"))
    options = {}
    for ordinal, option, logprob in db.execute(
            "SELECT a.ordinal, o.option_ix, o.logprob_nats FROM attempt_option o JOIN attempt a USING(attempt_id)"):
        options.setdefault(ordinal, {})[option] = logprob
    right = dict(db.execute("SELECT a.ordinal, v.correct FROM verdict v JOIN attempt a USING(attempt_id)"))
    return attempts, experts, options, right


def main():
    cpu, cpu_experts, cpu_options, cpu_right = rows(sys.argv[1])
    gpu, gpu_experts, gpu_options, gpu_right = rows(sys.argv[2])
    if not cpu or cpu.keys() != gpu.keys() or cpu_options.keys() != gpu_options.keys():
        print(f"FAIL: {len(cpu)} attempts on the CPU, {len(gpu)} on the GPU")
        return 1
    different = [o for o in cpu if cpu[o] != gpu[o]]
    for o in different[:5]:
        print(f"attempt {o}: " + ", ".join(f"{c} {a} / {b}" for c, a, b in zip(SAME, cpu[o], gpu[o]) if a != b))
    best = {o: (max(p, key=p.get), max(gpu_options[o], key=gpu_options[o].get)) for o, p in cpu_options.items()}
    flipped, ties = [], 0
    for o, (a, b) in best.items():
        if a == b:
            continue
        if cpu_options[o][a] - cpu_options[o][b] <= 1e-6 * abs(cpu_options[o][a]):
            ties += 1  # no side could be right or wrong about it
        else:
            flipped.append(o)
    right = [o for o in cpu if cpu_right.get(o) != gpu_right.get(o) and best.get(o, (0, 0))[0] == best.get(o, (0, 0))[1]]
    for o in flipped[:5]:
        a, b = best[o]
        print(f"attempt {o}: option {a} / {b}, the CPU is {cpu_options[o][a] - cpu_options[o][b]:.2e} nat ahead")
    nats = max((abs(p[i] - gpu_options[o][i]) for o, p in cpu_options.items() for i in p), default=0.0)
    moved = sum(cpu_experts.get(o) != gpu_experts.get(o) for o in cpu)
    bad = bool(different or flipped or right)
    print(f"{'FAIL: ' if bad else ''}{len(cpu)} attempts, {len(flipped)} answers ({ties} more tie on the CPU) and {len(different)} accounts differ, "
          f"options by {nats:.2e} nat at most, experts somewhere in {moved}")
    return 1 if bad else 0


sys.exit(main())
