#!/usr/bin/env python3
"""Asks lm-eval itself for the prompts that make_choice_sets.py writes, and compares.

lm-eval 0.4.13 with its own task files: cmmlu; mmlu and mmlu_continuation over the rows of
MMLU-Redux; mmlu_continuation over those of MMLU-Pro, whose lettered form is the text of
leaderboard_mmlu_pro behind the header of mmlu and with the question stripped (there is no such task
in lm-eval). With --subjects it writes cmmlu_subjects.json, the names in the headers of cmmlu.

  lmeval_choice_sets.py DATA_FOLDER | --subjects
"""
import itertools
import json
import pathlib
import re
import sys

import lmeval_prompts as lmeval
import make_choice_sets as sets
import make_prompts as ours

CMMLU = lmeval.TASKS / "cmmlu"


def contexts(config, dev, test, shots):
    task, docs = lmeval.make_task(config, {"dev": dev, "test": test} if dev else {"test": test})
    for doc in docs:
        context = task.fewshot_context(doc, shots)
        requests = task.construct_requests(doc, context, metadata=("", 0, 1))
        yield context, [r.arguments[1] for r in requests]


def cmmlu(subject, dev, test):
    def row(r):
        return dict(zip("ABCD", r["choices"]),
                    Question=r["question"], Answer=sets.LETTERS[r["answer"]])
    config = lmeval.load(CMMLU / "_default_template_yaml") | lmeval.load(
        CMMLU / f"cmmlu_{subject}.yaml")
    config.pop("metric_list")
    return contexts(config, [row(r) for r in dev], [row(r) for r in test], 5)


def mmlu(folder, template):
    def build(subject, dev, test):
        config = lmeval.mmlu_config(folder, template, "mmlu_anatomy.yaml")
        config["description"] = config["description"].replace("anatomy", subject.replace("_", " "))
        config.pop("fewshot_split"), config.pop("fewshot_config")
        return contexts(config, [], test, 0)
    return build


def pro(subject, dev, test):
    names = {}
    exec((lmeval.TASKS / "leaderboard/mmlu_pro/utils.py").read_text(), names)
    head = lmeval.mmlu_config("default", "_default_template_yaml", "mmlu_anatomy.yaml")[
        "description"].replace("anatomy", subject.replace("_", " "))
    for r in test:
        doc = {"question": r["question"].strip(), "options": r["choices"]}
        yield (head + names["doc_to_text"](doc),
               [" " + a for a in names["doc_to_choice"](doc)])


CLOZE = mmlu("continuation", "_continuation_template_yaml")
BUILD = {"cmmlu": cmmlu, "mmlu_pro": pro, "mmlu_pro_cloze": CLOZE,
         "mmlu_redux": mmlu("default", "_default_template_yaml"), "mmlu_redux_cloze": CLOZE}


def grouped(splits):
    """MMLU-Pro comes row by row: one lm-eval task for each run of a category, in the same order."""
    for subject, run in itertools.groupby(splits, key=lambda split: split[0]):
        run = list(run)
        yield subject, run[0][1], [row for _, _, test in run for row in test]


def write_subjects():
    names = {}
    for path in sorted(CMMLU.glob("cmmlu_*.yaml")):
        config = lmeval.load(path)
        names[config["dataset_name"]] = re.fullmatch("以下是关于(.+)的单项选择题，.*\n\n",
                                                     config["description"])[1]
    sets.SUBJECTS.write_text(json.dumps(names, indent=1, ensure_ascii=False) + "\n")


def main(data):
    want = json.loads((sets.HERE / "choice_sets.json").read_text())
    rows = json.loads((sets.HERE / "choice_sets_rows.json").read_text())
    fine = True
    for name, (of, _, _) in sets.TASKS.items():
        got = list(BUILD[name](rows[of]["subset"], rows[of].get("dev", []), rows[of]["test"]))
        fine &= lmeval.check(f"{name}, made-up rows",
                             got == [(m["prompt"], m["options"]) for m in want["prompts"][name]])
        total = ours.Sum()
        for subject, dev, test in grouped(sets.READERS[of](data)):
            for context, options in BUILD[name](subject, dev, test):
                total.add(context, *options)
        fine &= lmeval.check(f"{name}, {total.n} official rows", total.value() == want["tasks"][name])
    return 0 if fine else 1


if __name__ == "__main__":
    if sys.argv[1] == "--subjects":
        sys.exit(write_subjects())
    sys.exit(main(pathlib.Path(sys.argv[1])))
