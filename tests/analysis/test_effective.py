"""Effective parameters: known formulas for linear fits, and the divergence of the fitted values."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis import effective_parameters
from microreg.penalties import L1, L2, ElasticNet, GroupLasso, WeightDecay

N, D = 30, 6


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, D)) @ (np.eye(D) + 0.3)
    y = X @ np.array([2.0, -1.0, 0.0, 0.5, 0.0, 0.2]) + rng.normal(size=N)
    return X, y[:, None]


def linear_fit(X, y, penalty, steps=4000, start=0.0):
    """A Linear(D, 1) without bias at the optimum of mean squared error + penalty."""
    model = nn.Linear(D, 1, bias=False, dtype=np.float64)
    model.weight.data[...] = start
    mr.attach(model, {"weight": penalty})
    lr = 1 / (2 * np.linalg.eigvalsh(X.T @ X)[-1] / len(X) + 1)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    step = mr.compile(lambda a, b: _step(model, optimizer, a, b))
    a, b = mr.tensor(X), mr.tensor(y)
    for _ in range(steps):
        step(a, b)
    return model


def _step(model, optimizer, X, y):
    optimizer.zero_grad()
    F.mse_loss(model(X), y).backward()
    optimizer.step()


@pytest.mark.parametrize("lam", [0.02, 0.3, 1.7])
@pytest.mark.parametrize("penalty", [L2, lambda lam: WeightDecay(2 * lam)])
def test_ridge_regression(lam, penalty, data):
    X, _ = data
    d = np.linalg.svd(X)[1]
    model = mr.attach(nn.Linear(D, 1, bias=False, dtype=np.float64), {"weight": penalty(lam)})
    got = effective_parameters(model, data, F.mse_loss)
    assert got == pytest.approx((d**2 / (d**2 + N * lam)).sum(), rel=1e-9)


@pytest.mark.parametrize("lam", [0.1, 0.4, 1.5])
def test_the_lasso_uses_as_many_as_are_not_zero(lam, data):
    model = linear_fit(*data, L1(lam))
    used = np.count_nonzero(model.weight.data)
    assert 0 < used < D
    assert effective_parameters(model, data, F.mse_loss) == pytest.approx(used, rel=1e-9)


@pytest.mark.parametrize(
    "penalty",
    [ElasticNet(0.5, 0.6), GroupLasso(0.4, groups=np.array([[0, 0, 1, 1, 2, 2]])),
     [L2(0.2), GroupLasso(0.3, groups=np.array([[0, 0, 0, 1, 1, 1]]))]],
    ids=["elastic net", "group lasso", "ridge and group lasso"],
)  # fmt: skip
def test_the_divergence_of_the_fitted_values(penalty, data):
    X, y = data
    model, h = linear_fit(X, y, penalty), 1e-3
    divergence = 0.0
    for i in range(N):
        up, down = y.copy(), y.copy()
        up[i], down[i] = y[i] + h, y[i] - h
        near = {"steps": 500, "start": model.weight.data}
        fits = [linear_fit(X, t, penalty, **near).weight.data for t in (up, down)]
        divergence += float((X[i] @ (fits[0] - fits[1]).T)[0]) / (2 * h)
    assert 0.5 < divergence < D
    assert effective_parameters(model, data, F.mse_loss) == pytest.approx(divergence, rel=1e-6)


def test_a_free_network_uses_its_rank_and_a_penalty_takes_from_it(rng):
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    mr.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    free = effective_parameters(model, (X, y))
    assert free == pytest.approx(31 - 5, rel=1e-6)  # cross-entropy sees no shift of all scores
    used = [
        effective_parameters(mr.attach(model, L2(lam)), (X, y)) for lam in (1e-6, 1e-3, 1e-1, 10.0)
    ]
    assert free > used[0] > used[1] > used[2] > used[3] > 2.0 - 1e-9
    assert used[0] == pytest.approx(free, rel=0.05)
    assert model.training


def test_float32_agrees_and_large_models_are_left(rng):
    X, y = rng.normal(size=(600, 5)), rng.normal(size=(600, 1))
    model = mr.attach(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)), L2(0.01))
    single = effective_parameters(model, (X, y), F.mse_loss)
    assert single == pytest.approx(
        effective_parameters(model.double(), (X, y), F.mse_loss), rel=1e-3
    )
    assert effective_parameters(nn.Linear(100, 16), (X, y), F.mse_loss) is None
