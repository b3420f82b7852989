#!/usr/bin/env python3
"""A stored mmlu_cloze run beside the answers of mmlu_cloze_peer.py: equal choices, every difference
with its margin, largest |log-prob difference|. Fails (1) when fewer than --want of the choices are
equal or a difference is no near tie (--tie, nats between the peer's two options, per the score that
decides: log-probability per character x the characters of the peer's choice).

  compare_mmlu_cloze.py --db moeval.db --peer answers.jsonl --data DIR [--out FIGURES.json]
"""
import argparse
import json
import pathlib
import sqlite3

import numpy as np

import common


def stored(db, run):
    """{id: {choice, correct, logprobs, n_tokens}} of one run, by default the last."""
    c = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    if run is None:
        run = c.execute("SELECT max(run_id) FROM v_attempt WHERE task='mmlu_cloze'").fetchone()[0]
    out = {}
    for attempt, key, status, answer, correct in c.execute(
            "SELECT attempt_id, source_key, status, answer, correct FROM v_attempt "
            "WHERE task='mmlu_cloze' AND run_id=?", (run,)):
        options = c.execute("SELECT logprob_nats, n_tokens FROM attempt_option WHERE attempt_id=? "
                            "ORDER BY option_ix", (attempt,)).fetchall()
        out[key] = {"status": status, "choice": "ABCD".find(answer or "?"), "correct": correct,
                    "logprobs": [o[0] for o in options], "n_tokens": [o[1] for o in options]}
    card = c.execute("SELECT model, weights_sha256, tool_version, git_sha, git_dirty, "
                     "instruction_set FROM v_run_card WHERE run_id=?", (run,)).fetchone()
    return out, card


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--db", required=True)
    p.add_argument("--run", type=int)
    p.add_argument("--peer", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--want", type=float, default=0.99)
    p.add_argument("--tie", type=float, default=0.1)
    p.add_argument("--out")
    a = p.parse_args()
    ours, card = stored(a.db, a.run)
    peer = {r["id"]: r for r in map(json.loads, pathlib.Path(a.peer).read_text().splitlines())}
    rows = common.read_mmlu(a.data)
    only_ours, only_peer = set(ours) - set(peer), set(peer) - set(ours)
    both = [id_ for id_ in peer if id_ in ours]

    equal = equal_tokens = right = right_peer = 0
    differences, largest, list_all, margins = [], 0.0, [], []
    for id_ in both:
        o, q = ours[id_], peer[id_]
        assert o["status"] == "ok" and len(o["logprobs"]) == 4, (id_, o)
        characters = np.array([float(len(c)) for c in rows[id_]["choices"]])
        score = np.array(q["logprobs"]) / characters
        gap = np.abs(np.array(o["logprobs"]) - q["logprobs"])
        list_all.extend(gap)
        equal_tokens += o["n_tokens"] == q["n_tokens"]
        right += o["correct"]
        right_peer += q["choice"] == rows[id_]["gold"]
        margins.append((np.sort(score)[-1] - np.sort(score)[-2]) * characters[q["choice"]])
        if o["choice"] == q["choice"]:
            equal += 1
        else:
            tie = (score[q["choice"]] - score[o["choice"]]) * characters[q["choice"]]
            differences.append({"id": id_, "moeval": "ABCD"[o["choice"]],
                                "peer": "ABCD"[q["choice"]], "gap_nats": round(float(tie), 6),
                                "moeval_logprobs": o["logprobs"], "peer_logprobs": q["logprobs"]})
    figures = {
        "run": dict(zip(("model", "weights_sha256", "tool_version", "git_sha", "git_dirty",
                         "instruction_set"), card)),
        "n": len(both), "only_in_run": len(only_ours), "only_in_peer": len(only_peer),
        "equal_choices": equal, "equal_token_counts": equal_tokens,
        "right": {"moeval": right, "peer": right_peer},
        "logprob_difference": {"max": float(np.max(list_all)), "mean": float(np.mean(list_all)),
                               "p99": float(np.quantile(list_all, 0.99))},
        "smallest_margin_nats": float(np.min(margins)),
        "margins_below_0.1_nat": int(np.sum(np.array(margins) < 0.1)),
        "differences": differences}
    print(json.dumps(figures, indent=1))
    if a.out:
        pathlib.Path(a.out).write_text(json.dumps(figures, indent=1) + "\n")
    fine = both and equal >= a.want * len(both) and all(
        d["gap_nats"] < a.tie for d in differences)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
