#!/usr/bin/env python3
"""Prompts of the built-in tasks, written a second time from the published protocols.

An implementation that shares nothing with tasks/: csv and string operations of the Python
standard library (made with Python 3.11). It writes prompts.json from the made-up rows in rows.json
and, when a data folder is given, real_prompts.json with SHA-256 sums over the official data.

  make_prompts.py [DATA_FOLDER]     DATA_FOLDER holds mmlu/, humaneval/, humaneval-plus/, mbpp/

Sums: for each sample in order, the prompt and then every option, each followed by a zero byte; for
code the prompt (of MBPP with its demonstrations), for chat the user turn and the prefill.

Protocols: hendrycks/test evaluate.py (4450500), lm-eval 0.4.13 tasks mmlu, mmlu_continuation,
humaneval, humaneval_instruct and mbpp.
"""
import csv
import gzip
import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
LETTERS = "ABCD"


def original_subject(subject):
    out = ""
    for word in subject.split("_"):
        out += " " + word
    return out


def original_example(row, with_answer):
    out = row["question"]
    for i, choice in enumerate(row["choices"]):
        out += "\n" + LETTERS[i] + ". " + choice
    out += "\nAnswer:"
    if with_answer:
        out += " " + LETTERS[row["answer"]] + "\n\n"
    return out


def mmlu(subject, dev, row, shots=5):
    head = ("The following are multiple choice questions (with answers) about "
            + original_subject(subject) + ".\n\n")
    return head + "".join(original_example(d, True) for d in dev[:shots]) + original_example(row, False)


def lmeval(head, text, answer):
    def build(subject, dev, row, shots):
        blocks = [text(d) + " " + answer(d) for d in dev[:shots]] + [text(row)]
        return head.replace("@", " ".join(subject.split("_"))) + "\n\n".join(blocks)
    return build


mmlu_lmeval = lmeval(
    "The following are multiple choice questions (with answers) about @.\n\n",
    lambda r: "\n".join([r["question"].strip()]
                        + [a + ". " + c for a, c in zip(LETTERS, r["choices"])] + ["Answer:"]),
    lambda r: LETTERS[r["answer"]])
mmlu_cloze = lmeval(
    "The following are questions (with answers) about @.\n\n",
    lambda r: "Question: " + r["question"].strip() + "\nAnswer:",
    lambda r: r["choices"][r["answer"]])

LETTER_OPTIONS = lambda row: [" " + a for a in LETTERS]
TEXT_OPTIONS = lambda row: [" " + c for c in row["choices"]]
CHOOSE = {  # name: prompt, options, shots
    "mmlu": (mmlu, LETTER_OPTIONS, 5),
    "mmlu/0": (mmlu, LETTER_OPTIONS, 0),
    "mmlu_lmeval": (mmlu_lmeval, LETTER_OPTIONS, 0),
    "mmlu_lmeval/5": (mmlu_lmeval, LETTER_OPTIONS, 5),
    "mmlu_cloze": (mmlu_cloze, TEXT_OPTIONS, 0),
    "mmlu_cloze/5": (mmlu_cloze, TEXT_OPTIONS, 5),
}


def instruct(problem):
    fenced = "```python\n" + problem["prompt"] + "\n"
    return ("Write a solution to the following problem and make sure that it passes the tests:\n"
            + fenced + "```\n"), "Here is the completed function:\n" + fenced


def mbpp(demonstrations, problem):
    def ask(row):
        tests = "\n".join(row["test_list"])
        return ("You are an expert Python programmer, and here is your task: " + row["text"]
                + " Your code should pass these tests:\n\n" + tests + "\n[BEGIN]\n")
    shown = "".join(ask(d) + d["code"] + "\n[DONE]\n\n" for d in demonstrations)
    return shown + ask(problem)


def read_mbpp(path):
    rows = {}
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            row = json.loads(line)
            rows[row["task_id"]] = row
    return [rows[i] for i in (2, 3, 4)], [rows[i] for i in range(11, 511)]


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as f:
        return [{"question": r[0], "choices": r[1:5], "answer": LETTERS.index(r[5])}
                for r in csv.reader(f)]


def read_jsonl(path):
    with gzip.open(path, "rt", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def made_up():
    rows = json.loads((HERE / "rows.json").read_text())
    subject, dev, test = (rows["mmlu"][k] for k in ("subset", "dev", "test"))
    out = {name: [{"prompt": prompt(subject, dev, row, shots), "options": options(row)}
                  for row in test]
           for name, (prompt, options, shots) in CHOOSE.items()}
    out["humaneval"] = [{"prompt": p["prompt"]} for p in rows["humaneval"]]
    out["humaneval_instruct"] = [dict(zip(("user", "prefill"), instruct(p)))
                                 for p in rows["humaneval"]]
    shown = [r for r in rows["mbpp"] if r["task_id"] in (2, 3, 4)]
    out["mbpp"] = [{"prompt": mbpp(shown, r)} for r in rows["mbpp"] if 10 < r["task_id"] < 511]
    return out


class Sum:
    def __init__(self):
        self.hash, self.n = hashlib.sha256(), 0

    def add(self, *texts):
        self.n += 1
        for text in texts:
            self.hash.update(text.encode() + b"\0")

    def value(self):
        return {"n": self.n, "sha256": self.hash.hexdigest()}


def real(data):
    out = {}
    subjects = sorted(p.name[:-len("_test.csv")] for p in (data / "mmlu/test").glob("*_test.csv"))
    splits = {s: (read_csv(data / f"mmlu/dev/{s}_dev.csv"), read_csv(data / f"mmlu/test/{s}_test.csv"))
              for s in subjects}
    for name, (prompt, options, shots) in CHOOSE.items():
        total = Sum()
        for subject, (dev, test) in splits.items():
            for row in test:
                total.add(prompt(subject, dev, row, shots), *options(row))
        out[name] = total.value()
    for name, file, texts in (
            ("humaneval", "humaneval/data/HumanEval.jsonl.gz", lambda p: [p["prompt"]]),
            ("humaneval_plus", "humaneval-plus/HumanEvalPlus-OriginFmt.jsonl.gz",
             lambda p: [p["prompt"]]),
            ("humaneval_instruct", "humaneval/data/HumanEval.jsonl.gz", instruct)):
        total = Sum()
        for problem in read_jsonl(data / file):
            total.add(*texts(problem))
        out[name] = total.value()
    shown, test = read_mbpp(data / "mbpp/mbpp.jsonl")
    total = Sum()
    for row in test:
        total.add(mbpp(shown, row))
    out["mbpp"] = total.value()
    return out


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    write("prompts.json", made_up())
    if len(sys.argv) > 1:
        write("real_prompts.json", {"tasks": real(pathlib.Path(sys.argv[1]))})
