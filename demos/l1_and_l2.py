"""L1 against L2: why corners select.

A linear model on the diabetes data. Two of its weights show the geometry: the loss is a valley, and
the best point of a ball around zero lies where a contour touches it. The L1 ball has corners, on
which weights are zero; the L2 ball has none. With all ten weights the same happens at every
strength, and the weights are those of scikit-learn's Lasso and Ridge.

    python demos/l1_and_l2.py

Writes l1_and_l2.png to demos/output. Claims, asserted: L1 makes weights zero and L2 none; supports
are scikit-learn's at every strength, weights within 1e-6 of the largest.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso, Ridge
from tqdm import tqdm

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis.figures import page
from microreg.penalties import L1, L2

OUTPUT = Path(__file__).parent / "output"
PAIR = 2, 3  # bmi and bp
PAIR_LAM = {L1: 0.8, L2: 1.0}
STRENGTHS = {L1: np.geomspace(1.0, 0.003, 12), L2: np.geomspace(100, 0.01, 12)}


def rows():
    data = load_diabetes()
    X = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    y = (data.target - data.target.mean()) / data.target.std()
    return X, y[:, None], data.feature_names


def solve(X, y, penalty):
    """The weights at the optimum of mean squared error + penalty, by proximal gradient steps."""
    model = mr.attach(nn.Linear(X.shape[1], 1, bias=False, dtype=np.float64), penalty)
    curvature = 2 * np.linalg.eigvalsh(X.T @ X)[-1] / len(X)
    sgd = optim.SGD(model.parameters(), lr=1 / curvature, momentum=0.9)
    mr.fit(
        model, (X, y), loss=F.mse_loss, optimizer=sgd, epochs=4000, batch_size=len(X),
        progress=False,
    )  # fmt: skip
    return model.weight.data[0]


def theirs(X, y, penalty):
    """scikit-learn's weights at the strength with the same optimum."""
    if isinstance(penalty, L1):
        alpha = mr.convention(penalty.lam, "microreg", "sklearn.Lasso", penalty="L1")
        made = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=1_000_000)
    else:
        n = len(X)
        alpha = mr.convention(penalty.lam, "microreg", "sklearn.Ridge", penalty="L2", n=n)
        made = Ridge(alpha=alpha, fit_intercept=False)
    return made.fit(X, y[:, 0]).coef_


def draw_balls(axis, X, y, kind):
    """Contours of the loss in two weights, and the ball that the best point lies on."""
    X = X[:, list(PAIR)]
    lam = PAIR_LAM[kind]
    w = solve(X, y, kind(lam))
    a, b = np.meshgrid(np.linspace(-0.3, 0.8, 200), np.linspace(-0.3, 0.8, 200))
    loss = np.mean((np.stack([a, b], axis=-1) @ X.T - y[:, 0]) ** 2, axis=-1)
    axis.contour(a, b, loss, levels=15, colors="0.7", linewidths=0.7)
    size = np.abs(a) + np.abs(b) if kind is L1 else a**2 + b**2
    radius = np.abs(w).sum() if kind is L1 else (w**2).sum()
    axis.contourf(a, b, size, levels=[0, radius], colors=["tab:blue"], alpha=0.2)
    free = np.linalg.lstsq(X, y, rcond=None)[0][:, 0]
    axis.plot(*free, "x", color="tab:orange", label="least squares")
    axis.plot(*w, "o", color="tab:blue", label=f"{kind.__name__}({lam:g})")
    axis.set(title=f"{kind.__name__}: {w[0]:.3g}, {w[1]:.3g}", aspect="equal", xlabel="bmi")
    axis.set_ylabel("bp")
    axis.legend(loc="lower right")
    return w


def main():
    OUTPUT.mkdir(exist_ok=True)
    X, y, names = rows()
    runs = [kind(lam) for kind, strengths in STRENGTHS.items() for lam in strengths]
    ours = {p: solve(X, y, p) for p in tqdm(runs, unit="solution", disable=None)}
    want = {p: theirs(X, y, p) for p in runs}
    off = {p: np.abs(ours[p] - want[p]).max() / np.abs(want[p]).max() for p in runs}
    print(f"\n{'penalty':>12} {'weights':>8} {'in use':>7} {'from scikit-learn':>18}")
    for p in runs:
        label, used = f"{type(p).__name__}({p.lam:.3g})", np.count_nonzero(ours[p])
        print(f"{label:>12} {np.abs(ours[p]).max():8.3f} {used:7} {off[p]:18.1e}")
    with page(OUTPUT / "l1_and_l2.png", 2, 2, title="L1 selects, L2 shrinks") as (_, axes):
        for (top, bottom), kind in zip(axes.T, STRENGTHS, strict=True):
            corner = draw_balls(top, X, y, kind)
            assert (corner == 0).any() == (kind is L1), corner
            lines = np.stack([ours[kind(lam)] for lam in STRENGTHS[kind]])
            for name, line in zip(names, lines.T, strict=True):
                bottom.plot(STRENGTHS[kind], line, label=name)
            bottom.set(title="all ten weights", xscale="log", xlabel=f"lam of {kind.__name__}")
        axes[1, 1].legend(ncols=2)
    assert all(np.array_equal(ours[p] == 0, want[p] == 0) for p in runs)
    assert max(off.values()) < 1e-6, max(off.values())
    print(f"\nfigure: {OUTPUT / 'l1_and_l2.png'}")


if __name__ == "__main__":
    main()
