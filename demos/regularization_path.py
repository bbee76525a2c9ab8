"""The regularization path: every strength at once, and the one that validation chooses.

First the lasso on the diabetes data: weights enter one by one as the strength falls, in the order
published with least angle regression, and cross-validation picks a strength. Then a network with a
group lasso on its inputs, on 500 rows in which 5 of 200 inputs matter, in curves and a product.

    python demos/regularization_path.py [--jobs 2]

Writes path_lasso.png and path_network.png to demos/output. Claims, asserted: the order of entry is
the published one; at the strength of the one-standard-error rule the network reads the five inputs
and at most five others; refitted on these it has at most half the error of the lasso, refitted too.

Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression", Annals of Statistics 32 (2004).
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.penalties import L1, L2, GroupLasso

OUTPUT = Path(__file__).parent / "output"
ORDER = ["bmi", "s5", "bp", "s3", "sex", "s6", "s1", "s4", "s2", "age"]


def lasso(jobs):
    """The path of a Linear(10, 1) on the diabetes data."""
    data = load_diabetes()
    X, y = data.data * np.sqrt(len(data.data)), data.target[:, None] / data.target.std()
    mr.manual_seed(0)
    path = mr.path(
        nn.Linear(10, 1, dtype=np.float64), (X, y), L1(1.0), loss=F.mse_loss, n_lambdas=120,
        lam_min_ratio=5e-4, tol=1e-7, steps=20_000, val=10, n_jobs=jobs,
    )  # fmt: skip
    names = [data.feature_names[k] for k in path.entries()]
    print(f"\nlasso on diabetes\n\n{str_of(path, 12)}\n\norder of entry: {' '.join(names)}")
    path.figure(OUTPUT / "path_lasso.png")
    assert names == ORDER, names
    assert path.one_se < path.best


def rows(n, rng):
    """Five of 200 columns matter, in curves and a product."""
    X = rng.normal(size=(n, 200)).astype(np.float32)
    y = 2 * np.tanh(2 * X[:, 0]) + 3 * np.maximum(X[:, 1], 0) + X[:, 2] * (1 + 0.7 * X[:, 3])
    y += X[:, 3] - 1.2 * X[:, 4] + 0.5 * X[:, 4] ** 2 + 0.5 * rng.normal(size=n)
    return X, ((y - 1.7) / 3.2)[:, None].astype(np.float32)


def network(jobs):
    """The path of an MLP whose inputs are groups."""
    rng = np.random.default_rng(0)
    data, test = rows(500, rng), rows(4000, rng)
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(200, 16), nn.Tanh(), nn.Linear(16, 1))
    mr.attach(model, {"2.weight": L2(1e-2)})
    rule = {"0.weight": GroupLasso(1.0, groups="in")}
    path = mr.path(
        model, data, rule, loss=F.mse_loss, n_lambdas=20, lam_min_ratio=0.05, tol=1e-3, n_jobs=jobs
    )
    chosen = np.flatnonzero(path.support["0.weight"][path.one_se])
    print(f"\nnetwork\n\n{path}\n\ninputs that the 1-SE rule leaves: {chosen}")
    path.figure(OUTPUT / "path_network.png")
    line = mr.path(nn.Linear(200, 1), data, L1(1.0), loss=F.mse_loss, n_jobs=jobs, progress=False)
    error = {
        "lasso": mr.evaluate(line.at(), test, F.mse_loss)["loss"],
        "lasso, refitted": mr.evaluate(line.refit(), test, F.mse_loss)["loss"],
        "network": mr.evaluate(path.at(), test, F.mse_loss)["loss"],
        "network, refitted": mr.evaluate(path.refit(), test, F.mse_loss)["loss"],
    }
    print("mean squared error on 4,000 new rows")
    for name, value in error.items():
        print(f"{name:>18} {value:8.4f}")
    assert set(range(5)) <= set(chosen) and len(chosen) <= 10, chosen
    assert error["network, refitted"] < min(error["lasso"], error["lasso, refitted"]) / 2, error


def str_of(path, every):
    """Some lines of the table."""
    lines = str(path).splitlines()
    return "\n".join(line for i, line in enumerate(lines) if i % every == 0 or line[-1].isalpha())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, help="processes for the folds")
    jobs = parser.parse_args().jobs
    OUTPUT.mkdir(exist_ok=True)
    lasso(jobs)
    network(jobs)
    print(f"\nfigures: {OUTPUT / 'path_lasso.png'}, {OUTPUT / 'path_network.png'}")


if __name__ == "__main__":
    main()
