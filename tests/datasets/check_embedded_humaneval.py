"""Holds the embedded code suite against plain Python: every reference solution passes its tests and
the docstring's own examples, and every wrong solution of golden/embedded_wrong_completions.jsonl
fails. Usage: check_embedded_humaneval.py HumanEval.jsonl embedded_wrong_completions.jsonl"""
import doctest
import json
import sys


def read(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def passes(problem, completion):
    space = {"__name__": "program"}
    try:
        exec(problem["prompt"] + completion + "\n" + problem["test"], space)
        space["check"](space[problem["entry_point"]])
    except Exception:
        return False
    return True


def doctest_failures(problem):
    space = {"__name__": "program"}
    exec(problem["prompt"] + problem["canonical_solution"], space)
    runner = doctest.DocTestRunner(verbose=False)
    tests = doctest.DocTestFinder().find(space[problem["entry_point"]], problem["entry_point"],
                                         module=False, globs=space)
    examples = sum(len(t.examples) for t in tests)
    return sum(runner.run(t).failed for t in tests) if examples else 1


def main():
    problems = {p["task_id"]: p for p in read(sys.argv[1])}
    wrong = read(sys.argv[2])
    bad = [f"{i}: the reference fails" for i, p in problems.items()
           if not passes(p, p["canonical_solution"])]
    bad += [f"{i}: an example of the docstring fails" for i, p in problems.items()
            if doctest_failures(p)]
    bad += [f"{w['task_id']}: a wrong solution passes" for w in wrong
            if passes(problems[w["task_id"]], w["completion"])]
    bad += [f"{i}: no wrong solution" for i in problems.keys() - {w["task_id"] for w in wrong}]
    for line in bad:
        print(line)
    print(f"{len(problems)} references, {len(wrong)} wrong solutions, {len(bad)} findings")
    return 1 if bad or not problems else 0


if __name__ == "__main__":
    sys.exit(main())
