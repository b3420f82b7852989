"""Writes ood.json: directions in space and what scikit-learn makes of their spread.

Run: python3 make_ood.py   (made with the versions named in the file)
"""
import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

N, D, NEIGHBOURS = 40, 5, 10
rng = np.random.default_rng(3)


def directions(n, shift):
    x = rng.normal(size=(n, D)) * [1, 2, 0.5, 1, 0.2] + np.array([1, 0, 2, -1, 0]) + shift
    return np.round(x / np.linalg.norm(x, axis=1, keepdims=True), 6)


rows, others = directions(N, 0), np.vstack([directions(4, 0), directions(4, 3)])
fit = LedoitWolf().fit(rows)
# Scores take vectors at length 1; rounding has left them a little off.
unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
exact = LedoitWolf().fit(unit(rows))
out = {
    "numpy": np.__version__, "scikit-learn": sklearn.__version__,
    "rows": rows.tolist(), "others": others.tolist(),
    "mean": fit.location_.tolist(), "covariance": fit.covariance_.tolist(), "shrinkage": fit.shrinkage_,
    "mahalanobis": np.sqrt(exact.mahalanobis(unit(others))).tolist(),
    "nearest": NearestNeighbors(n_neighbors=NEIGHBOURS).fit(unit(rows)).kneighbors(unit(others))[0][:, -1].tolist(),
}
Path(__file__).with_name("ood.json").write_text(json.dumps(out, indent=1) + "\n")
