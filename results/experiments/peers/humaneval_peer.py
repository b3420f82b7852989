#!/usr/bin/env python3
"""Greedy HumanEval completions of a stored moeval run beside a peer's on the same prompts.

--peer transformers: fp32 on the dequantised weights. --peer llama_cpp: the file that --model names
(the original, or the F32 one of dequantise_gguf.py, which then keeps keys and values in fp32).
The peer starts from the task's prompt, takes the likeliest token --max-new-tokens times or up to an
end token, and its text is cut at the task's stops. Per problem: equal or not, and where not, the
first different byte, the peer's token there and how far its likeliest two logits are apart.

  humaneval_peer.py --db moeval.db --data DIR --model FILE.gguf --peer transformers --out F.json
"""
import argparse
import gzip
import json
import pathlib
import sqlite3
import sys

import numpy as np

import common

STOPS = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]  # of both tasks, as in lm-eval
END_TOKENS = {"<|endoftext|>", "<|im_end|>"}


def prompt_of(a, problem):
    """The bare prompt, or lm-eval's instruction in the file's own chat template."""
    if a.task == "humaneval":
        return problem
    fenced = "```python\n" + problem + "\n"
    return common.rendered_chat(
        a.model, "Write a solution to the following problem and make sure that it passes the "
        "tests:\n" + fenced + "```\n", "Here is the completed function:\n" + fenced)


def stored(db, run, task):
    """{task_id: completion} of one run of the task, by default the last."""
    c = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    if run is None:
        run = c.execute("SELECT max(run_id) FROM v_attempt WHERE task=?",
                        (task,)).fetchone()[0]
    card = c.execute("SELECT tool_version, git_sha, git_dirty, instruction_set FROM v_run_card "
                     "WHERE run_id=?", (run,)).fetchone()
    rows = c.execute("SELECT v.source_key, t.body, v.finish_reason, v.output_tokens "
                     "FROM v_attempt v JOIN attempt a USING(attempt_id) "
                     "JOIN text t ON t.text_id = a.output_text_id "
                     "WHERE v.task=? AND v.run_id=? ORDER BY v.ordinal", (task, run))
    as_bytes = lambda body: body.encode() if isinstance(body, str) else bytes(body)
    return {key: (as_bytes(body), reason, n) for key, body, reason, n in rows}, card


def transformers_steps(a):
    import torch
    model = common.load_model(a.model, a.threads)

    def steps(ids):
        past, given = None, ids
        with torch.no_grad():
            while True:
                out = model(torch.tensor([given]), past_key_values=past, use_cache=True,
                            logits_to_keep=1)
                past = out.past_key_values
                given = [(yield out.logits[0, -1].numpy())]
    return steps


def llama_cpp_steps(a):
    import ctypes
    import llama_cpp
    exact = {"type_k": 0, "type_v": 0} if a.exact else {}
    model = llama_cpp.Llama(a.model, n_ctx=2048, n_threads=a.threads, n_threads_batch=a.threads,
                            verbose=False, **exact)

    def steps(ids):
        model.reset()
        given = ids
        while True:
            model.eval(given)
            row = llama_cpp.llama_get_logits_ith(model.ctx, -1)
            row = ctypes.cast(row, ctypes.POINTER(ctypes.c_float * model.n_vocab())).contents
            given = [(yield np.array(row, dtype=np.float32))]
    return steps


def cut(text):
    at = [i for i in (text.find(s.encode()) for s in STOPS) if i >= 0]
    return text[:min(at)] if at else text


def complete(steps, tokenizer, bytes_of, prompt, a):
    """Bytes of each token taken and the gap of the two largest logits at each."""
    ends = {tokenizer.token_to_id(t) for t in END_TOKENS}
    walk = steps(common.encode(tokenizer, prompt))
    logits, pieces, gaps = next(walk), [], []
    for i in range(a.max_new_tokens):
        first = int(logits.argmax())
        two = np.partition(logits, -2)[-2:]
        gaps.append(float(two[1]) - float(two[0]))
        if first in ends:
            pieces.append(b"")
            break
        pieces.append(bytes_of(first))
        if cut(b"".join(pieces)) != b"".join(pieces):
            break
        if i + 1 < a.max_new_tokens:
            logits = walk.send(first)
    return pieces, gaps


def byte_table(tokenizer):
    """Token id -> bytes, by the byte alphabet of GPT-2's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in plain}
    table.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)})
    return lambda id_: bytes(table[c] for c in tokenizer.id_to_token(id_))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--db", required=True)
    p.add_argument("--run", type=int)
    p.add_argument("--task", default="humaneval", choices=["humaneval", "humaneval_instruct"])
    p.add_argument("--data", required=True, type=pathlib.Path)
    p.add_argument("--model", required=True)
    p.add_argument("--peer", required=True, choices=["transformers", "llama_cpp"])
    p.add_argument("--exact", action="store_true", help="llama.cpp: keys and values in fp32")
    p.add_argument("--max-new-tokens", type=int, default=128)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out")
    a = p.parse_args()
    with gzip.open(a.data / "humaneval/data/HumanEval.jsonl.gz", "rt", encoding="utf-8") as f:
        prompts = {r["task_id"]: r["prompt"] for r in map(json.loads, f)}
    ours, card = stored(a.db, a.run, a.task)
    tokenizer = common.load_tokenizer(a.model)
    bytes_of = byte_table(tokenizer)
    steps = (transformers_steps if a.peer == "transformers" else llama_cpp_steps)(a)
    equal, differences, tokens, closest = 0, [], 0, []
    for id_, (text, reason, n_tokens) in ours.items():
        pieces, gaps = complete(steps, tokenizer, bytes_of, prompt_of(a, prompts[id_]), a)
        theirs = cut(b"".join(pieces))
        tokens += len(pieces)
        print(id_, len(pieces), theirs == text, file=sys.stderr, flush=True)
        closest.append(min(gaps))
        if theirs == text:
            equal += 1
            continue
        at = next((i for i, (x, y) in enumerate(zip(text, theirs)) if x != y),
                  min(len(text), len(theirs)))
        ends = np.cumsum([len(piece) for piece in pieces])
        token = min(int(np.searchsorted(ends, at, side="right")), len(gaps) - 1)
        differences.append({"id": id_, "byte": at, "token": token,
                            "gap_nats": round(gaps[token], 5), "finish": reason,
                            "tokens": [n_tokens, len(pieces)],
                            "moeval": text[at:at + 40].decode(errors="replace"),
                            "peer": theirs[at:at + 40].decode(errors="replace")})
    figures = {"versions": common.versions("torch", "transformers", "llama_cpp_python"),
               "run": dict(zip(("tool_version", "git_sha", "git_dirty", "instruction_set"), card)),
               "task": a.task, "peer": a.peer, "model_sha256": common.sha256(a.model), "n": len(ours),
               "max_new_tokens": a.max_new_tokens, "equal": equal, "peer_tokens": tokens,
               "smallest_gap_nats": round(min(closest), 5), "differences": differences}
    print(json.dumps(figures, indent=1))
    if a.out:
        pathlib.Path(a.out).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
