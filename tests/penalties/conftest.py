"""Every penalty, each at three values or more of every parameter. A new one needs a line here."""

import numpy as np
import pytest

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
    SpectralPenalty,
    Support,
    TotalVariation,
)

LABELS = np.array([[0, 3, 3, 0], [1, 1, 3, 0], [3, 1, 0, 7], [0, 0, 1, 7], [7, 3, 3, 1]])  # 5 x 4
SHAPE = LABELS.shape

NOT_CONVEX = [  # none refuses a step of 3.1
    *[MCP(lam, gamma) for lam in (0.0, 0.21, 1.3) for gamma in (3.2, 4.7, 31.0)],
    *[SCAD(lam, gamma) for lam in (0.0, 0.21, 1.3) for gamma in (4.2, 5.7, 29.0)],
    *[L0(lam) for lam in (0.0, 0.3, 2.1)],
    L0(0.7, 0.4, -0.3, 1.4),
    L0(1.3, 0.9, -0.07, 1.2),
    *[Orthogonal(lam) for lam in (0.0, 0.013, 0.07)],
]
CONSTRAINTS = [
    NonNegative(),
    *[Box(-0.3, 0.7), Box(0.0, np.inf), Box(-np.inf, 0.2), Box(0.1, 0.4), Box(-1.7, -0.2)],
    *[MaxNorm(0.4), MaxNorm(1.3, groups="in"), MaxNorm(2.1, groups=LABELS)],
    *[L2Ball(0.4), L2Ball(1.3, groups="in"), L2Ball(2.1, groups=LABELS)],
    *[L1Ball(0.7), L1Ball(1.3, groups="out"), L1Ball(2.1, groups=LABELS)],
    *[Simplex(), Simplex(0.7, groups="out"), Simplex(2.3, groups="in"), Simplex(1.4, LABELS)],
    *[SpectralNorm(limit) for limit in (0.3, 1.4, 2.7)],
    *[Support(label != LABELS) for label in (0, 3)],
]
CONVEX = [
    *[L1(lam) for lam in (0.0, 0.13, 0.7, 2.9)],
    *[L2(lam) for lam in (0.0, 0.17, 0.9, 3.1)],
    *[ElasticNet(lam, l1_ratio) for lam in (0.13, 0.8, 2.3) for l1_ratio in (0.0, 0.3, 0.85, 1.0)],
    GroupLasso(0.3, groups="out"),
    GroupLasso(0.0, groups="in"),
    GroupLasso(0.7, groups="in"),
    GroupLasso(1.7, groups="channel", weighted=False),
    GroupLasso(0.45, groups=LABELS),
    GroupLasso(0.2, groups="all"),
    SparseGroupLasso(0.4),
    SparseGroupLasso(0.8, 0.2, groups="in"),
    SparseGroupLasso(1.1, 0.9, groups=LABELS, weighted=False),
    SparseGroupLasso(0.3, 0.0),
    SparseGroupLasso(0.3, 1.0),
    TotalVariation(0.0),
    TotalVariation(0.23),
    TotalVariation(0.6, axis=0),
    TotalVariation(1.9),
    *[NuclearNorm(lam) for lam in (0.0, 0.14, 0.6, 1.9)],
]
ALL = CONVEX + CONSTRAINTS + NOT_CONVEX


def name(penalty):
    text = f"{type(penalty).__name__}({penalty.strength})"
    for field in ("l1_ratio", "gamma", "axis"):
        if hasattr(penalty, field):
            text = f"{text[:-1]},{getattr(penalty, field)})"
    groups = getattr(penalty, "groups", "")
    return f"{text}{'labels' if isinstance(groups, np.ndarray) else groups}"


def over(penalties):
    @pytest.fixture(params=penalties, ids=name)
    def chosen(request):
        return request.param

    return chosen


penalty = over(ALL)
separable = over([p for p in ALL if hasattr(p, "prox_1d") and not isinstance(p, SpectralPenalty)])
grouped = over([p for p in ALL if isinstance(p, (GroupLasso, MaxNorm))])
convex = over(CONVEX + CONSTRAINTS)
finite = over(CONVEX + NOT_CONVEX)
constraint = over(CONSTRAINTS)


@pytest.fixture
def rng():
    return np.random.default_rng(23)


@pytest.fixture
def points(rng):
    """Random points of the shape that the labels have, one row and one column of them zero."""
    v = rng.normal(size=SHAPE) * np.array([3.0, 1.0, 0.3, 1.0])
    v[3], v[:, 2] = 0.0, 0.0
    return v
