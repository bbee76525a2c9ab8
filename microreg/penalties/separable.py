"""Penalties that are sums over entries: each is three scalar formulas and a frozen dataclass."""

import math
from dataclasses import dataclass

import numpy as np

from ..kernels._jit import scalar
from .base import Penalty, SeparablePenalty, numbers, to_zero, within


@scalar
def soft_threshold(v, threshold):
    """sign(v) * max(|v| - threshold, 0)."""
    if v > threshold:
        return v - threshold
    return v + threshold if v < -threshold else v * type(v)(0)


@scalar
def sign(v):
    """-1, 0 or 1; NaN stays NaN."""
    if v > type(v)(0):
        return type(v)(1)
    return type(v)(-1) if v < type(v)(0) else v * type(v)(0)


@scalar
def _l1_value(w, lam):
    return lam * abs(w)


@scalar
def _l1_grad(w, lam):
    return lam * sign(w)


@scalar
def _l1_prox(v, step, lam):
    return soft_threshold(v, step * lam)


@dataclass(frozen=True)
class L1(SeparablePenalty):
    """Omega(w) = lam * sum |w_i|. Weights of little use become exactly zero.

    prox: sign(v) * max(|v| - step * lam, 0). Subdifferential at 0: [-lam, lam].

    References
    ----------
    Tibshirani, "Regression Shrinkage and Selection via the Lasso", JRSS B 58 (1996).
    """

    lam: float
    limits = within(lam=(0, math.inf))
    value_1d = staticmethod(_l1_value)
    grad_1d = staticmethod(_l1_grad)
    prox_1d = staticmethod(_l1_prox)


@scalar
def _l2_value(w, lam):
    return lam * w * w


@scalar
def _l2_grad(w, lam):
    return (lam + lam) * w


@scalar
def _l2_prox(v, step, lam):
    return v / (type(v)(1) + step * (lam + lam))


@dataclass(frozen=True)
class L2(SeparablePenalty):
    """Omega(w) = lam * sum w_i^2, without a half: the gradient is 2 * lam * w.

    prox: v / (1 + 2 * step * lam). Under plain SGD torch's weight_decay is 2 * lam.
    """

    lam: float
    limits = within(lam=(0, math.inf))
    value_1d = staticmethod(_l2_value)
    grad_1d = staticmethod(_l2_grad)
    prox_1d = staticmethod(_l2_prox)


@scalar
def _elastic_value(w, lam, l1_ratio):
    half = type(w)(0.5) * (type(w)(1) - l1_ratio)
    return lam * (l1_ratio * abs(w) + half * w * w)


@scalar
def _elastic_grad(w, lam, l1_ratio):
    return lam * (l1_ratio * sign(w) + (type(w)(1) - l1_ratio) * w)


@scalar
def _elastic_prox(v, step, lam, l1_ratio):
    shrink = type(v)(1) + step * lam * (type(v)(1) - l1_ratio)
    return soft_threshold(v, step * lam * l1_ratio) / shrink


@dataclass(frozen=True)
class ElasticNet(SeparablePenalty):
    """Omega(w) = lam * sum (l1_ratio * |w_i| + (1 - l1_ratio) / 2 * w_i^2).

    The convention of scikit-learn and glmnet: here L2's part has its half.
    prox: soft_threshold(v, step*lam*l1_ratio) / (1 + step*lam*(1 - l1_ratio)).

    References
    ----------
    Zou, Hastie, "Regularization and Variable Selection via the Elastic Net", JRSS B 67 (2005).
    """

    lam: float
    l1_ratio: float = 0.5
    limits = within(lam=(0, math.inf), l1_ratio=(0, 1))
    value_1d = staticmethod(_elastic_value)
    grad_1d = staticmethod(_elastic_grad)
    prox_1d = staticmethod(_elastic_prox)


class Constraint(SeparablePenalty):
    """A set: value is 0 inside and inf outside, and there is no gradient."""

    def grad(self, w):
        return Penalty.grad(self, w)

    def lam_max(self, grad):
        return Penalty.lam_max(self, grad)


@scalar
def _nonnegative_value(w):
    return type(w)(0) if w >= type(w)(0) else type(w)(np.inf)


@scalar
def _nonnegative_prox(v, step):
    return type(v)(0) if v <= type(v)(0) else v


@dataclass(frozen=True)
class NonNegative(Constraint):
    """The constraint w_i >= 0. value is 0 or inf; prox: max(v, 0)."""

    value_1d = staticmethod(_nonnegative_value)
    prox_1d = staticmethod(_nonnegative_prox)

    @property
    def strength(self):
        return None

    def slopes(self, w):
        """The normal cone: {0} where w > 0, (-inf, 0] at 0, nothing below."""
        return normal_cone(w, 0.0, np.inf)


def normal_cone(w, lower, upper):
    """The normal cone of lower <= w <= upper as an interval for each entry, empty outside."""
    inside = (lower <= w) & (w <= upper)
    below = np.where(inside, np.where(w == lower, -np.inf, 0.0), np.inf)
    above = np.where(inside, np.where(w == upper, np.inf, 0.0), -np.inf)
    return below, above


@scalar
def _box_value(w, lower, upper):
    return type(w)(0) if lower <= w and w <= upper else type(w)(np.inf)


@scalar
def _box_prox(v, step, lower, upper):
    if v < lower:
        return lower
    return upper if v > upper else v


@dataclass(frozen=True)
class Box(Constraint):
    """The constraint lower <= w_i <= upper; either may be infinite. prox: clip(v, lower, upper)."""

    lower: float
    upper: float
    value_1d = staticmethod(_box_value)
    prox_1d = staticmethod(_box_prox)

    def __post_init__(self):
        if not float(self.lower) <= float(self.upper):
            raise ValueError(
                f"Box(lower={self.lower}, upper={self.upper}): expected lower <= upper"
            )

    @property
    def strength(self):
        return f"{self.lower} to {self.upper}"

    def slopes(self, w):
        """The normal cone: up to 0 at the lower end, from 0 on at the upper one."""
        return normal_cone(w, *map(w.dtype.type, self.params()))


@dataclass(frozen=True)
class WeightDecay(Penalty):
    """Decoupled weight decay: each step first multiplies w by 1 - lr * lam, whatever the rule.

    It is not the gradient of a function under adaptive optimizers, so value is 0 and there is
    no prox; under plain SGD it equals L2(lam / 2) up to the order of the two shrinkages.

    References
    ----------
    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    lam: float
    limits = within(lam=(0, math.inf))

    def value(self, w):
        return 0.0

    def grad(self, w):
        return np.zeros_like(numbers(w))

    def prox(self, v, step):
        """The shrinkage itself: v * (1 - step * lam)."""
        v = numbers(v)
        return v * (1 - self.steps(step, v) * v.dtype.type(self.number("lam")))

    def residual(self, w, low, high):
        """A fixed point of a decayed SGD step has -grad = lam * w."""
        pull = w.dtype.type(self.number("lam")) * w
        return to_zero(low + pull, high + pull)
