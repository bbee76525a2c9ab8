"""proxcheck, penalties of one's own, and the same numbers as another library."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.errors import GradcheckError
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
    Support,
    TotalVariation,
)

from .objective import STEPS


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
