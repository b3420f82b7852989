"""Reads exported files back with lm-eval's own code. Usage: lm_eval_readback.py FOLDER
(FOLDER holds <model>/results_*.json and samples_*.jsonl). Needs lm_eval and datasets."""
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import lm_eval.loggers.evaluation_tracker as tracker_module
from datasets import load_dataset
from lm_eval.result_schema import EvalResults
from lm_eval.utils import (get_file_task_name, get_latest_filename, get_results_filenames,
                           get_sample_results_filenames, hash_string, make_table)

root = Path(sys.argv[1]).resolve()
files = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
results_files = get_results_filenames(["/" + f for f in files])
sample_files = get_sample_results_filenames(["/" + f for f in files])
assert results_files and sample_files, files
results = json.loads((root / get_latest_filename(results_files)[1:]).read_text())
print("versions: lm_eval", version("lm_eval"), "datasets", version("datasets"))

unknown = set(results) - set(EvalResults.__annotations__) - {"moeval"}
assert not unknown, unknown
absent = set(EvalResults.__annotations__) - set(results) - {"samples"}
assert not absent - {"groups"}, absent
print("keys: all of EvalResults, and `moeval`")
print(make_table(results))
if "groups" in results:
    print(make_table(results, "groups"))

for f in sample_files:
    task = get_file_task_name(Path(f).name)
    rows = load_dataset("json", data_files=str(root / f[1:]), split="train")
    lines = [json.loads(line) for line in (root / f[1:]).read_text().split("\n") if line]
    assert len(rows) == len(lines) == results["n-samples"][task]["effective"], task
    joined = ""
    for line in lines:
        doc = json.dumps(line["doc"], indent=2, ensure_ascii=False)
        assert line["doc_hash"] == hash_string(doc), task
        assert line["prompt_hash"] == hash_string(line["arguments"]["gen_args_0"]["arg_0"]), task
        assert line["target_hash"] == hash_string(line["target"]), task
        joined += line["doc_hash"] + line["prompt_hash"] + line["target_hash"]
    assert results["task_hashes"][task] == hashlib.sha256(joined.encode()).hexdigest(), task
    metric = lines[0]["metrics"][0]
    mean = sum(line[metric] for line in lines) / len(lines)
    print(f"{task}: {len(rows)} rows through datasets, hashes as lm-eval's, {metric} {mean:.4f}")


class LocalFiles:
    """Stands for the Hugging Face API: the tracker's card is made from local files."""

    def list_repo_files(self, repo_id, repo_type):
        return files


import huggingface_hub

huggingface_hub.hf_hub_url = lambda repo_id, filename, repo_type: str(root / filename)
pushed = []
huggingface_hub.DatasetCard.push_to_hub = lambda card, *a, **k: pushed.append(card)
tracker = tracker_module.EvaluationTracker(output_path=str(root))
tracker.api = LocalFiles()
tracker.recreate_metadata_card()
assert len(pushed) == 1
print("recreate_metadata_card: made from the files,", len(str(pushed[0])), "characters")
