#!/usr/bin/env python3
"""Prompts of cmmlu, mmlu_pro and mmlu_redux, written a second time as make_prompts.py does it.

Shares nothing with tasks/ and datasets/ (made with Python 3.11): csv, json and ast.literal_eval
read the data. From the made-up rows of choice_sets_rows.json and, when a data folder is given, the
official files it writes choice_sets.json; of the latter SHA-256 sums only.

  make_choice_sets.py [DATA_FOLDER]     DATA_FOLDER holds cmmlu/, mmlu-pro/, mmlu-redux/

Protocols: lm-eval 0.4.13 cmmlu; and of its mmlu and mmlu_continuation the texts around the
question, with as many letters as there are options.
"""
import ast
import csv
import io
import json
import pathlib
import sys

import make_prompts as ours

HERE = pathlib.Path(__file__).parent
LETTERS = "ABCDEFGHIJ"
# Chinese names of the subjects, taken out of lm-eval by lmeval_choice_sets.py.
SUBJECTS = HERE / "cmmlu_subjects.json"


def lettered(row, ending):
    return "\n".join([row["question"].strip()]
                     + [a + ". " + c for a, c in zip(LETTERS, row["choices"])] + [ending])


def letters(row):
    return [" " + a for a in LETTERS[:len(row["choices"])]]


def cmmlu(subject, dev, row):
    name = json.loads(SUBJECTS.read_text())[subject]
    head = "以下是关于" + name + "的单项选择题，请直接给出正确答案的选项。\n\n"
    shown = [lettered(d, "答案：") + " " + LETTERS[d["answer"]] for d in dev[:5]]
    return head + "\n\n".join(shown + [lettered(row, "答案：")])


def english(subject, dev, row):
    return ("The following are multiple choice questions (with answers) about "
            + subject.replace("_", " ") + ".\n\n" + lettered(row, "Answer:"))


def cloze(subject, dev, row):
    return ours.mmlu_cloze(subject, [], row, 0)


TASKS = {  # name: rows, prompt, options
    "cmmlu": ("cmmlu", cmmlu, letters),
    "mmlu_pro": ("mmlu_pro", english, letters),
    "mmlu_pro_cloze": ("mmlu_pro", cloze, ours.TEXT_OPTIONS),
    "mmlu_redux": ("mmlu_redux", english, letters),
    "mmlu_redux_cloze": ("mmlu_redux", cloze, ours.TEXT_OPTIONS),
}


def read_cmmlu(data):
    """Subject, dev rows and test rows, by subject."""
    def read(path):
        with open(path, newline="", encoding="utf-8") as f:
            return [{"question": r["Question"], "choices": [r[a] for a in "ABCD"],
                     "answer": LETTERS.index(r["Answer"])} for r in csv.DictReader(f)]
    for path in sorted((data / "cmmlu/test").glob("*.csv"), key=lambda p: p.stem):
        yield path.stem, read(data / "cmmlu/dev" / path.name), read(path)


def read_pro(data):
    for r in ours.read_jsonl(data / "mmlu-pro/test.jsonl.gz"):
        row = {"question": r["question"], "choices": r["options"],
               "answer": LETTERS.index(r["answer"])}
        yield r["category"].replace(" ", "_"), [], [row]


def read_redux(data):
    for path in sorted((data / "mmlu-redux/mmlu_redux").glob("mmlu_*.csv"), key=lambda p: p.stem):
        raw = path.read_bytes()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("mac_roman")
        delimiter = "," if "," in text.split("\n")[0] else ";"
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        yield path.stem[len("mmlu_"):], [], [
            {"question": r["question"], "choices": ast.literal_eval(r["choices"]),
             "answer": int(r["answer"])}
            for r in rows if r["error_type"].strip().lower() == "ok"]


READERS = {"cmmlu": read_cmmlu, "mmlu_pro": read_pro, "mmlu_redux": read_redux}


def made_up():
    rows = json.loads((HERE / "choice_sets_rows.json").read_text())
    return {name: [{"prompt": prompt(rows[of]["subset"], rows[of].get("dev", []), row),
                    "options": options(row)} for row in rows[of]["test"]]
            for name, (of, prompt, options) in TASKS.items()}


def real(data):
    out = {}
    for name, (of, prompt, options) in TASKS.items():
        total = ours.Sum()
        for subject, dev, test in READERS[of](data):
            for row in test:
                total.add(prompt(subject, dev, row), *options(row))
        out[name] = total.value()
    return out


if __name__ == "__main__":
    value = {"prompts": made_up()}
    if len(sys.argv) > 1:
        value["tasks"] = real(pathlib.Path(sys.argv[1]))
    (HERE / "choice_sets.json").write_text(
        json.dumps(value, indent=1, ensure_ascii=False) + "\n")
