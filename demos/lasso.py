"""L1 selects features: a linear model on the diabetes data, beside scikit-learn's Lasso.

A Linear(10, 1) with L1 is brought to rest by proximal gradient steps on all rows. It is the lasso,
so its zeros must be scikit-learn's, and so must its coefficients; the certificate tells how close
the objective is to the least one.

    python demos/lasso.py

Writes lasso.png to demos/output. Claims, asserted: the same zeros as Lasso's, coefficients within
1e-6, a duality gap below 1e-9 of the objective.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.analysis.figures import page
from microreg.penalties import L1

OUTPUT = Path(__file__).parent / "output"
ALPHA = 1.0


def main():
    data = load_diabetes()
    X, y = data.data, data.target[:, None]
    # Lasso minimises |y - Xw|^2 / (2n) + alpha |w|, half of mean squared error + 2 alpha |w|
    lam = mr.convention(ALPHA, "sklearn.Lasso", "microreg", penalty="L1")
    model = mr.attach(nn.Linear(10, 1, dtype=mr.float64), L1(lam))
    proof = mr.polish(model, (X, y), loss=F.mse_loss, tol=1e-10)
    ours = model.weight.data[0]
    theirs = Lasso(alpha=ALPHA, tol=1e-12, max_iter=100_000).fit(X, data.target).coef_

    print(f"\nDiabetes, Linear(10, 1) with L1({lam:g}) beside scikit-learn's Lasso({ALPHA:g})\n")
    for name, a, b in zip(data.feature_names, ours, theirs, strict=True):
        print(f"{name:>4} {a:14.6f} {b:14.6f}")
    difference = np.abs(ours - theirs).max()
    print(f"\n{np.sum(ours == 0)} exact zeros; coefficients differ by {difference:.1e} at most\n")
    print(proof)

    with page(OUTPUT / "lasso.png", size=(6, 3.2), title="Coefficients of the lasso") as (_, axes):
        axis = axes[0, 0]
        axis.axhline(0, color="0.7", lw=1)
        axis.plot(theirs, "o", ms=11, mfc="none", label="scikit-learn")
        axis.plot(ours, "x", ms=6, label="microreg")
        axis.set_xticks(range(10), data.feature_names)
        axis.legend()
    print(f"\nfigure: {OUTPUT / 'lasso.png'}")
    assert np.array_equal(ours == 0, theirs == 0)
    assert difference < 1e-6
    assert proof.gap < 1e-9 * proof.objective


if __name__ == "__main__":
    OUTPUT.mkdir(exist_ok=True)
    main()
