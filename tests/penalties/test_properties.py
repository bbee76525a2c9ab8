"""What every penalty promises: the prox is the prox, the distance is zero where w is optimal."""

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.errors import GradcheckError, ShapeError
from microreg.kernels import scalar
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
    SeparablePenalty,
    Simplex,
    SparseGroupLasso,
    SpectralNorm,
    SpectralPenalty,
    Support,
    TotalVariation,
    WeightDecay,
)

from .conftest import CONSTRAINTS

TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-12}
STEPS = [0.05, 0.9, 3.1]


def GATE(w, beta=0.5, gamma=-0.2, zeta=1.2):
    """The probability that a hard concrete gate with log_alpha = w is not zero."""
    return 1 / (1 + np.exp(-(w - beta * np.log(-gamma / zeta))))


def objective(penalty, w, v, step):
    """|w - v|^2 / (2 step) + value(w), in the metric of `step`."""
    return float((np.square(w - v) / (2 * np.asarray(step))).sum()) + penalty.value(w)


def lowest(cost, low, high):
    """Golden section: where a function that falls and then rises is lowest."""
    ratio = (5**0.5 - 1) / 2
    for _ in range(90):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    return (low + high) / 2


def steps_for(v, rng, penalty=None):
    """A step for each entry, over a factor of a hundred; one for all if the prox needs that."""
    shape = (1,) * v.ndim if isinstance(penalty, SpectralPenalty) else v.shape
    return np.exp(rng.uniform(np.log(0.03), np.log(3.0), shape)) * np.ones(v.shape)


# the prox


@pytest.mark.parametrize("step", STEPS)
def test_a_separable_prox_minimises_its_objective(separable, step):
    v = np.array([-4.0, -0.3, -1e-3, 0.0, 0.1, 0.77, 2.5])
    low = max(getattr(separable, "lower", -9.0), -9.0)
    high = min(getattr(separable, "upper", 9.0), 9.0)
    for v_j, w_j in zip(v, separable.prox(v, step), strict=True):

        def cost(w, v_j=v_j):
            value = separable.value_1d(np.float64(w), *map(np.float64, separable.params()))
            return (w - v_j) ** 2 / 2 + step * value

        assert cost(w_j) <= cost(lowest(cost, low, high)) + 1e-12


@pytest.mark.parametrize("step", [*STEPS, "diagonal"])
def test_no_move_away_from_a_prox_lowers_the_objective(penalty, step, points, rng):
    step = steps_for(points, rng, penalty) if step == "diagonal" else step
    w = penalty.prox(points, step)
    least = objective(penalty, w, points, step)
    assert np.isfinite(least)
    moved = [shrink * w for shrink in (0.0, 0.5, 0.999, 1.001)]
    for size in (1e-6, 1e-3, 0.1, 2.0):
        for _ in range(40):
            move = size * rng.normal(size=w.shape) * (rng.random(w.shape) < 0.4)
            moved += [w + move, penalty.prox(w + move, 1e-9 * np.ones(w.shape))]
            moved.append(np.where(w == 0, 0, w + move))
    for other in moved:
        assert objective(penalty, other, points, step) >= least - 2e-12 * max(1, least)


@pytest.mark.parametrize("groups", ["out", "in", [[0, 1], [1, 1]]], ids=str)
def test_a_grouped_prox_is_what_a_general_minimiser_finds(groups, rng):
    optimize = pytest.importorskip("scipy.optimize")
    grouped = GroupLasso(0.37, groups)
    v = rng.normal(size=(2, 2))
    step = steps_for(v, rng)
    found = optimize.minimize(
        lambda w: objective(grouped, w.reshape(2, 2), v, step),
        v.ravel() * 0.9,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000, "maxfev": 8000},
    )
    w = grouped.prox(v, step)
    assert objective(grouped, w, v, step) <= found.fun + 1e-12
    np.testing.assert_allclose(w.ravel(), found.x, atol=1e-4)


def residuals(grouped, v, w, step):
    """How far each group is from the scalar equation that its norm, or its multiplier, solves."""
    order, starts, sizes = grouped.members(v.shape)
    weights = grouped.weights(sizes)
    for start, size, weight in zip(starts, sizes, weights, strict=True):
        i = order[start : start + size]
        a, u, s = v.ravel()[i], w.ravel()[i], step.ravel()[i]
        norm = np.linalg.norm(u)
        if isinstance(grouped, MaxNorm):
            yield max(norm / grouped.limit - 1, 0)
            if np.linalg.norm(a) > grouped.limit:
                yield norm / grouped.limit - 1
                t = (a - u)[a != 0] / (s * u)[a != 0]
                yield np.ptp(t) / t.max()
        elif norm > 0:
            yield ((a / (norm + s * grouped.lam * weight)) ** 2).sum() - 1
        else:
            yield max(np.linalg.norm(a / s) - grouped.lam * weight, 0)


@pytest.mark.parametrize("spread", [1.0, 7.0, 1e4])
def test_a_grouped_prox_solves_its_equation_to_the_last_digits(grouped, spread, points, rng):
    step = 0.2 * np.exp(rng.uniform(-np.log(spread), np.log(spread), points.shape))
    found = list(residuals(grouped, points, grouped.prox(points, step), step))
    assert found and np.abs(found).max() <= 1e-12


def test_the_prox_of_step_zero_is_v(finite, points):
    np.testing.assert_allclose(finite.prox(points, 0.0), points, rtol=1e-15)
    if not isinstance(finite, SpectralPenalty):
        mixed = np.where(np.arange(points.size).reshape(points.shape) % 3, 0.4, 0.0)
        got = finite.prox(points, mixed)
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got[mixed == 0], points[mixed == 0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("step", [*STEPS, "diagonal"])
def test_a_convex_prox_is_firmly_non_expansive(convex, step, points, rng):
    step = steps_for(points, rng, convex) if step == "diagonal" else step
    for size in (1e-3, 0.3, 4.0):
        other = points + size * rng.normal(size=points.shape)
        moved = convex.prox(points, step) - convex.prox(other, step)
        along = (moved * (points - other) / step).sum()
        assert (np.square(moved) / step).sum() <= along + 1e-12 * max(1, abs(along))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("lam", [0.2, 0.7, 1.9])
def test_moreau_a_point_is_its_prox_plus_the_prox_of_the_conjugate(lam, step, points):
    conjugates = [  # of a norm: the constraint that the dual norm is at most lam
        (L1(lam), Box(-lam, lam)),
        (GroupLasso(lam, weighted=False), MaxNorm(lam)),
        (GroupLasso(lam, "in", weighted=False), MaxNorm(lam, "in")),
        (GroupLasso(lam, "all", weighted=False), L2Ball(lam)),
        (NuclearNorm(lam), SpectralNorm(lam)),
        (NonNegative(), Box(-np.inf, 0.0)),
    ]
    for penalty, dual in conjugates:
        rest = step * dual.prox(points / step, 1 / step)
        np.testing.assert_allclose(penalty.prox(points, step) + rest, points, atol=2e-14)
    # the other way round: the largest |w_i| is the dual of the l1 ball
    inside = L1Ball(lam).prox(points, step)
    largest = points - inside
    assert np.abs(largest).max() * lam == pytest.approx((inside * largest).sum(), abs=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constraint_projects(constraint, dtype, points, rng):
    v = points.astype(dtype)
    step = steps_for(v, rng, constraint).astype(dtype)
    inside = constraint.prox(v, step)
    assert constraint.value(v * 3) == np.inf and constraint.value(inside) == 0
    tolerance = {"rtol": TOLERANCE[v.dtype], "atol": TOLERANCE[v.dtype] / 10}
    np.testing.assert_allclose(constraint.prox(inside, step), inside, **tolerance)
    if not isinstance(constraint, Simplex):
        middle = np.clip(inside * dtype(0.9), *ends(constraint))
        np.testing.assert_array_equal(constraint.prox(middle, step), middle)
    if isinstance(constraint, MaxNorm):
        moved = constraint.norms(v) > constraint.limit
        norms = constraint.norms(inside)
        assert moved.any()
        np.testing.assert_allclose(norms[moved], constraint.limit, rtol=TOLERANCE[v.dtype])
    with pytest.raises(TypeError, match="no gradient"):
        constraint.grad(v)
    with pytest.raises(TypeError, match="no strength"):
        constraint.lam_max(v)


def ends(constraint):
    return (
        (constraint.lower, constraint.upper) if isinstance(constraint, Box) else (-np.inf, np.inf)
    )


@pytest.mark.parametrize("limit", [0.0, 0.6])
def test_max_norm_of_zero_and_of_a_zero_group(limit):
    w = MaxNorm(limit).prox(np.array([[3.0, 4.0], [0.0, 0.0]]), 0.3)
    np.testing.assert_allclose(w, [[0.6 * limit, 0.8 * limit], [0, 0]], atol=1e-15)


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


# proxcheck, and a penalty of one's own


@scalar
def tilted_value(w, up, down):
    return up * w if w > type(w)(0) else -down * w


@scalar
def tilted_grad(w, up, down):
    if w > type(w)(0):
        return up
    return -down if w < type(w)(0) else type(w)(0)


@scalar
def tilted_prox(v, step, up, down):
    if v > step * up:
        return v - step * up
    return v + step * down if v < -step * down else type(v)(0)


@dataclass(frozen=True)
class TiltedL1(SeparablePenalty):
    """An l1 penalty with a slope for each sign."""

    up: float
    down: float
    value_1d = staticmethod(tilted_value)
    grad_1d = staticmethod(tilted_grad)
    prox_1d = staticmethod(tilted_prox)


FEW = np.array([[-3.1, -0.4, 0.0], [0.02, 0.9, 2.7]])
CHECKED = [L1(0.7), L2(0.3), ElasticNet(0.8, 0.3), GroupLasso(0.4), TiltedL1(0.2, 1.5)]
MORE = [
    *[MaxNorm(1.3), NonNegative(), TiltedL1(0.0, 0.9), L1(1e-4), GroupLasso(40.0, "in")],
    *[
        MCP(0.3, 3.3),
        SCAD(0.4, 4.4),
        L0(0.7),
        Box(-0.2, 0.9),
        L1Ball(1.3),
        L2Ball(0.7),
        Simplex(1.2),
    ],
    *[
        SparseGroupLasso(0.4),
        TotalVariation(0.3),
        NuclearNorm(0.4),
        SpectralNorm(0.7),
        Orthogonal(0.05),
        Support(FEW > 0),
    ],
]


@pytest.mark.parametrize("penalty", [*CHECKED, *MORE], ids=str)
def test_proxcheck_accepts_what_is_right(penalty):
    assert mr.proxcheck(penalty, FEW)


def wrong(penalty, method, change):
    """A copy whose method's result is changed."""
    made = copy.copy(penalty)
    right = getattr(penalty, method)
    object.__setattr__(made, method, lambda *args: change(right(*args)))
    return made


@pytest.mark.parametrize("points", [None, FEW], ids=["default", "few"])
@pytest.mark.parametrize("method", ["prox", "grad"])
@pytest.mark.parametrize("penalty", CHECKED, ids=str)
def test_proxcheck_refuses_an_error_of_a_thousandth(penalty, method, points):
    for factor in (0.999, 1.001):
        bad = wrong(penalty, method, lambda out, factor=factor: out * factor)
        assert not mr.proxcheck(bad, points, raise_exception=False)
        with pytest.raises(GradcheckError, match=f"proxcheck: {type(penalty).__name__}.*step"):
            mr.proxcheck(bad, points)


def test_proxcheck_refuses_a_wrong_gradient_of_a_weak_penalty():
    assert not mr.proxcheck(wrong(L1(1e-4), "grad", lambda g: 1.001 * g), raise_exception=False)


def test_proxcheck_refuses_a_prox_that_moves_at_step_zero():
    def shifted(v, step):
        return L1(0.7).prox(v, step if step else 1e-3)

    bad = copy.copy(L1(0.7))
    object.__setattr__(bad, "prox", shifted)
    with pytest.raises(GradcheckError, match="step 0"):
        mr.proxcheck(bad, FEW)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_penalty_of_ones_own_trains_in_the_fused_update(dtype, rng):
    layer = mr.attach(nn.Linear(7, 5, bias=False, dtype=dtype), TiltedL1(0.02, 0.3))
    optimizer = optim.Adam(layer.parameters(), lr=1e-2)
    X, target = rng.normal(size=(2, 40, 7)).astype(dtype)
    for _ in range(400):
        optimizer.zero_grad()
        loss = ((layer(mr.tensor(X)) - mr.tensor(target[:, :5])) ** 2).mean()
        loss.backward()
        optimizer.step()
    w = layer.weight.data
    assert w.dtype == dtype and (w == 0).any() and (w > 0).any()
    assert (w < 0).sum() < (w > 0).sum()  # the negative side costs fifteen times as much


# another library


def test_the_same_numbers_as_skglm(rng):
    theirs = pytest.importorskip("skglm.penalties")
    v = rng.normal(size=40) * 2
    for lam in (0.1, 0.7, 1.9):
        pairs = [
            (L1(lam), theirs.L1(lam)),
            (ElasticNet(lam, 0.3), theirs.L1_plus_L2(lam, 0.3)),
            (MCP(lam, 3.7), theirs.MCPenalty(lam, 3.7)),
            (SCAD(lam, 4.7), theirs.SCAD(lam, 4.7)),
            (NonNegative(), theirs.PositiveConstraint()),
            (Box(0.0, lam), theirs.IndicatorBox(lam)),
        ]
        for ours, other in pairs:
            for step in STEPS:
                want = [other.prox_1d(x, step, 0) for x in v]
                np.testing.assert_allclose(ours.prox(v, step), want, rtol=1e-13)
            if not isinstance(ours, (NonNegative, Box)):
                assert ours.value(v) == pytest.approx(other.value(v), rel=1e-13)


def test_the_same_groups_as_skglm(rng):
    theirs = pytest.importorskip("skglm.penalties")
    v = rng.normal(size=(5, 4)) * 2
    pointers, members = np.arange(0, 21, 4), np.arange(20)
    for lam in (0.1, 0.7, 1.9):
        other = theirs.WeightedGroupL2(lam, np.full(5, 2.0), pointers, members)
        for step in STEPS:
            want = [other.prox_1group(row, step, g) for g, row in enumerate(v)]
            np.testing.assert_allclose(GroupLasso(lam).prox(v, step), want, rtol=1e-13)
        assert GroupLasso(lam).value(v) == pytest.approx(other.value(v.ravel()), rel=1e-13)
