"""Writes calibration.txt and heldout.txt for the conversion of a dense model.

Usage: python3 make_texts.py DATA OUT
DATA holds mmlu/, mbpp/ and gsm8k/ in their original layouts. Prose comes from the Debian packages
developers-reference (calibration) and debian-policy (held out). No test item of any suite is read:
of MMLU the validation questions with their right answers, of MBPP tasks 601 to 974, of GSM8K the
training split.
"""

import csv
import gzip
import json
import pathlib
import random
import sys

data, out = map(pathlib.Path, sys.argv[1:3])
rng = random.Random(1)


def mmlu():
    for path in sorted((data / "mmlu/val").glob("*_val.csv")):
        subject = path.name.removesuffix("_val.csv").replace("_", " ")
        for question, *choices, letter in csv.reader(path.open(encoding="utf-8", newline="")):
            yield f"Subject: {subject}\nQuestion: {question.strip()}\nAnswer: {choices[ord(letter) - 65]}\n"


def mbpp():
    for line in (data / "mbpp/mbpp.jsonl").read_text().splitlines():
        row = json.loads(line)
        if 601 <= row["task_id"] <= 974:
            yield f"# {row['text']}\n{row['code']}\n".replace("\r\n", "\n")


def gsm8k():
    with gzip.open(data / "gsm8k/train.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            yield f"{row['question']}\n{row['answer']}\n"


def paragraphs(path):
    with gzip.open(path, "rt") as text:
        return [p for p in text.read().split("\n\n") if len(p) > 80]


def take(items, limit):
    """Items drawn in random order up to so many bytes."""
    items = list(items)
    rng.shuffle(items)
    size, chosen = 0, []
    for item in items:
        if size + len(item.encode()) > limit:
            break
        size += len(item.encode())
        chosen.append(item)
    return chosen


docs = pathlib.Path("/usr/share")
parts = {"mmlu val": take(mmlu(), 100_000), "mbpp 601-974": take(mbpp(), 60_000), "gsm8k train": take(gsm8k(), 40_000),
         "developers-reference": take(paragraphs(docs / "developers-reference/developers-reference.txt.gz"), 100_000)}
text = [item for items in parts.values() for item in items]
rng.shuffle(text)
(out / "calibration.txt").write_text("\n".join(text))
held_out = "\n\n".join(paragraphs(docs / "doc/debian-policy/policy.txt.gz"))
(out / "heldout.txt").write_text(held_out)
for name, items in parts.items():
    print(f"{name}: {len(items)} items, {sum(len(i.encode()) for i in items)} bytes")
print(f"held out: {len(held_out.encode())} bytes")
