"""Every penalty, each at three values or more of every parameter. A new one needs a line here."""

import numpy as np
import pytest

from microreg.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, NonNegative

LABELS = np.array([[0, 3, 3, 0], [1, 1, 3, 0], [3, 1, 0, 7], [0, 0, 1, 7], [7, 3, 3, 1]])  # 5 x 4

SEPARABLE = [
    *[L1(lam) for lam in (0.0, 0.13, 0.7, 2.9)],
    *[L2(lam) for lam in (0.0, 0.17, 0.9, 3.1)],
    *[ElasticNet(lam, l1_ratio) for lam in (0.13, 0.8, 2.3) for l1_ratio in (0.0, 0.3, 0.85, 1.0)],
    NonNegative(),
]
GROUPED = [
    GroupLasso(0.3, groups="out"),
    GroupLasso(0.0, groups="in"),
    GroupLasso(0.7, groups="in"),
    GroupLasso(1.7, groups="channel", weighted=False),
    GroupLasso(0.45, groups=LABELS),
    MaxNorm(0.4),
    MaxNorm(1.3, groups="in"),
    MaxNorm(2.1, groups=LABELS),
]
SHAPE = LABELS.shape


def name(penalty):
    text = f"{type(penalty).__name__}({penalty.strength})"
    if isinstance(penalty, ElasticNet):
        return text[:-1] + f",{penalty.l1_ratio})"
    groups = getattr(penalty, "groups", "")
    return f"{text}{groups if isinstance(groups, str) else 'labels'}"


def over(penalties):
    @pytest.fixture(params=penalties, ids=name)
    def chosen(request):
        return request.param

    return chosen


penalty = over(SEPARABLE + GROUPED)
separable = over(SEPARABLE)
grouped = over(GROUPED)
smooth = over([p for p in SEPARABLE + GROUPED if not isinstance(p, (NonNegative, MaxNorm))])
constraint = over([p for p in SEPARABLE + GROUPED if isinstance(p, (NonNegative, MaxNorm))])


@pytest.fixture
def rng():
    return np.random.default_rng(23)


@pytest.fixture
def points(rng):
    """Random points of the shape that the labels have, one row and one column of them zero."""
    v = rng.normal(size=SHAPE) * np.array([3.0, 1.0, 0.3, 1.0])
    v[3], v[:, 2] = 0.0, 0.0
    return v
