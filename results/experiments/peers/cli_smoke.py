#!/usr/bin/env python3
"""Two end-to-end checks through moeval's command line, beside independent implementations.

Tokens: `inspect tokens` on 100 lines (logits_prompts.json with special tokens; CMMLU questions and
HumanEval prompts without) beside Hugging Face tokenizers.
Prompts: `task show` of --docs samples spread over the data beside lm-eval's own contexts
(mmlu_lmeval 0 and 5 shots, mmlu_cloze, humaneval, humaneval_instruct) and, for mmlu, the original
protocol restated by tests/tasks/golden/make_prompts.py; prompt and option tokens beside lm-eval's
rule on Hugging Face tokenizers. The chat prompt is rendered by jinja2 from the file's template.

  cli_smoke.py --moeval PROGRAM --model FILE.gguf --data DIR
"""
import argparse
import csv
import json
import pathlib
import subprocess
import sys

import common

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "tests/tasks/golden"


def call(a, *arguments):
    out = subprocess.run([a.moeval, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def lines(data):
    texts = [(p["text"], True) for p in json.loads(pathlib.Path(__file__).with_name(
        "logits_prompts.json").read_text(encoding="utf-8"))["prompts"]]
    files = sorted((data / "cmmlu/test").glob("*.csv"))[:25]
    for file in files:
        with open(file, newline="", encoding="utf-8") as f:
            texts.append((list(csv.reader(f))[1][1], False))
    return texts


def check_tokens(a, tokenizer, data, problems):
    texts = lines(data) + [(p["prompt"], False) for p in problems[:25]]
    bad = total = 0
    for text, special in texts:
        got = call(a, "inspect", "tokens", "--model", a.model, "--text", text,
                   *(["--special"] if special else []))["ids"]
        want = common.encode(tokenizer, text)
        total += len(want)
        if got != want:
            bad += 1
            print(f"tokens differ: {text[:60]!r}: {got[:20]} and {want[:20]}")
    print(f"tokens: {len(texts)} lines, {total} tokens, {bad} lines differ")
    return bad


def rendered_chat(model, user, prefill):
    import gguf
    import jinja2
    template = gguf.GGUFReader(model).fields["tokenizer.chat_template"].contents()
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        messages=[{"role": "user", "content": user}], add_generation_prompt=True) + prefill


def check_prompts(a, tokenizer, data, problems):
    sys.path.insert(0, str(GOLDEN))
    import lmeval_prompts as lm
    import make_prompts as restated
    rows = common.read_mmlu(data)
    ids = list(rows)
    picks = [i * (len(ids) - 1) // (a.docs - 1) for i in range(a.docs)]
    bad = {}

    def check(task, index, id_, context, options, shots=None):
        got = call(a, "task", "show", task, "--doc", index, "--model", a.model, "--data", data,
                   "--format", "json", *([] if shots is None else ["--num-fewshot", shots]))
        name = task if shots is None else f"{task}, {shots} shots"
        fine = got["id"] == id_ and got["prompt"] == context
        if task.startswith("mmlu"):
            fine &= got["options"] == options
            pairs = [common.encode_pair(tokenizer, context, o) for o in options]
            fine &= got["tokens"] == pairs[0][0]
            fine &= got["option_tokens"] == [p[1] for p in pairs]
        else:
            fine &= got["tokens"] == common.encode(tokenizer, context)
        n, n_bad = bad.get(name, (0, 0))
        bad[name] = (n + 1, n_bad + (not fine))
        if not fine:
            print(f"{name}, {id_}: differs\n{got['prompt']!r}\n{context!r}")

    for index in picks:
        id_ = ids[index]
        subject, row = rows[id_]["subject"], int(id_.rsplit("/", 1)[1])
        dev, test = (restated.read_csv(data / f"mmlu/{s}/{subject}_{s}.csv")
                     for s in ("dev", "test"))
        for name, (folder, template, shots) in lm.VARIANTS.items():
            context, options = next(lm.mmlu_prompts(folder, template, subject, dev, [test[row]],
                                                    shots))
            check(name.split("/")[0], index, id_, context, options, shots)
        check("mmlu", index, id_, restated.mmlu(subject, dev, test[row]), [" A", " B", " C", " D"])
    for name in ("humaneval", "humaneval_instruct"):
        task, docs = lm.code_task(name, problems)
        docs = list(docs)
        for i in range(a.docs):
            index = i * (len(docs) - 1) // (a.docs - 1)
            doc = docs[index]
            context = (task.fewshot_context(doc, 0) if name == "humaneval" else
                       rendered_chat(a.model, task.doc_to_text(doc), task.doc_to_prefix(doc)))
            check(name, index, doc["task_id"], context, None)
    for name, (n, n_bad) in bad.items():
        print(f"prompts: {name}: {n} samples, {n_bad} differ (bytes, options, token ids)")
    return sum(n_bad for _, n_bad in bad.values())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--moeval", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True, type=pathlib.Path)
    p.add_argument("--docs", type=int, default=10)
    a = p.parse_args()
    tokenizer = common.load_tokenizer(a.model)
    sys.path.insert(0, str(GOLDEN))
    import make_prompts
    problems = make_prompts.read_jsonl(a.data / "humaneval/data/HumanEval.jsonl.gz")
    bad = check_tokens(a, tokenizer, a.data, problems)
    bad += check_prompts(a, tokenizer, a.data, problems)
    print(common.versions("lm_eval", "tokenizers", "jinja2"))
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
