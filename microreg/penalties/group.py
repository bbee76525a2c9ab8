"""Group lasso: whole units, inputs or channels become exactly zero."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..kernels import lines
from ..ops.arithmetic import add
from .base import Penalty, numbers, to_zero, within
from .joint import LinePenalty
from .separable import L1


def ratio(a, b):
    """a / b, and 0 where b is."""
    return np.divide(a, b, where=b > 0, out=np.zeros_like(b))


@dataclass(frozen=True, eq=False)
class GroupLasso(LinePenalty):
    """Omega(w) = lam * sum_g sqrt(size_g) * ||w_g||: whole groups become exactly zero.

    prox: w_g = v_g * max(1 - step * lam * sqrt(size_g) / ||v_g||, 0). With a step for each entry
    the norm of w_g solves a scalar equation (`kernels.lines`).

    Parameters
    ----------
    lam : float or Schedule
        The strength.
    groups : "out", "in", "channel", "all" or int array, default "out"
        One group for each output unit, each input, each filter, a single one, or one for each
        label.
    weighted : bool, default True
        Whether a group counts by the root of its size; False: all alike.

    References
    ----------
    Yuan, Lin, "Model Selection and Estimation in Regression with Grouped Variables", JRSS B 68
    (2006). Deleu, Bengio, "Structured Sparsity Inducing Adaptive Optimizers", arXiv:2102.03869.
    """

    lam: float
    groups: object = "out"
    weighted: bool = True
    limits = within(lam=(0, math.inf))
    cone = True
    prox_line = staticmethod(lines.shrink_norm)
    value_line = staticmethod(lines.norm_value)
    slope_line = staticmethod(lines.norm_slope)

    def weights(self, sizes):
        return np.sqrt(sizes) if self.weighted else np.ones(len(sizes))

    def _weights(self, w):
        return self.weights(self.members(w.shape)[2])

    def residual(self, w, low, high):
        """At a zero group the norm of what is left of [low, high], beyond its bound."""
        bound = self.number("lam") * self._weights(w)
        norms = self.norms(w)
        slope = w * self.spread(ratio(bound, norms), w.shape)
        distance, slack = to_zero(low + slope, high + slope)
        left = to_zero(low, high)[0]
        size = self.norms(left)
        share = self.spread(ratio(np.maximum(size - bound, 0), size), w.shape)
        inside = self.spread(np.maximum(bound - size, 0), w.shape)
        alive = self.spread(norms, w.shape) > 0
        return np.where(alive, distance, left * share), np.where(alive, slack, inside)

    def lam_max(self, grad):
        grad = numbers(grad)
        return float((self.norms(grad) / self._weights(grad)).max())


@dataclass(frozen=True, eq=False)
class SparseGroupLasso(Penalty):
    """Omega(w) = lam * (l1_ratio * sum |w_i| + (1 - l1_ratio) * sum_g sqrt(size_g) * ||w_g||).

    Whole groups become zero, and single weights in those that stay. The sum of L1 and GroupLasso:
    its prox is that of GroupLasso after that of L1, in any diagonal metric.

    References
    ----------
    Simon, Friedman, Hastie, Tibshirani, "A Sparse-Group Lasso", J. Comput. Graph. Stat. 22 (2013).
    """

    lam: float
    l1_ratio: float = 0.5
    groups: object = "out"
    weighted: bool = True
    limits = within(lam=(0, math.inf), l1_ratio=(0, 1))

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "groups", self._group.groups)

    @property
    def _group(self):
        share = self.number("lam") * (1.0 - self.number("l1_ratio"))
        return GroupLasso(share, self.groups, self.weighted)

    @property
    def parts(self):
        """L1 and GroupLasso, with their strengths now."""
        return [L1(self.number("lam") * self.number("l1_ratio")), self._group]

    def check_shape(self, shape):
        self._group.check_shape(shape)

    def measure(self, w, dtype):
        first, second = (part.measure(w, dtype) for part in self.parts)
        return add.lower(first, second)  # by launches alone

    def grad(self, w):
        first, second = (part.grad(w) for part in self.parts)
        return add.lower(first, second)  # by launches alone

    def prox(self, v, step):
        v, (first, second) = numbers(v), self.parts
        return second.prox(first.prox(v, step), step)

    def residual(self, w, low, high):
        first, second = self.parts
        below, above = first.slopes(w)
        return second.residual(w, low + below, high + above)

    def lam_max(self, grad):
        """The strength at which the last group's norm, after the l1 part, is at its bound."""
        low, high = 0.0, 1.0
        while self._moves(high, grad):
            high *= 2.0
        for _ in range(100):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self._moves(middle, grad) else (low, middle)
        return high

    def _moves(self, lam, grad):
        """Whether 0 is not optimal at this strength."""
        made = dataclasses.replace(self, lam=lam)
        return bool(made.subdiff_distance(np.zeros_like(numbers(grad)), grad).max(initial=0.0) > 0)
