#!/usr/bin/env python3
"""Reference values for tasks/paired, from SciPy and statsmodels. Writes paired.json.

Clusters are planted by a linear congruential generator, so the file holds only sizes and seeds. The
bootstrap draws are those of C++'s std::mt19937_64; SciPy makes the BCa and percentile intervals from
them and its own jackknife. Versions used are written into the file.
"""
import json
import math
import pathlib
from types import SimpleNamespace

import numpy
import scipy
import statsmodels
from mt19937_64 import mt19937_64
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import DescrStatsW


def tables():
    """(b, c): exact p by SciPy and statsmodels; mid-p = exact p minus the probability of (b, c)."""
    out = []
    for b, c in [(0, 0), (0, 1), (1, 1), (0, 5), (0, 6), (1, 8), (5, 5), (100, 60), (60, 100), (3, 29),
                 (700, 810), (0, 1500), (5000, 5200)]:
        n = b + c
        exact = stats.binomtest(b, n, 0.5).pvalue if n else 1.0
        assert math.isclose(exact, mcnemar([[7, b], [c, 9]], exact=True).pvalue if n else 1.0, rel_tol=1e-9)
        mid = min(1.0, 2 * stats.binom.cdf(min(b, c), n, 0.5) - stats.binom.pmf(min(b, c), n, 0.5)) if n else 1.0
        out.append({"right_to_wrong": b, "wrong_to_right": c, "exact_p": exact, "mid_p": mid})
    return out


def differences():
    """Normal intervals of (c - b) / n: statsmodels' z interval with the population variance."""
    out = []
    for b, c, n in [(100, 60, 14042), (3, 9, 164), (0, 4, 100), (50, 50, 2000), (0, 0, 50)]:
        d = numpy.array([-1.0] * b + [1.0] * c + [0.0] * (n - b - c))
        for level in (0.9, 0.95):
            s = DescrStatsW(d, ddof=0)
            se = s.std / math.sqrt(n)
            assert math.isclose(se, math.sqrt(((b + c) / n - ((c - b) / n) ** 2) / n), rel_tol=1e-9, abs_tol=1e-15)
            z = stats.norm.ppf(0.5 + level / 2)
            out.append({"right_to_wrong": b, "wrong_to_right": c, "n": n, "level": level, "difference": s.mean,
                        "se": se, "lower": s.mean - z * se, "upper": s.mean + z * se})
    return out


def scores():
    """Tango's interval without his closed form: the likelihood of (b, c, n - b - c) under a fixed difference is
    maximised numerically, and the limits are roots of the score statistic."""
    def statistic(b, c, n, d):
        def minus_log_likelihood(q):  # q = P(right to wrong), q + d = P(wrong to right)
            parts = [(b, q), (c, q + d), (n - b - c, 1 - 2 * q - d)]
            return -sum(k * math.log(p) for k, p in parts if k)
        low, high = max(0.0, -d), (1 - d) / 2
        q = optimize.minimize_scalar(minus_log_likelihood, bounds=(low + 1e-14, high - 1e-14), method="bounded",
                                     options={"xatol": 1e-14}).x
        return (c - b - n * d) / math.sqrt(n * (2 * q + d - d * d))
    out = []
    for b, c, n in [(100, 60, 14042), (3, 9, 164), (12, 2, 50), (0, 4, 100), (4, 0, 100), (0, 0, 60), (1, 0, 500)]:
        for level in (0.9, 0.95):
            z, d = stats.norm.ppf(0.5 + level / 2), (c - b) / n
            lower = optimize.brentq(lambda x: statistic(b, c, n, x) - z, d - 0.5, d - 1e-7, xtol=1e-12)
            upper = optimize.brentq(lambda x: statistic(b, c, n, x) + z, d + 1e-7, d + 0.5, xtol=1e-12)
            out.append({"right_to_wrong": b, "wrong_to_right": c, "n": n, "level": level, "lower": lower,
                        "upper": upper})
    return out


def planted(seed, sizes):
    """Differences in quarters; each cluster leans its own way. As in paired_test.cc."""
    def step(x):
        return (1664525 * x + 1013904223) % 2**32
    out = []
    for n in sizes:
        seed = step(seed)
        lean = (seed >> 8) % 7 - 3
        values = []
        for _ in range(n):
            seed = step(seed)
            values.append(((seed >> 8) % 5 - 2 + (1 if lean > 1 else 0)) / 4)
        out.append(values)
    return out


def bootstraps():
    out = []
    for first, sizes, resamples, level in [
            (3, [1 + i % 5 for i in range(40)], 500, 0.9), (4, [1] * 60, 400, 0.95),
            (5, [1 + i * i % 17 for i in range(57)], 300, 0.95), (6, [4, 9, 2, 30, 1, 8], 500, 0.95),
            (7, [3] * 39, 300, 0.9)]:
        clusters = planted(first, sizes)
        sums = numpy.array([sum(v) for v in clusters])
        counts = numpy.array([len(v) for v in clusters], dtype=float)
        c, draws = len(sizes), mt19937_64(11)
        limit = (2**64 - 1) - (2**64 - 1) % c
        means = []
        for _ in range(resamples):
            index = [next(x for x in draws if x < limit) % c for _ in range(c)]
            means.append(sums[index].sum() / counts[index].sum())
        method = "BCa" if c >= 40 else "percentile"
        r = stats.bootstrap((sums, counts), lambda s, n, axis=-1: s.sum(axis=axis) / n.sum(axis=axis), paired=True,
                            vectorized=True, n_resamples=0, confidence_level=level, method=method,
                            bootstrap_result=SimpleNamespace(bootstrap_distribution=numpy.array(means)))
        out.append({"first_seed": first, "sizes": sizes, "seed": 11, "n_resamples": resamples, "level": level,
                    "method": method, "difference": sums.sum() / counts.sum(), "se": float(r.standard_error),
                    "lower": float(r.confidence_interval.low), "upper": float(r.confidence_interval.high)})
    return out


def quantiles():
    return [{"p": p, "z": float(stats.norm.ppf(p))}
            for p in (1e-12, 1e-5, 0.025, 0.05, 0.3, 0.5, 0.8, 0.95, 0.975, 0.999999)]


def powers():
    out = []
    for n, psi, alpha, power in [(14042, 0.05, 0.05, 0.8), (164, 0.2, 0.05, 0.8), (2000, 0.1, 0.01, 0.9)]:
        out.append({"n": n, "psi": psi, "alpha": alpha, "power": power, "detectable":
                    (stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * math.sqrt(psi / n)})
    return out


if __name__ == "__main__":
    value = {"versions": {"scipy": scipy.__version__, "numpy": numpy.__version__,
                          "statsmodels": statsmodels.__version__},
             "mcnemar": tables(), "normal": differences(), "score": scores(),
             "bootstrap": bootstraps(), "quantiles": quantiles(),
             "powers": powers()}
    path = pathlib.Path(__file__).parent / "paired.json"
    path.write_text("{\n" + ",\n".join(
        f' "{k}": ' + (json.dumps(v) if isinstance(v, dict) else
                       "[\n  " + ",\n  ".join(json.dumps(x) for x in v) + "]")
        for k, v in value.items()) + "\n}\n")
