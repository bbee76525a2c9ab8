"""Descent on all rows: it ends where the optimality condition holds, without tuning."""

from itertools import pairwise

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.analysis.descent import Descent
from microreg.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, NonNegative


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(60, 8)) @ np.diag([1, 1, 3, 0.2, 1, 1, 0.05, 1])
    return X, X @ rng.normal(size=(8, 2)) + rng.normal(size=(60, 2)) + 5.0


def slope(model, X, y, loss=F.mse_loss):
    model.zero_grad()
    loss(model(mr.tensor(X)), mr.tensor(y)).backward()
    return [p.grad.data for p in model.parameters()]


@pytest.mark.parametrize(
    "penalty",
    [L1(0.3), L2(0.7), ElasticNet(0.5, 0.4), GroupLasso(0.2, groups="in"), MaxNorm(0.6),
     NonNegative(), [L1(0.2), L2(0.3)], None],
    ids=lambda p: type(p).__name__,
)  # fmt: skip
def test_it_ends_in_a_fixed_point_of_the_proximal_step(penalty, rows):
    X, y = rows
    model = mr.attach(nn.Linear(8, 2, dtype=np.float64), {"weight": penalty})
    inputs, targets = mr.tensor(X), mr.tensor(y)
    descent = Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets))
    loss, residual, steps = descent.run(1e-9, 20_000)
    assert residual <= 1e-9 and steps < 20_000
    assert loss == pytest.approx(float(F.mse_loss(model(inputs), targets)), rel=1e-12)
    weight, bias = slope(model, X, y)
    assert np.abs(bias).max() < 1e-7
    if isinstance(penalty, list):
        w = model.weight.data
        bound = 0.2 * np.sign(w) + 0.6 * w
        distance = np.where(w != 0, np.abs(weight + bound), np.maximum(np.abs(weight) - 0.2, 0))
    else:
        distance = (
            np.abs(weight) if penalty is None else penalty.subdiff_distance(model.weight, weight)
        )
    assert distance.max() < 1e-7
    if isinstance(penalty, (L1, GroupLasso, NonNegative)):
        assert 0 < np.count_nonzero(model.weight.data) < 16


def test_float32_rests_as_near_as_roundings_allow(rows):
    X, y = (a.astype(np.float32) for a in rows)
    model = mr.attach(nn.Linear(8, 2), {"weight": L1(0.3)})
    inputs, targets = mr.tensor(X), mr.tensor(y)
    residual = Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets)).run(
        2e-5, 3000
    )[1]
    assert residual < 1e-3
    assert L1(0.3).subdiff_distance(model.weight, slope(model, X, y)[0]).max() < 1e-3


@pytest.mark.parametrize("act", [nn.Tanh, nn.Sigmoid])
def test_a_smooth_network_descends_to_a_stationary_point(act, rows):
    X, y = rows
    mr.manual_seed(5)
    model = nn.Sequential(nn.Linear(8, 6), act(), nn.Linear(6, 2)).double()
    mr.attach(model, {"0.weight": GroupLasso(0.05, groups="in"), "2.weight": L2(0.01)})
    inputs, targets = mr.tensor(X), mr.tensor(y)
    descent = Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets))
    values = []
    for _ in range(6):
        loss = descent.run(0.0, 50)[0]
        values.append(loss + mr.penalties.number(model))
    assert all(b <= a for a, b in pairwise(values))
    residual, steps = descent.run(1e-6, 20_000)[1:]
    assert residual <= 1e-6 and steps < 20_000
    slopes = slope(model, X, y)
    assert model[0].weight.penalty.subdiff_distance(model[0].weight, slopes[0]).max() < 1e-4
    assert max(np.abs(slopes[1]).max(), np.abs(slopes[3]).max()) < 1e-4


def test_kinks_of_relu_end_it_early(rows):
    X, y = rows
    mr.manual_seed(5)
    model = nn.Sequential(nn.Linear(8, 30), nn.ReLU(), nn.Linear(30, 2)).double()
    mr.attach(model, {"0.weight": L1(0.02), "2.weight": L2(0.01)})
    inputs, targets = mr.tensor(X), mr.tensor(y)
    start = float(F.mse_loss(model(inputs), targets))
    descent = Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets))
    loss, _, steps = descent.run(1e-9, 50_000)
    assert steps < 50_000 and loss < start / 3


def test_parameters_without_influence_and_others_gradients_are_left(rows):
    X, y = rows
    model = nn.Sequential(nn.Linear(8, 2), nn.Linear(3, 3)).double()
    before = model[1].weight.data.copy()
    inputs, targets = mr.tensor(X), mr.tensor(y)
    Descent(model.parameters(), lambda: F.mse_loss(model[0](inputs), targets)).run(1e-6, 500)
    np.testing.assert_array_equal(model[1].weight.data, before)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_momentum_and_step_lengths_follow_the_slope_where_the_loss_is_too_coarse(offset, rows):
    # momentum that never starts anew, and step lengths by the loss alone, need over 3,000 steps
    X, y = rows
    mr.manual_seed(0)
    model = nn.Linear(8, 2, dtype=np.float64)
    inputs, targets = mr.tensor(X), mr.tensor(y)
    descent = Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets) + offset)
    residual, steps = descent.run(1e-8, 9999)[1:]
    assert residual <= 1e-8 and steps < 1500
