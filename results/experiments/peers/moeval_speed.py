#!/usr/bin/env python3
"""One query at a time through `moeval run`, its speeds from the rows it stores: for alternation with
llama_cpp_speed.py.

Prefill: MMLU 5-shot prompts without prefix reuse, all prompt tokens over all prefill time; decode:
humaneval_instruct, tokens after the first over decode time. Prints
`prefill P tokens/s (mean length), decode D tokens/s (n tokens)`. Needs only Python itself.

  moeval_speed.py --moeval PROGRAM --model FILE.gguf [--data DIR] [--threads 2]
"""
import argparse
import sqlite3
import subprocess
import tempfile


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--moeval", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--data", default="embedded")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--samples", type=int, default=4)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = folder + "/speed.db"
        common = [a.moeval, "run", "--model", a.model, "--data", a.data, "--db", db, "--scenario",
                  "single", "--threads", str(a.threads), "--sample", str(a.samples), "--seed", "1"]
        for more in (["--tasks", "mmlu", "--no-prefix-reuse"],
                     ["--tasks", "humaneval_instruct", "--max-new-tokens", "128"]):
            subprocess.run(common + more, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        c = sqlite3.connect(db)
        tokens, us, n = c.execute("SELECT SUM(prompt_tokens), SUM(prefill_us), COUNT(*) "
                                  "FROM v_attempt WHERE task='mmlu'").fetchone()
        new, decode_us = c.execute("SELECT SUM(output_tokens - 1), SUM(decode_us) FROM v_attempt "
                                   "WHERE task='humaneval_instruct'").fetchone()
        c.close()
    print(f"prefill {1e6 * tokens / us:.1f} tokens/s ({tokens / n:.0f}), "
          f"decode {1e6 * new / decode_us:.1f} tokens/s ({new} tokens)")


if __name__ == "__main__":
    main()
