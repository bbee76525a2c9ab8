"""What every penalty promises beside its prox: optimality, values, gradients, dtypes, errors."""

import dataclasses

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.errors import ShapeError
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
)

from .conftest import CONSTRAINTS
from .objective import GATE, STEPS, TOLERANCE, steps_for

# optimality


@pytest.mark.parametrize("step", [*STEPS, "diagonal"])
def test_distance_is_zero_exactly_at_fixed_points_of_the_prox(penalty, step, points, rng):
    step = steps_for(points, rng, penalty) if step == "diagonal" else np.full(points.shape, step)
    w = penalty.prox(points, step)
    optimal = (w - points) / step  # then w = prox(w - step * grad)
    np.testing.assert_allclose(penalty.subdiff_distance(w, optimal), 0, atol=1e-10)
    differ = 0
    for size in (1e-4, 0.1, 30.0):
        for _ in range(10):
            g = optimal + size * rng.normal(size=w.shape) * (rng.random(w.shape) < 0.2)
            moved = np.abs(w - penalty.prox(w - step * g, step)).max()
            distance = penalty.subdiff_distance(w, g).max()
            assert moved > 1e-10 if distance > 1e-7 else moved < 1e-7
            differ += distance > 1e-7
    assert differ


@pytest.mark.parametrize("size", [0.3, 2.0])
def test_distance_is_that_to_the_nearest_subgradient(convex, size, points, rng):
    """As the step goes to 0, (w - prox(w - step * g)) / step goes to it, from below."""
    w = convex.prox(points, 0.4)
    g = (w - points) / 0.4 + size * rng.normal(size=w.shape)
    want = (w - convex.prox(w - 1e-7 * g, 1e-7)) / 1e-7
    distance = convex.subdiff_distance(w, g)
    np.testing.assert_allclose(distance, np.abs(want), atol=1e-5 * (1 + np.abs(g).max()))


def test_distance_outside_a_constraint_is_infinite(constraint, points):
    w = constraint.prox(points, 1.0) * 1.5 - 1e-3
    w = w + 9.0 if isinstance(constraint, Box) else w
    w = w - 99.0 if getattr(constraint, "upper", 0.0) == np.inf else w
    assert constraint.value(w) == np.inf
    assert np.isinf(constraint.subdiff_distance(w, np.zeros_like(w))).any()


@pytest.mark.parametrize(
    "make",
    [
        L1,
        MCP,
        SCAD,
        lambda lam: ElasticNet(lam, 0.3),
        lambda lam: ElasticNet(lam, 0.85),
        lambda lam: GroupLasso(lam, groups="in"),
        lambda lam: GroupLasso(lam, weighted=False),
        lambda lam: GroupLasso(lam, groups="all"),
        lambda lam: SparseGroupLasso(lam),
        lambda lam: SparseGroupLasso(lam, 0.17, groups="in"),
        lambda lam: SparseGroupLasso(lam, 0.9, weighted=False),
        NuclearNorm,
    ],
)
def test_from_lam_max_on_zero_is_optimal(make, rng):
    grad = rng.normal(size=(5, 4))
    zero = np.zeros_like(grad)
    limit = make(0.37).lam_max(grad)
    assert make(limit * 1.0001).subdiff_distance(zero, grad).max() == 0
    assert make(limit * 0.9999).subdiff_distance(zero, grad).max() > 0
    assert make(limit * 1.0001).prox(-0.3 * grad, 0.3).any() == False  # noqa: E712
    assert make(limit * 0.9999).prox(-0.3 * grad, 0.3).any()


def test_slack_is_how_far_a_gradient_at_zero_may_grow(rng):
    zero, g = np.zeros((5, 4)), rng.normal(size=(5, 4))
    for make, norm in [
        (L1, np.abs),
        (lambda lam: GroupLasso(lam, weighted=False), lambda g: np.linalg.norm(g, axis=1)[:, None]),
        (NuclearNorm, lambda g: np.linalg.norm(g, 2)),
    ]:
        distance, slack = make(7.0).residual(zero, g, g)
        assert not distance.any()
        np.testing.assert_allclose(slack, 7.0 - norm(g) * np.ones(zero.shape), rtol=1e-12)
        assert not make(0.01).residual(zero, g, g)[1].any()


@pytest.mark.parametrize(
    "penalty",
    [
        *(L2(0.3), ElasticNet(0.3, 0.0), WeightDecay(0.1), L0(0.1), Orthogonal(0.1)),
        *(NonNegative(), TotalVariation(0.1)),
    ],
    ids=str,
)
def test_where_no_strength_makes_zero_optimal_lam_max_says_so(penalty, rng):
    with pytest.raises(TypeError, match="no strength"):
        penalty.lam_max(rng.normal(size=3))


# value and gradient


def test_grad_is_the_slope_of_value(finite, rng):
    w, h = rng.normal(size=(5, 4)), 1e-5
    slope = np.empty_like(w)
    for i in np.ndindex(w.shape):
        e = np.zeros_like(w)
        e[i] = h
        slope[i] = (finite.value(w + e) - finite.value(w - e)) / (2 * h)
    np.testing.assert_allclose(finite.grad(w), slope, rtol=1e-6, atol=1e-8)


def test_grad_at_a_kink_is_the_subgradient_of_least_magnitude(finite, points):
    if not isinstance(finite, L0):  # which has a slope at 0
        assert not finite.grad(np.zeros((5, 4))).any()
    w = finite.prox(points, 0.9)  # has kinks
    shortest = finite.subdiff_distance(w, np.zeros_like(w))
    np.testing.assert_allclose(np.abs(finite.grad(w)), shortest, atol=1e-12)


@pytest.mark.parametrize(
    ("penalty", "want"),
    [
        (L1(0.3), 0.3 * 7.0),
        (L2(0.3), 0.3 * 25.0),
        (ElasticNet(0.3, 0.2), 0.3 * (0.2 * 7 + 0.4 * 25)),
        (GroupLasso(0.3), 0.3 * 2**0.5 * 5.0),
        (GroupLasso(0.3, weighted=False), 1.5),
        (GroupLasso(0.3, groups="in"), 0.3 * 2**0.5 * 7.0),
        (MaxNorm(5.0), 0.0),
        (MaxNorm(4.9), np.inf),
        (NonNegative(), np.inf),
        (WeightDecay(0.3), 0.0),
        (GroupLasso(0.3, groups="all"), 0.3 * 4**0.5 * 5.0),
        (SparseGroupLasso(0.3, 0.25), 0.3 * (0.25 * 7.0 + 0.75 * 2**0.5 * 5.0)),
        (MCP(0.3, 3.7), 2 * 0.3**2 * 3.7 / 2),
        (MCP(2.9, 3.7), 2.9 * 7.0 - 25.0 / (2 * 3.7)),
        (SCAD(0.3, 4.1), 2 * 0.3**2 * 5.1 / 2),
        (SCAD(3.9, 4.1), 3.9 * 3 + (4.1 * 3.9 * 4 - (16 + 3.9**2) / 2) / 3.1),
        (SCAD(5.9, 4.1), 5.9 * 7),
        (NuclearNorm(0.3), 1.5),
        (SpectralNorm(5.0), 0.0),
        (SpectralNorm(4.9), np.inf),
        (Orthogonal(0.3), 0.3 * (24.0**2 + 1)),
        (TotalVariation(0.3), 0.3 * 7),
        (TotalVariation(0.3, axis=0), 0.3 * 7),
        (L1Ball(7.0), 0.0),
        (L1Ball(6.9), np.inf),
        (L2Ball(5.0), 0.0),
        (L2Ball(4.9, groups="out"), np.inf),
        (Box(-4.0, 3.0), 0.0),
        (Box(-3.9, 3.0), np.inf),
        (Box(-4.0, 2.9), np.inf),
        (Simplex(-1.0 + 2.0), np.inf),
        (L0(0.3, 0.5, -0.2, 1.2), 0.3 * sum(GATE(w) for w in (3, -4, 0, 0))),
    ],
    ids=str,
)
def test_value_by_hand(penalty, want):
    assert penalty.value(np.array([[3.0, -4.0], [0.0, 0.0]])) == pytest.approx(want, rel=1e-14)


def test_weight_decay_shrinks_by_the_step(points, rng):
    step = steps_for(points, rng)
    np.testing.assert_allclose(WeightDecay(0.3).prox(points, step), points * (1 - 0.3 * step))
    assert not WeightDecay(0.3).grad(points).any()
    assert WeightDecay(0.3).subdiff_distance(points, -0.3 * points).max() < 1e-15


# dtypes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(penalty, dtype, points, rng):
    v = points.astype(dtype)
    step = steps_for(points, rng, penalty)
    for s in (0.3, np.float64(0.3), step, step.astype(dtype)):
        got = penalty.prox(v, s)
        assert got.dtype == dtype
        want = penalty.prox(v.astype(np.float64), s)
        np.testing.assert_allclose(got, want, rtol=0, atol=10 * TOLERANCE[v.dtype])
    if penalty not in CONSTRAINTS:
        assert penalty.grad(v).dtype == dtype
    assert penalty.subdiff_distance(v, v).dtype == dtype


def test_a_formula_of_float32_numbers_is_float32(separable):
    # a bare literal or a Python float computes in float64 and the float32 output hides it
    params = [np.float32(p) for p in separable.params()]
    for x in map(np.float32, (-1.3, 0.0, 2.7, np.nan)):
        results = [separable.value_1d(x, *params), separable.prox_1d(x, np.float32(0.3), *params)]
        if separable not in CONSTRAINTS:
            results.append(separable.grad_1d(x, *params))
        assert {type(r) for r in results} == {np.float32}


def test_nan_survives(penalty, points):
    points[1, 1] = np.nan
    assert np.isnan(penalty.prox(points, 0.3)[1, 1])
    assert not np.isfinite(penalty.value(points)) or penalty.strength == 0


def test_inputs_are_left_alone_and_may_be_views_or_empty(penalty, points):
    turned = points.T.copy().T
    kept = turned.copy()
    np.testing.assert_array_equal(penalty.prox(turned, 0.3), penalty.prox(points, 0.3))
    np.testing.assert_array_equal(turned, kept)
    if isinstance(getattr(penalty, "groups", ""), str):
        empty = np.zeros((0, 4))
        assert penalty.prox(empty, 0.3).shape == (0, 4) and penalty.value(empty) == 0


# bad input


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: L1(-0.1), ValueError, "L1: lam: expected at least 0, got -0.1"),
        (lambda: L2(np.nan), ValueError, "L2: lam: expected a finite number, got nan"),
        (lambda: ElasticNet(0.1, 1.2), ValueError, "l1_ratio: expected from 0 to 1, got 1.2"),
        (lambda: GroupLasso("much"), ValueError, "expected a finite number, got 'much'"),
        (lambda: GroupLasso(0.1, groups="rows"), ValueError, "expected 'out', 'in', 'channel'"),
        (lambda: GroupLasso(0.1, groups=[0.5, 1.5]), ValueError, "expected integers, got float64"),
        (lambda: MaxNorm(True), ValueError, "limit: expected a finite number"),
        (lambda: WeightDecay(np.inf), ValueError, "WeightDecay: lam"),
        (lambda: MCP(0.1, 0.0), ValueError, "MCP: gamma: expected at least"),
        (lambda: SCAD(0.1, 2.0), ValueError, "SCAD: gamma: expected at least 2.0"),
        (lambda: L0(0.1, gamma=0.1), ValueError, "L0: gamma: expected from"),
        (lambda: Box(1.0, 0.5), ValueError, r"Box\(lower=1.0, upper=0.5\): expected lower <="),
        (lambda: Support([1.0, 0.0]), ValueError, "Support: mask: expected bool, got float64"),
        (lambda: Support([True]).value(np.ones(3)), ShapeError, "expected 3 labels"),
        (lambda: L1Ball(-1.0), ValueError, "L1Ball: radius: expected at least 0"),
        (lambda: TotalVariation(0.1, axis=2).value(np.ones((2, 2))), ShapeError, "axis=2"),
        (lambda: NuclearNorm(0.1).value(np.ones(3)), ShapeError, "two axes or more"),
        (
            lambda: NuclearNorm(1).prox(np.eye(2), np.array([[1.0, 2], [1, 1]])),
            ValueError,
            "equal steps",
        ),
        (lambda: SparseGroupLasso(0.1, 1.5), ValueError, "l1_ratio: expected from 0 to 1"),
        (lambda: SparseGroupLasso(0.1, groups="row"), ValueError, "expected 'out', 'in'"),
        (lambda: L1(0.1).prox(np.ones(3), -0.1), ValueError, "steps of at least 0"),
        (lambda: L1(0.1).prox(np.ones(3), np.ones(2)), ShapeError, "a step for each entry"),
        (lambda: GroupLasso(0.1, groups=[0, 1]).value(np.ones(3)), ShapeError, "expected 3 labels"),
        (lambda: GroupLasso(0.1, groups="in").value(np.ones(3)), ShapeError, "expected 2 axes"),
    ],
)
def test_nonsense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("penalty", "bound"),
    [
        (MCP(0.1, 3.7), 3.7),
        (SCAD(0.1, 3.7), 2.7),
        (L0(2.5), 18 / 3**0.5 / 2.5),
        (Orthogonal(0.2), 1.25),
    ],
    ids=str,
)
def test_a_step_at_which_a_prox_has_several_values_is_refused(penalty, bound, rng):
    v = rng.normal(size=(3, 4))
    assert penalty.bound == pytest.approx(bound, rel=1e-12)
    assert np.isfinite(penalty.prox(v, bound * 0.999)).all()
    for step in (bound, bound * 1.3):
        with pytest.raises(ValueError, match=f"single-valued only for steps below {bound:.6g}"):
            penalty.prox(v, step)
        layer = mr.attach(nn.Linear(4, 3, bias=False, dtype=np.float64), penalty)
        before = layer.weight.data.copy()
        for make, lr in [
            (lambda p, lr: optim.SGD(p, lr=lr), step),
            (lambda p, lr: optim.SGD(p, lr=lr, momentum=0.75), step / 4),
            (lambda p, lr: optim.SGD(p, lr=lr, momentum=0.75, dampening=0.5), step / 2),
        ]:
            layer.weight.grad = mr.Tensor(v)
            with pytest.raises(ValueError, match=r"SGD: .* is single-valued only.*lower lr"):
                make(layer.parameters(), lr).step()
            np.testing.assert_array_equal(layer.weight.data, before)
            make(layer.parameters(), lr * 0.7).step()  # a shorter one is taken
            layer.weight.data = before.copy()


def test_a_penalty_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        L1(0.1).lam = 0.2
