"""Penalties that are not convex: they leave large weights alone.

Their prox is single-valued for steps below `bound` only: `prox` and optimizers with one step for
all weights refuse others; an adaptive optimizer shortens the steps of single weights to half of it.
"""

import math
from dataclasses import dataclass

from ..kernels import vecmath
from ..kernels._jit import scalar
from .base import Penalty, SeparablePenalty, within
from .separable import sign, soft_threshold


@scalar
def _mcp_value(w, lam, gamma):
    size = abs(w)
    if size <= gamma * lam:
        return lam * size - w * w / (gamma + gamma)
    return lam * lam * gamma * type(w)(0.5) + type(w)(0) * size


@scalar
def _mcp_grad(w, lam, gamma):
    return sign(w) * lam - w / gamma if abs(w) <= gamma * lam else w * type(w)(0)


@scalar
def _mcp_prox(v, step, lam, gamma):
    if abs(v) <= gamma * lam:
        return soft_threshold(v, step * lam) / (type(v)(1) - step / gamma)
    return v


@dataclass(frozen=True)
class MCP(SeparablePenalty):
    """Omega(w) = sum of lam |w_i| - w_i^2 / (2 gamma) up to |w_i| = gamma lam, then constant.

    prox: soft_threshold(v, step * lam) / (1 - step / gamma) for |v| <= gamma lam, v beyond.
    Single-valued for step < gamma.

    References
    ----------
    Zhang, "Nearly Unbiased Variable Selection under Minimax Concave Penalty", Ann. Stat. 38 (2010).
    """

    lam: float
    gamma: float = 3.0
    limits = within(lam=(0, math.inf), gamma=(1e-12, math.inf))
    value_1d = staticmethod(_mcp_value)
    grad_1d = staticmethod(_mcp_grad)
    prox_1d = staticmethod(_mcp_prox)

    @property
    def bound(self):
        return self.number("gamma")


@scalar
def _scad_value(w, lam, gamma):
    size, half = abs(w), type(w)(0.5)
    if size <= lam:
        return lam * size
    if size <= gamma * lam:
        below = gamma - type(w)(1)
        return (gamma * lam * size - half * (w * w + lam * lam)) / below
    return lam * lam * (gamma + type(w)(1)) * half + type(w)(0) * size


@scalar
def _scad_grad(w, lam, gamma):
    size = abs(w)
    if size <= lam:
        return lam * sign(w)
    if size <= gamma * lam:
        return sign(w) * (gamma * lam - size) / (gamma - type(w)(1))
    return w * type(w)(0)


@scalar
def _scad_prox(v, step, lam, gamma):
    size, one = abs(v), type(v)(1)
    if size <= lam * (one + step):
        return soft_threshold(v, step * lam)
    if size <= gamma * lam:
        return ((gamma - one) * v - sign(v) * (step * gamma * lam)) / (gamma - one - step)
    return v


@dataclass(frozen=True)
class SCAD(SeparablePenalty):
    """Omega(w) = sum of lam |w_i| up to lam, a parabola up to gamma lam, then constant; gamma > 2.

    slope: lam, then (gamma lam - |w|) / (gamma - 1), then 0.
    prox: soft_threshold(v, step * lam) for |v| <= lam (1 + step), then
    ((gamma - 1) v - sign(v) step gamma lam) / (gamma - 1 - step) up to gamma lam, v beyond.
    Single-valued for step < gamma - 1.

    References
    ----------
    Fan, Li, "Variable Selection via Nonconcave Penalized Likelihood", JASA 96 (2001).
    """

    lam: float
    gamma: float = 3.7
    limits = within(lam=(0, math.inf), gamma=(2 + 1e-12, math.inf))
    value_1d = staticmethod(_scad_value)
    grad_1d = staticmethod(_scad_grad)
    prox_1d = staticmethod(_scad_prox)

    @property
    def bound(self):
        return self.number("gamma") - 1.0


STEEPEST = 0.09622504486493763  # the largest |d^2/dx^2 sigmoid(x)|: sqrt(3) / 18
NEWTON = 60


@scalar
def _alive(w, shift):
    """The probability sigmoid(w - shift) that a gate is not zero."""
    return vecmath.sigmoid(w - shift)


@scalar
def _gate_value(w, lam, shift):
    return lam * _alive(w, shift)


@scalar
def _gate_grad(w, lam, shift):
    p = _alive(w, shift)
    return lam * p * (type(w)(1) - p)


@scalar
def _gate_prox(v, step, lam, shift):
    """The root u of u + a p(u) (1 - p(u)) = v, which rises, a = step * lam."""
    one, a = type(v)(1), step * lam
    low, high = v - a * type(v)(0.25), v
    u = low
    for _ in range(NEWTON):
        p = _alive(u, shift)
        slope = a * p * (one - p)
        value = u + slope - v
        low = u if value < type(v)(0) else low
        high = u if value > type(v)(0) else high
        new = u - value / (one + slope * (one - p - p))
        new = new if low <= new and new <= high else (low + high) * type(v)(0.5)
        if new == u:
            break
        u = new
    return u if v == v else v


@dataclass(frozen=True)
class L0(SeparablePenalty):
    """Omega(a) = lam * sum sigmoid(a_i - beta * log(-gamma / zeta)): the expected number of gates
    that are not zero, for the parameters `log_alpha` of `nn.HardConcrete`.

    prox: the root u of u + step * lam * p(u) (1 - p(u)) = v, p the sigmoid above; by Newton's
    method. Single-valued for step * lam < 18 / sqrt(3).

    References
    ----------
    Louizos, Welling, Kingma, "Learning Sparse Neural Networks through L0 Regularization", ICLR
    2018, equation 12.
    """

    lam: float
    beta: float = 2 / 3
    gamma: float = -0.1
    zeta: float = 1.1
    limits = within(
        lam=(0, math.inf), beta=(1e-12, math.inf), gamma=(-math.inf, -1e-12), zeta=(1e-12, math.inf)
    )
    value_1d = staticmethod(_gate_value)
    grad_1d = staticmethod(_gate_grad)
    prox_1d = staticmethod(_gate_prox)

    def params(self):
        beta, gamma, zeta = map(self.number, ("beta", "gamma", "zeta"))
        return self.number("lam"), beta * math.log(-gamma / zeta)

    @property
    def bound(self):
        lam = self.number("lam")
        return 1.0 / (lam * STEEPEST) if lam > 0 else math.inf

    def lam_max(self, grad):
        return Penalty.lam_max(self, grad)
