"""Every prox is the prox: it minimises its objective, and has the properties that follow."""

import numpy as np
import pytest

from microreg.penalties import (
    L1,
    Box,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Simplex,
    SpectralNorm,
    SpectralPenalty,
)

from .objective import STEPS, TOLERANCE, lowest, objective, steps_for


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
