"""Writes expected.json: a small table of outcomes and what scikit-learn and SciPy make of it.

Run: python3 make_expected.py   (made with Python 3.11, NumPy 2.4.6, SciPy 1.17.1, scikit-learn as
named in the file)
"""
import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.optimize import linprog, minimize
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

N, D, GRID = 120, 4, [1, 4, 16]
N_TRAIN, LAMBDA, NEIGHBOURS = 90, 0.3, 10

rng = np.random.default_rng(11)
x = np.round(rng.normal(size=(N, D)) * [1, 3, 0.1, 1] + [0, 5, 1, 0], 3).astype(np.float32)
need = x[:, 0] + 0.3 * (x[:, 1] - 5) + rng.normal(size=N)
y = (need[:, None] < np.array([-0.8, 0.2, 1.5])).astype(float)
cost = np.round(np.array([0.3, 0.5, 1.0]) + rng.uniform(0, 0.02, size=(N, 1)) * [1, 1, 0], 4)

z = StandardScaler().fit_transform(x.astype(np.float64))
free = np.stack([LogisticRegression(C=np.inf, tol=1e-12, max_iter=10000).fit(z, y[:, k])
                 .predict_proba(z)[:, 1] for k in range(len(GRID))], axis=1)


def ordinal_p(w):
    o = z @ w[:-3].reshape(D, 3) + w[-3:]
    return 1 / (1 + np.exp(-np.cumsum(np.column_stack([o[:, 0], np.logaddexp(0, o[:, 1:])]), axis=1)))


def ordinal_loss(w):
    p = np.clip(ordinal_p(w), 1e-15, 1 - 1e-15)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()


best = minimize(ordinal_loss, np.zeros(3 * D + 3), method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})

scaler = StandardScaler().fit(x[:N_TRAIN].astype(np.float64))
near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(scaler.transform(x[:N_TRAIN].astype(np.float64)))
_, index = near.kneighbors(scaler.transform(x[N_TRAIN:].astype(np.float64)))
value = y[index].mean(axis=1) - LAMBDA * cost[:N_TRAIN].mean(axis=0)

# Static hull: the best accuracy of a mixture that costs x or less.
points = np.array([[0.3, 0.2], [0.4, 0.5], [0.5, 0.45], [0.6, 0.75], [0.8, 0.8], [0.9, 0.85], [1.0, 0.7]])
at = [0.3, 0.35, 0.45, 0.55, 0.7, 0.85, 0.95, 1.0]
hull = [-linprog(-points[:, 1], A_ub=[points[:, 0]], b_ub=[c], A_eq=[np.ones(len(points))], b_eq=[1]).fun
        for c in at]

a = np.round(rng.normal(size=30), 1)
b = np.round(a + rng.normal(size=30), 0)

json.dump({"made_with": {"numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__},
           "grid": GRID, "features": [[float(v) for v in row] for row in x], "success": y.tolist(),
           "cost": cost.tolist(), "free": free.round(9).tolist(), "ordinal_loss": float(best.fun),
           "ordinal": ordinal_p(best.x).round(9).tolist(),
           "nearest": {"n_train": N_TRAIN, "lambda": LAMBDA, "choices": value.argmax(axis=1).tolist()},
           "hull": {"points": points.tolist(), "at": at, "accuracy": hull},
           "spearman": {"a": a.tolist(), "b": b.tolist(), "rho": float(spearmanr(a, b).statistic)}},
          open(Path(__file__).parent / "expected.json", "w"))
