"""Sparse linear models on scikit-learn's data: published orders of entry, supports and optima."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.penalties import L1

EXACT = {"steps": 20_000, "tol": 1e-10, "val": None, "progress": False}


@pytest.fixture(scope="module")
def diabetes():
    data = pytest.importorskip("sklearn.datasets").load_diabetes()
    return data.data, data.target[:, None], data.feature_names


@pytest.fixture(scope="module")
def cancer():
    X, y = pytest.importorskip("sklearn.datasets").load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y[:, None].astype(float)


def residual(model, X, y, loss):
    """How far the model is from the optimality condition."""
    model.zero_grad()
    loss(model(mr.tensor(X)), mr.tensor(y)).backward()
    distance = model.weight.penalty[0].subdiff_distance(model.weight, model.weight.grad.data)
    return max(distance.max(), np.abs(model.bias.grad.data).max())


def test_the_order_of_entry_in_the_diabetes_data(diabetes):
    # Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression", Annals of Statistics 32
    # (2004), figure 1; the knots are those of |y - Xw|^2 / 2 + lambda |w|
    X, y, names = diabetes
    knots = np.array([949.4, 889.3, 452.9, 316.1, 130.1, 88.8, 69.0, 20.0, 5.5, 5.1, 2.2, 1.3])
    between = np.sqrt(knots * np.append(knots[1:], 0.8))
    path = mr.path(
        nn.Linear(10, 1, dtype=np.float64), (X, y), L1(2 / len(X)), loss=F.mse_loss,
        lambdas=[1000, *between], **{**EXACT, "tol": 1e-7},
    )  # fmt: skip
    alive, want = [set()], set()
    for name in ("bmi", "s5", "bp", "s3", "sex", "s6", "s1", "s4", "s2", "age", "s3", "s3"):
        want = want ^ {name}  # s3 leaves and comes back
        alive.append(set(want))
    got = [{names[k] for k in np.flatnonzero(s)} for s in path.support["weight"]]
    assert got == alive


def test_the_first_knot_is_the_largest_strength(diabetes):
    X, y, _ = diabetes
    path = mr.path(
        nn.Linear(10, 1).double(), (X, y), L1(2 / 442), loss=F.mse_loss, n_lambdas=1, **EXACT
    )
    assert path.lambdas[0] == pytest.approx(949.435, abs=5e-4)


@pytest.mark.parametrize(
    ("alpha", "objective", "zeros"),
    [(1.0, 2586.943192614, 7), (0.5, 2152.122992589, 6), (0.1, 1629.054542579, 3)],
)
def test_lasso_on_diabetes(alpha, objective, zeros, diabetes):
    X, y, names = diabetes
    path = mr.path(
        nn.Linear(10, 1).double(), (X, y), L1(2.0), loss=F.mse_loss, lambdas=[alpha], **EXACT
    )
    model = path.at(0)
    w = model.weight.data[0]
    assert (path.loss[0] + path.penalty[0]) / 2 == pytest.approx(objective, abs=1e-9)
    assert (w == 0).sum() == zeros
    assert residual(model, X, y, F.mse_loss) < 1e-8
    if alpha == 1.0:
        found = {name: value for name, value in zip(names, w, strict=True) if value}
        assert found == pytest.approx({"bmi": 367.702, "bp": 6.310, "s5": 307.602}, abs=2e-3)


def test_logistic_regression_on_the_breast_cancer_data(cancer):
    X, y = cancer
    loss = F.binary_cross_entropy_with_logits
    model = nn.Linear(30, 1, dtype=np.float64)
    largest = mr.path(model, cancer, L1(1.0), loss=loss, n_lambdas=1, **EXACT).lambdas[0]
    assert largest == pytest.approx(0.383683244477646, rel=1e-12)
    shares = np.array([0.5, 0.2, 0.1, 0.05, 0.01])
    path = mr.path(model, cancer, L1(1.0), loss=loss, lambdas=largest * shares, **EXACT)
    np.testing.assert_array_equal(path.support["weight"].sum(axis=1), [3, 4, 5, 8, 13])
    want = [0.57274164, 0.39977396, 0.29258409, 0.21298523, 0.10748301]
    np.testing.assert_allclose(path.loss + path.penalty, want, atol=1e-8)
    assert max(residual(path.at(i), X, y, loss) for i in range(5)) < 1e-8
