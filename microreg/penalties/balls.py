"""Constraints on groups of weights: norms that are bounded, and the simplex."""

import math
from dataclasses import dataclass

import numpy as np

from ..kernels import lines
from .base import to_zero, within
from .group import ratio
from .joint import LinePenalty

EDGE = 1e-6  # relative: a point so near a boundary lies on it
HALVINGS = 200


@dataclass(frozen=True, eq=False)
class MaxNorm(LinePenalty):
    """The constraint ||w_g|| <= limit, one group for each output unit unless told otherwise.

    prox: the projection, in the metric of `step`; with equal steps w_g = v_g * limit / ||v_g||
    where ||v_g|| exceeds it.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014), section 5.1.
    """

    limit: float
    groups: object = "out"
    limits = within(limit=(0, math.inf))
    cone = True
    prox_line = staticmethod(lines.limit_norm)
    value_line = staticmethod(lines.norm_within)

    def residual(self, w, low, high):
        """The normal cone: 0 inside, the ray along w_g on the boundary, all if the limit is 0."""
        norms, limit = self.norms(w), self.params()[0]
        along = self.sums(np.where(w != 0, w * low, 0))
        edge = norms >= limit * (1 - EDGE)
        t = self.spread(ratio(np.maximum(-along, 0) * edge, norms**2), w.shape)
        distance, slack = to_zero(low + t * w, high + t * w)
        outside = self.spread(norms, w.shape) > limit * (1 + EDGE)
        return np.where(outside, np.inf, distance * (limit > 0)), slack * (limit > 0)


@dataclass(frozen=True, eq=False)
class L2Ball(MaxNorm):
    """The constraint ||w|| <= limit on a whole parameter, or on each of its groups."""

    groups: object = "all"


@dataclass(frozen=True, eq=False)
class L1Ball(LinePenalty):
    """The constraint sum |w_i| <= radius on a whole parameter, or on each of its groups.

    prox: the projection w_i = sign(v_i) * max(|v_i| - step_i * t, 0) with the t >= 0 that puts w on
    the boundary, or v where it is inside.

    References
    ----------
    Duchi, Shalev-Shwartz, Singer, Chandra, "Efficient Projections onto the l1-Ball for Learning in
    High Dimensions", ICML 2008.
    """

    radius: float
    groups: object = "all"
    limits = within(radius=(0, math.inf))
    cone = True
    prox_line = staticmethod(lines.limit_sum)
    value_line = staticmethod(lines.sum_within)

    def residual(self, w, low, high):
        """The normal cone: 0 inside; on the boundary t * sign(w_i), |.| <= t at zeros, t >= 0."""
        radius, totals = self.params()[0], self.sums(np.abs(w))
        edge = self.spread(totals >= radius * (1 - EDGE), w.shape) > 0
        sign, left = np.sign(w), to_zero(low, high)[0]

        def slope(t):
            t = self.spread(t, w.shape)
            return self.sums(np.where(w != 0, sign * low + t, -np.maximum(left - t, 0)))

        scale = np.abs(np.where(w != 0, low, left)).max(initial=0.0)
        t = self.spread(np.maximum(_root(slope, scale, totals), 0), w.shape) * edge
        distance, slack = to_zero(
            np.where(w != 0, low + t * sign, low - t), np.where(w != 0, high + t * sign, high + t)
        )
        outside = self.spread(totals, w.shape) > radius * (1 + EDGE)
        return np.where(outside, np.inf, distance * (radius > 0)), slack * (radius > 0)


@dataclass(frozen=True, eq=False)
class Simplex(LinePenalty):
    """The constraint w_i >= 0, sum w_i = total on a whole parameter, or on each of its groups.

    prox: the projection w_i = max(v_i - step_i * t, 0) with the t that gives the sum.

    References
    ----------
    Held, Wolfe, Crowder, "Validation of Subgradient Optimization", Math. Programming 6 (1974).
    """

    total: float = 1.0
    groups: object = "all"
    limits = within(total=(0, math.inf))
    prox_line = staticmethod(lines.to_simplex)
    value_line = staticmethod(lines.on_simplex)

    def residual(self, w, low, high):
        """The normal cone: any constant where w_i > 0, that or less at zeros."""
        scale = np.abs(low).max(initial=0.0)

        def slope(t):
            moved = low + self.spread(t, w.shape)
            return self.sums(np.where(w > 0, moved, np.minimum(moved, 0)))

        sums = self.sums(w)
        moved = low + self.spread(_root(slope, scale, sums), w.shape)
        off = np.abs(self.spread(sums, w.shape) - self.params()[0]) > EDGE * self.params()[0]
        distance = np.where(w > 0, np.abs(moved), np.maximum(-moved, 0))
        slack = np.where(w > 0, 0, np.maximum(moved, 0))
        return np.where(off | (w < 0), np.inf, distance), slack


def _root(slope, scale, like):
    """For each group the t within +-scale at which a slope that rises with t is 0."""
    low, high = np.full(like.shape, -scale), np.full(like.shape, scale)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = slope(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2
