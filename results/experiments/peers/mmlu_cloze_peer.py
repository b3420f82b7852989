#!/usr/bin/env python3
"""mmlu_cloze answered by transformers in fp32: one JSON line {id, choice, choice_plain, logprobs,
n_tokens} a question.

The ids come from a moeval database (--db, its last complete mmlu_cloze run or --run), from a file
(--ids) or are drawn here by moeval's published rule (--sample N --seed S). A file that exists is
continued. `choice` maximises log-probability per character of the option (lm-eval's acc_norm),
`choice_plain` the log-probability itself (acc); the first option wins a tie.

  mmlu_cloze_peer.py --model FILE.gguf --data DIR --sample 500 --seed 1 --out answers.jsonl
"""
import argparse
import copy
import json
import pathlib
import sqlite3
import sys
import time

import numpy as np

import common


def ids_of_run(db, run):
    c = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    if run is None:
        run = c.execute("SELECT max(run_id) FROM v_attempt WHERE task='mmlu_cloze'").fetchone()[0]
    return [r[0] for r in c.execute(
        "SELECT DISTINCT source_key FROM v_attempt WHERE task='mmlu_cloze' AND run_id=? "
        "ORDER BY ordinal", (run,))]


def option_logprobs(model, tokenizer, context, continuations, max_tokens):
    import torch
    logprobs, lengths, start = [], [], None
    for continuation in continuations:
        prompt, option = common.encode_pair(tokenizer, context, continuation)
        assert prompt and option and len(prompt) + len(option) - 1 <= max_tokens
        if start is None:  # the context's forward is shared: it is the same for every option
            out = model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
            start = (out.logits[0].numpy(), out.past_key_values)
        rows = start[0]
        if len(option) > 1:
            out = model(torch.tensor([option[:-1]]), past_key_values=copy.deepcopy(start[1]),
                        use_cache=True)
            rows = np.concatenate([rows, out.logits[0].numpy()])
        logprobs.append(float(sum(common.log_softmax(rows)[range(len(option)), option])))
        lengths.append(len(option))
    return logprobs, lengths


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--sample", type=int)
    source.add_argument("--ids")
    source.add_argument("--db")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--run", type=int)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()

    rows = common.read_mmlu(a.data)
    if a.sample:
        ids = common.draw(list(rows), a.sample, a.seed)
    elif a.ids:
        ids = pathlib.Path(a.ids).read_text().split()
    else:
        ids = ids_of_run(a.db, a.run)
    out_path = pathlib.Path(a.out)
    done = set()
    if out_path.exists():
        done = {json.loads(line)["id"] for line in out_path.read_text().splitlines()}
    print(f"{len(rows)} rows, {len(ids)} asked, {len(done)} already answered", file=sys.stderr)

    import torch
    model, tokenizer = common.load_model(a.model, a.threads), common.load_tokenizer(a.model)
    print(common.versions("torch", "transformers", "tokenizers", "gguf"),
          common.sha256(a.model), file=sys.stderr)
    right = right_plain = n = 0
    begin = time.monotonic()
    with open(out_path, "a") as out, torch.no_grad():
        for id_ in ids:
            if id_ in done:
                continue
            row = rows[id_]
            context, continuations = common.cloze_prompt(row)
            logprobs, lengths = option_logprobs(model, tokenizer, context, continuations,
                                                model.config.max_position_embeddings)
            characters = np.array([float(len(c)) for c in row["choices"]])
            choice = int(np.argmax(np.array(logprobs) / characters))
            plain = int(np.argmax(logprobs))
            out.write(json.dumps({
                "id": id_, "gold": row["gold"], "choice": choice, "choice_plain": plain,
                "logprobs": [round(x, 6) for x in logprobs], "n_tokens": lengths}) + "\n")
            out.flush()
            n += 1
            right += choice == row["gold"]
            right_plain += plain == row["gold"]
            if n % 20 == 0:
                took = time.monotonic() - begin
                print(f"{n} in {took:.0f} s; acc_norm {right / n:.4f}, acc {right_plain / n:.4f}",
                      file=sys.stderr, flush=True)
    print(f"{n} answered; acc_norm {right}/{n}, acc {right_plain}/{n}", file=sys.stderr)


if __name__ == "__main__":
    main()
