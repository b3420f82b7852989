#!/usr/bin/env python3
"""Reference values for tasks/metrics and tasks/percentile, from SciPy, NumPy and lm-eval.

Writes statistics.json. The scores are planted by a linear congruential generator so that the file
holds only sizes and seeds. Versions used are written into the file.
"""
import itertools
import json
import math
import pathlib

import numpy
import scipy
from lm_eval.api.metrics import pooled_sample_stderr
from mt19937_64 import mt19937_64
from scipy import stats


def scores(seed, n, percent):
    """The first n draws below `percent` as 0/1: x <- 1664525 x + 1013904223 mod 2^32."""
    out = []
    for _ in range(n):
        seed = (1664525 * seed + 1013904223) % 2**32
        out.append(1.0 if (seed >> 8) % 100 < percent else 0.0)
    return out


def wilson():
    out = []
    for k, n in [(0, 20), (20, 20), (1, 164), (33, 164), (82, 164), (3510, 14042), (9000, 14042), (1, 1)]:
        ci = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        out.append({"k": k, "n": n, "lower": ci.low, "upper": ci.high})
    return out


def groups():
    out = []
    for sizes, percents in [([100, 135, 152], [25, 40, 70]), ([5, 5, 5, 200], [0, 100, 50, 50]),
                            ([7, 2], [60, 60])]:
        values = [scores(17 + i, n, p) for i, (n, p) in enumerate(zip(sizes, percents))]
        everything = numpy.concatenate(values)
        centre = everything.mean()
        # Textbook form: variances plus all covariance terms within a cluster.
        total = sum((a - centre) * (b - centre) for g in values for a, b in itertools.product(g, g))
        c = len(values)
        out.append({
            "sizes": sizes, "percents": percents, "first_seed": 17,
            "micro": centre, "macro": float(numpy.mean([numpy.mean(g) for g in values])),
            "se": float(stats.sem(everything)),
            "pooled": pooled_sample_stderr([stats.sem(g) for g in values], sizes),
            "clustered": math.sqrt(c / (c - 1) * total) / len(everything),
        })
    return out


def ranks():
    out = []
    for p in (0.5, 0.9, 0.95, 0.99, 0.999):
        for n in (1, 5, 6, 35, 36, 71, 72, 164, 367, 368, 1640, 2000, 3687, 3688, 14042, 72000):
            x = numpy.arange(0, n + 1)
            below = numpy.flatnonzero(stats.binom.cdf(x, n, p) <= 0.025)   # P(X <= x) small
            above = numpy.flatnonzero(stats.binom.sf(x - 1, n, p) <= 0.025)  # P(X >= x) small
            out.append({"p": p, "n": n, "lower": int(below[-1]) + 1 if len(below) else None,
                        "upper": int(above[0]) if len(above) and above[0] >= 1 else None})
    return out


def claims():
    out = []
    for p in (0.9, 0.95, 0.99, 0.999):
        for t in (0, 1, 2, 10):
            n = t + 1
            while stats.binom.cdf(t, n, 1 - p) > 0.01:
                n += 1
            out.append({"p": p, "n_over": t, "n": n})
    return out


def bootstrap(seed=20240517, n=10, n_resamples=40):
    draws = mt19937_64(seed)
    limit = (2**64 - 1) - (2**64 - 1) % n
    means = sorted(sum(next(x for x in draws if x < limit) % n for _ in range(n)) / n
                   for _ in range(n_resamples))
    tail = n_resamples * 25 // 1000
    return [{"seed": seed, "n": n, "n_resamples": n_resamples, "lower": means[tail],
             "upper": means[-1 - tail], "se": float(numpy.std(means, ddof=1))}]


if __name__ == "__main__":
    value = {"versions": {"scipy": scipy.__version__, "numpy": numpy.__version__, "lm_eval": "0.4.13"},
             "wilson": wilson(), "groups": groups(), "ranks": ranks(), "claims": claims(), "bootstrap": bootstrap()}
    path = pathlib.Path(__file__).parent / "statistics.json"
    path.write_text("{\n" + ",\n".join(
        f' "{k}": ' + (json.dumps(v) if isinstance(v, dict) else
                       "[\n  " + ",\n  ".join(json.dumps(x) for x in v) + "]")
        for k, v in value.items()) + "\n}\n")
