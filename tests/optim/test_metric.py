"""The penalty in the optimizer's metric: fixed points are optimal, zeros are zero."""

import math

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim, penalties
from microreg.nn import Parameter
from microreg.penalties import (
    L0,
    L1,
    L2,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Orthogonal,
    Simplex,
    SparseGroupLasso,
    SpectralNorm,
    Support,
    TotalVariation,
    WeightDecay,
    combine,
)

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-10}


def group_lasso(v, s, lam, quadratic=0.0):
    """Row by row: bisection on the norm r that solves sum (v / (r + s lam'))^2 = 1."""
    c = 1 / (1 + 2 * s * quadratic)
    v, s, lam = v * c, s * c, lam * math.sqrt(v.shape[1])
    w = np.zeros_like(v)
    for row, (a, b) in enumerate(zip(v, s, strict=True)):
        if np.linalg.norm(a / b) > lam:
            low, high = 0.0, np.linalg.norm(a)
            for _ in range(200):
                r = (low + high) / 2
                low, high = (r, high) if ((a / (r + b * lam)) ** 2).sum() > 1 else (low, r)
            w[row] = a * r / (r + b * lam)
    return w


def max_norm(v, s, limit, quadratic=0.0):
    """Row by row: bisection on the multiplier t with ||v / (1 + s t)|| = limit."""
    c = 1 / (1 + 2 * s * quadratic)
    v, s = v * c, s * c
    w = v.copy()
    for row, (a, b) in enumerate(zip(v, s, strict=True)):
        if np.linalg.norm(a) > limit:
            low, high = 0.0, 1e9
            for _ in range(200):
                t = (low + high) / 2
                low, high = (t, high) if np.linalg.norm(a / (1 + b * t)) > limit else (low, t)
            w[row] = a / (1 + b * t)
    return w


def shrink(v, s, l1=0.0, quadratic=0.0):
    return np.sign(v) * np.maximum(np.abs(v) - s * l1, 0) / (1 + 2 * s * quadratic)


CASES = {  # what is attached, and its prox in the metric 1 / s
    "none": (None, lambda v, s: v),
    "L1": (L1(0.4), lambda v, s: shrink(v, s, 0.4)),
    "L2": (L2(0.4), lambda v, s: shrink(v, s, 0.0, 0.4)),
    "ElasticNet": (ElasticNet(0.6, 0.3), lambda v, s: shrink(v, s, 0.18, 0.21)),
    "NonNegative": (NonNegative(), lambda v, s: np.maximum(v, 0)),
    "GroupLasso": (GroupLasso(0.3), lambda v, s: group_lasso(v, s, 0.3)),
    "MaxNorm": (MaxNorm(0.7), lambda v, s: max_norm(v, s, 0.7)),
    "L1+L2": ([L1(0.4), L2(0.3)], lambda v, s: shrink(v, s, 0.4, 0.3)),
    "L1+NonNegative": ([NonNegative(), L1(0.4)], lambda v, s: np.maximum(v - 0.4 * s, 0)),
    "L1+GroupLasso": (
        [L1(0.2), GroupLasso(0.2)],
        lambda v, s: group_lasso(shrink(v, s, 0.2), s, 0.2),
    ),
    "L2+GroupLasso": ([GroupLasso(0.3), L2(0.7)], lambda v, s: group_lasso(v, s, 0.3, 0.7)),
    "L2+MaxNorm": ([L2(0.7), MaxNorm(0.6)], lambda v, s: max_norm(v, s, 0.6, 0.7)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_a_step_is_the_rule_and_then_the_prox_in_its_metric(rule, case, dtype, rng):
    penalty, prox = CASES[case]
    start = rng.normal(size=(6, 4)).astype(dtype) * 0.6
    slope = rng.normal(size=(6, 4)).astype(dtype)

    def gradient(w, t):
        return (slope * math.cos(0.4 * t) + w).astype(dtype)

    p = Parameter(start.copy())
    p.penalty = penalty
    optimizer = rule.make([p], **rule.options)
    for t in range(8):
        p.grad = mr.Tensor(gradient(p.data, t))
        optimizer.step()
    want = rule.naive(start.astype(np.float64), gradient, prox, 8, **rule.options)
    np.testing.assert_allclose(p.data, want, rtol=TOLERANCE[p.dtype], atol=TOLERANCE[p.dtype] / 10)
    np.testing.assert_array_equal(p.data == 0, np.abs(want) < TOLERANCE[p.dtype] / 100)


@pytest.mark.parametrize("penalty", [None, L1(0.4), GroupLasso(0.3)], ids=str)
def test_weight_decay_shrinks_before_the_step_whatever_the_rule(rule, penalty, rng):
    start, g = rng.normal(size=(2, 6, 4))
    pair = []
    for attached in ([WeightDecay(0.3), penalty], penalty):
        p = Parameter(start.copy())
        parts = attached if isinstance(attached, list) else [attached]
        p.penalty = [part for part in parts if part is not None]
        optimizer = rule.make([p], **{**rule.options, "weight_decay": 0})
        if isinstance(attached, list):
            p.grad = mr.Tensor(g)
        else:  # the same by hand
            p.data = start * (1 - rule.options["lr"] * 0.3)
            p.grad = mr.Tensor(g)
        optimizer.step()
        pair.append(p.data)
    np.testing.assert_allclose(*pair, rtol=1e-12, atol=1e-15)


# fixed points


def problem(rng):
    """The gradient of a least-squares loss in a 5 x 4 matrix, some of whose true entries are 0."""
    X = rng.normal(size=(60, 4)) @ (np.eye(4) + 0.3)
    truth = np.where(rng.random((5, 4)) < 0.5, 0, rng.normal(size=(5, 4)))
    truth[1] *= 0.05
    Y = X @ truth.T + 0.3 * rng.normal(size=(60, 5))
    return lambda w: (X @ w.T - Y).T @ X / len(X)


SOLVERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.2),
    "momentum": lambda p: optim.SGD(p, lr=0.04, momentum=0.8),
    "dampened": lambda p: optim.SGD(p, lr=0.1, momentum=0.7, dampening=0.4),
    "nesterov": lambda p: optim.SGD(p, lr=0.04, momentum=0.8, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.05),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05, betas=(0.8, 0.97), weight_decay=0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.02),
    "RMSprop momentum": lambda p: optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.6),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.3),
    "amsgrad": lambda p: optim.Adam(p, lr=0.05, amsgrad=True),
}
OBJECTIVES = [
    L1(0.3), L2(0.23), ElasticNet(0.4, 0.7), NonNegative(), Box(-0.2, 0.5), MCP(0.3, 4.1),
    SCAD(0.3, 4.1), L0(0.6), Support(np.eye(5, 4) == 0), GroupLasso(0.2),
    GroupLasso(0.35, groups="in"), SparseGroupLasso(0.4), MaxNorm(0.6), L2Ball(1.1),
    L1Ball(0.7, groups="out"), Simplex(), TotalVariation(0.1), NuclearNorm(0.4), SpectralNorm(0.8),
    Orthogonal(0.03), [L1(0.1), TotalVariation(0.1)], [L1(0.1), NonNegative(), GroupLasso(0.1)],
    [L2(0.3), MCP(0.2, 4.1)],
]  # fmt: skip


def converge(p, optimizer, gradient, distance, steps=12000, tolerance=1e-7):
    """Step until the optimality condition holds; an adaptive rule's lr decays on the way."""
    group = optimizer.param_groups[0]
    for t in range(steps):
        p.grad = mr.Tensor(gradient(p.data))
        optimizer.step()
        if not isinstance(optimizer, (optim.SGD, optim.Adagrad)):
            group["lr"] *= 0.998
        if t % 100 == 99 and distance(p.data) < tolerance:
            break
    return distance(p.data)


def names(penalty):
    return "+".join(type(part).__name__ for part in combine.as_list(penalty))


EACH = ("SGD", "momentum", "RMSprop", "Adam", "AdamW", "Adagrad")


@pytest.mark.parametrize(
    ("solver", "penalty"),
    [(s, p) for s in SOLVERS for p in (OBJECTIVES if s in EACH else OBJECTIVES[::5])],
    ids=lambda x: x if isinstance(x, str) else names(x),
)
def test_where_an_optimizer_rests_the_optimality_condition_holds(solver, penalty, rng):
    gradient = problem(rng)
    p = Parameter(combine.prox(penalty, rng.normal(size=(5, 4)), 0.1))
    p.penalty = penalty
    optimizer = SOLVERS[solver]([p])

    def distance(w):
        return combine.residual(penalty, w, gradient(w))[0].max()

    assert converge(p, optimizer, gradient, distance) < 1e-6
    if isinstance(penalty, (L1, ElasticNet, GroupLasso, SparseGroupLasso, MCP, SCAD, L1Ball)):
        assert 0 < np.count_nonzero(p.data) < p.data.size
    if isinstance(penalty, (NuclearNorm, SpectralNorm)):
        sigma = np.linalg.svd(p.data, compute_uv=False)
        wanted = 0.8 if isinstance(penalty, SpectralNorm) else 0.0
        assert np.isclose(sigma, wanted, rtol=1e-12, atol=1e-12).any()
    if isinstance(penalty, TotalVariation):
        assert (np.diff(p.data, axis=1) == 0).any()
    if isinstance(penalty, MaxNorm):
        assert (penalty.norms(p.data) > penalty.limit * (1 - 1e-12)).any()


def test_a_threshold_of_lr_times_lam_would_rest_elsewhere(rng):
    # the fault that this file is about: Adam, with the prox outside its metric
    gradient, penalty = problem(rng), L1(0.3)
    p = Parameter(rng.normal(size=(5, 4)))
    optimizer = optim.Adam([p], lr=0.05)
    for _ in range(3000):
        p.grad = mr.Tensor(gradient(p.data))
        optimizer.step()
        lr = optimizer.param_groups[0]["lr"]
        p.data = penalty.prox(p.data, lr)
        optimizer.param_groups[0]["lr"] *= 0.998
    assert penalty.subdiff_distance(p.data, gradient(p.data)).max() > 0.1


@pytest.mark.parametrize("solver", SOLVERS)
def test_l1_gives_zeros_by_its_prox_and_none_in_the_loss(solver, rng):
    gradient = problem(rng)
    zeros = []
    for attached in (True, False):
        p = Parameter(rng.normal(size=(5, 4)))
        p.penalty = L1(0.3)
        holder = nn.Module()
        holder.weight = p
        optimizer = SOLVERS[solver]([p])
        for _ in range(600):
            p.grad = None
            loss = (p * mr.Tensor(gradient(p.data))).sum()  # whose slope is the gradient
            if not attached:
                p.penalty = L1(0.3)
                loss = loss + penalties.value(holder)
                p.penalty = None
            loss.backward()
            optimizer.step()
        zeros.append(int((p.data == 0).sum()))
    assert zeros[0] >= 5 and zeros[1] == 0


@pytest.mark.parametrize("solver", ["SGD", "momentum", "Adam"])
@pytest.mark.parametrize("alpha", [0.01, 0.04, 0.3])
def test_the_lasso_on_real_data_is_scikit_learns(alpha, solver):
    datasets = pytest.importorskip("sklearn.datasets")
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = datasets.load_diabetes(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = (y - y.mean()) / y.std()
    lasso = linear_model.Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000)
    want = lasso.fit(X, y).coef_
    p = Parameter(np.zeros(10))
    p.penalty = L1(alpha)
    gram, cross = X.T @ X / len(y), X.T @ y / len(y)
    optimizer = {
        "SGD": lambda: optim.SGD([p], lr=0.24),
        "momentum": lambda: optim.SGD([p], lr=0.1, momentum=0.9),
        "Adam": lambda: optim.Adam([p], lr=0.02),
    }[solver]()

    def gradient(w):
        return gram @ w - cross

    def distance(w):
        return p.penalty.subdiff_distance(w, gradient(w)).max()

    assert converge(p, optimizer, gradient, distance, tolerance=1e-9) < 1e-7
    np.testing.assert_allclose(p.data, want, atol=1e-6)
    np.testing.assert_array_equal(p.data == 0, want == 0)
    assert (want == 0).any() and (want != 0).any()
