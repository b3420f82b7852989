#!/usr/bin/env python3
"""Asks lm-eval itself for the prompts that make_prompts.py writes, and compares.

lm-eval 0.4.13 with its own task files builds every context of mmlu (0 and 5 shots),
mmlu_continuation, humaneval(_instruct) and mbpp over the local data; no network. Prints one line a task
and fails when a sum differs from real_prompts.json or a made-up row from prompts.json.

  lmeval_prompts.py DATA_FOLDER
"""
import json
import os
import pathlib
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp()
import lm_eval  # noqa: E402
import yaml  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402

import make_prompts as ours  # noqa: E402

TASKS = pathlib.Path(lm_eval.__file__).parent / "tasks"


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!function", lambda loader, node: None)


def load(path):
    return yaml.load(path.read_text(), Loader)


def make_task(config, splits):
    files = {}
    for name, rows in splits.items():
        files[name] = tempfile.mkstemp(suffix=".jsonl")[1]
        pathlib.Path(files[name]).write_text("".join(json.dumps(r) + "\n" for r in rows))
    config = {k: v for k, v in config.items() if k not in ("include", "tag", "dataset_name")}
    config |= {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    task = ConfigurableTask(config=config)
    task.set_fewshot_seed(0)
    return task, splits["test"]


def mmlu_config(folder, template, file):
    return load(TASKS / "mmlu" / folder / template) | load(TASKS / "mmlu" / folder / file)


def mmlu_prompts(folder, template, subject, dev, test, shots, description=None):
    known = subject if description is None else "anatomy"
    config = mmlu_config(folder, template, f"mmlu_{known}.yaml")
    if description is not None:
        config["description"] = config["description"].replace("anatomy", description)
    task, docs = make_task(config, {"dev": dev, "test": test})
    for doc in docs:
        context = task.fewshot_context(doc, shots)
        requests = task.construct_requests(doc, context, metadata=("", 0, 1))
        yield context, [r.arguments[1] for r in requests]


VARIANTS = {
    "mmlu_lmeval": ("default", "_default_template_yaml", 0),
    "mmlu_lmeval/5": ("default", "_default_template_yaml", 5),
    "mmlu_cloze": ("continuation", "_continuation_template_yaml", 0),
}


def code_task(name, problems):
    config = load(TASKS / "humaneval/humaneval.yaml")
    if name != "humaneval":
        config |= load(TASKS / f"humaneval/{name}.yaml")
    for key in ("filter_list", "metric_list"):
        config.pop(key)
    config.pop("unsafe_code")
    return make_task(config, {"test": problems})


def mbpp_prompts(data):
    """mbpp.yaml with the demonstrations of its utils.py, whose import of evaluate is left out."""
    config = load(TASKS / "mbpp/mbpp.yaml")
    source = (TASKS / "mbpp/utils.py").read_text()
    names = {}
    exec("def list_fewshot_samples" + source.split("def list_fewshot_samples")[1], names)
    for key in ("metric_list", "unsafe_code"):
        config.pop(key, None)
    config["fewshot_config"] = {"sampler": "first_n", "samples": names["list_fewshot_samples"]()}
    task, docs = make_task(config, {"test": ours.read_mbpp(data / "mbpp/mbpp.jsonl")[1]})
    for doc in docs:
        yield task.fewshot_context(doc, 3)


def check(name, same):
    print(f"{name}: {'equal' if same else 'DIFFERENT'}")
    return same


def main(data):
    made = json.loads((ours.HERE / "prompts.json").read_text())
    sums = json.loads((ours.HERE / "real_prompts.json").read_text())["tasks"]
    rows = json.loads((ours.HERE / "rows.json").read_text())["mmlu"]
    fine = True
    for name, (folder, template, shots) in VARIANTS.items():
        got = list(mmlu_prompts(folder, template, rows["subset"], rows["dev"], rows["test"], shots,
                                " ".join(rows["subset"].split("_"))))
        fine &= check(f"{name}, made-up rows",
                      got == [(m["prompt"], m["options"]) for m in made[name]])
        total = ours.Sum()
        for path in sorted((data / "mmlu/test").glob("*_test.csv")):
            subject = path.name[:-len("_test.csv")]
            dev = ours.read_csv(data / f"mmlu/dev/{subject}_dev.csv")
            for context, options in mmlu_prompts(folder, template, subject, dev,
                                                 ours.read_csv(path), shots):
                total.add(context, *options)
        fine &= check(f"{name}, {total.n} official rows", total.value() == sums[name])
    problems = ours.read_jsonl(data / "humaneval/data/HumanEval.jsonl.gz")
    for name in ("humaneval", "humaneval_instruct"):
        task, docs = code_task(name, problems)
        total = ours.Sum()
        for doc in docs:
            if name == "humaneval":
                total.add(task.fewshot_context(doc, 0))
            else:
                total.add(task.doc_to_text(doc), task.doc_to_prefix(doc))
        fine &= check(f"{name}, {total.n} official rows", total.value() == sums[name])
    total = ours.Sum()
    for context in mbpp_prompts(data):
        total.add(context)
    fine &= check(f"mbpp, {total.n} official rows", total.value() == sums["mbpp"])
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
