#!/usr/bin/env python3
"""Reference values for tasks/{ranks,calibration,multiple_tests,bootstrap}, from SciPy, scikit-learn and statsmodels.
Writes audit_statistics.json; the versions used are written into it.

Values are planted by a linear congruential generator, so the file holds only sizes and seeds. The equal-mass bins of
the calibration error are NumPy's here; scikit-learn's calibration_curve agrees where the bins divide n.
"""
import json
import pathlib

import numpy
import scipy
import sklearn
import statsmodels
from mt19937_64 import mt19937_64
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score
from statsmodels.stats.multitest import multipletests


def planted(seed, n, levels):
    out = []
    for _ in range(n):
        seed = (1664525 * seed + 1013904223) % 2**32
        out.append((seed >> 8) % levels / levels)
    return numpy.array(out)


def ranks():
    out = []
    for n, levels, seed in [(2, 1000, 3), (10, 4, 1), (57, 6, 2), (400, 17, 3), (1000, 100000, 4), (1000, 2, 5)]:
        x = planted(seed, n, levels)
        y = (planted(seed + 100, n, levels) + x) / 2
        label = planted(seed + 200, n, 1000) + x > 1
        row = {"n": n, "levels": levels, "seed": seed, "spearman": stats.spearmanr(x, y).statistic,
               "kendall": stats.kendalltau(x, y, variant="b").statistic}
        if 0 < label.sum() < n:
            row["auroc"] = roc_auc_score(label, y)
        out.append(row)
    return out


def calibration():
    out = []
    for n, seed in [(30, 1), (150, 2), (1005, 3)]:
        p = planted(seed, n, 1 << 24)
        assert len(set(p)) == n
        y = (planted(seed + 50, n, 1 << 24) < p**1.5).astype(float)
        order = numpy.argsort(p)
        # Sizes that differ by one at most; the first boundary at ceil(n / bins).
        edges = [-(-n * b // 15) for b in range(16)]
        parts = [order[a:b] for a, b in zip(edges, edges[1:])]
        ece = sum(len(i) / n * abs(p[i].mean() - y[i].mean()) for i in parts)
        if n % 15 == 0:
            happened, stated = calibration_curve(y, p, n_bins=15, strategy="quantile")
            assert numpy.allclose(stated, [p[i].mean() for i in parts], atol=1e-12), n
            assert numpy.allclose(happened, [y[i].mean() for i in parts], atol=1e-12), n
        out.append({"n": n, "seed": seed, "brier": brier_score_loss(y, p), "ece": ece})
    return out


def multiple():
    out = []
    for n, seed in [(1, 1), (2, 2), (12, 3), (36, 4)]:
        p = planted(seed, n, 1000) ** 3
        out.append({"n": n, "seed": seed, "holm": multipletests(p, method="holm")[1].tolist(),
                    "bh": multipletests(p, method="fdr_bh")[1].tolist()})
    return out


def bootstrap():
    """Ratio of sums over clusters: the draws are C++'s std::mt19937_64, the interval SciPy's from those draws."""
    out = []
    for n, seed in [(20, 1), (60, 2), (300, 3)]:
        a, b = planted(seed, n, 1000), planted(seed + 50, n, 1000) + 0.5
        ratio = lambda i: a[i].sum(axis=-1) / b[i].sum(axis=-1)
        random = mt19937_64(7)
        limit = 2**64 - 1 - (2**64 - 1) % n
        def draw():
            while (x := next(random)) >= limit:
                pass
            return x % n
        index = numpy.array([[draw() for _ in range(n)] for _ in range(500)])
        resampled = ratio(index)
        estimate = ratio(numpy.arange(n))
        if n < 40:
            low, high = numpy.quantile(resampled, [0.025, 0.975])
        else:
            z = stats.norm.ppf((numpy.sum(resampled < estimate) + numpy.sum(resampled <= estimate)) / (2 * 500))
            jack = numpy.array([ratio(numpy.delete(numpy.arange(n), i)) for i in range(n)])
            d = jack.mean() - jack
            acc = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
            at = [stats.norm.cdf(z + (z + q) / (1 - acc * (z + q))) for q in stats.norm.ppf([0.025, 0.975])]
            low, high = numpy.quantile(resampled, at)
        out.append({"n": n, "seed": seed, "estimate": estimate, "lower": low, "upper": high})
    return out


if __name__ == "__main__":
    values = {"versions": {"numpy": numpy.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__,
                           "statsmodels": statsmodels.__version__},
              "ranks": ranks(), "calibration": calibration(), "multiple": multiple(), "bootstrap": bootstrap()}
    pathlib.Path(__file__).with_name("audit_statistics.json").write_text(json.dumps(values, indent=1) + "\n")
