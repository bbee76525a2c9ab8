"""Penalties on the singular values of a weight, taken as a matrix of its outputs' rows."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import ShapeError
from ..kernels import spectral as kernels
from ..kernels._jit import scalar
from ..runtime import launch
from ..runtime.remote import empty
from .base import merged, numbers, within
from .joint import JointPenalty
from .separable import L1

ROUNDING = 64  # roundings that a singular value may be off by


class SpectralPenalty(JointPenalty):
    """A sum over singular values. A subclass is a frozen dataclass of floats and three scalar
    formulas of a singular value, as a `SeparablePenalty` has them for an entry.

    A prox is known where all entries take the same step. In an optimizer whose steps differ the
    whole parameter takes one: the reciprocal of the root mean square of the reciprocals of its
    entries' steps (for Adam: as if v were averaged over the parameter).
    """

    needs_base = True

    def check_shape(self, shape):
        if len(shape) < 2:
            raise ShapeError(f"{self}: expected a parameter with two axes or more, got {shape}")

    def _matrix(self, w):
        self.check_shape(w.shape)
        return w.reshape(w.shape[0], math.prod(w.shape[1:]))

    def measure(self, w, dtype):
        return self._sum(w, self.joint(), dtype)

    def _sum(self, w, joint, dtype):
        total, matrix = empty((1,), np.float64, w), self._matrix(w)
        if not matrix.size:
            return np.zeros((), dtype)
        kernel = kernels.spectral_sum(self.value_1d, len(self.params()))
        launch(kernel, joint, matrix, total)
        return merged(total, dtype)

    def grad(self, w):
        w = numbers(w)
        out, matrix = empty(w.shape, w.dtype, w), self._matrix(w)
        if matrix.size:
            kernel = kernels.spectral_map(self.grad_1d, len(self.params()))
            launch(kernel, self.joint(), matrix, self._matrix(out))
        return out

    def behind(self, w, steps, base, joint):
        kernel = kernels.spectral_prox(self.prox_1d, len(self.params()))
        return kernel, (joint, self._matrix(steps), self._matrix(base), self._matrix(w))

    def check_steps(self, steps):
        if steps.size and not np.isclose(steps.min(), steps.max(), rtol=1e-6, atol=0):
            raise ValueError(f"{self}: its prox is known for equal steps alone, got several")

    def _factors(self, w):
        """(left vectors, singular values, right vectors) of the rank that w has numerically."""
        a, sigma, b = np.linalg.svd(self._matrix(w).astype(np.float64), full_matrices=False)
        eps = np.finfo(w.dtype).eps * max(a.shape[0], b.shape[1])
        return a, sigma, b, sigma > sigma.max(initial=0.0) * eps


@dataclass(frozen=True)
class NuclearNorm(SpectralPenalty):
    """Omega(w) = lam * sum of the singular values: the rank falls.

    prox: singular values above step * lam become smaller by it, the others zero.

    References
    ----------
    Cai, Candes, Shen, "A Singular Value Thresholding Algorithm for Matrix Completion", SIAM J.
    Optim. 20 (2010).
    """

    lam: float
    limits = within(lam=(0, math.inf))
    value_1d = staticmethod(L1.value_1d)
    grad_1d = staticmethod(L1.grad_1d)
    prox_1d = staticmethod(L1.prox_1d)

    def residual(self, w, low, high):
        """lam * (A B^T + M), A and B the singular vectors, M beside them with ||M||_2 <= 1."""
        lam, g = self.number("lam"), self._matrix((low + high) / 2)
        a, _, b, alive = self._factors(w)
        a, b = a[:, alive], b[alive]
        beside = g - a @ (a.T @ g)
        beside = beside - (beside @ b.T) @ b
        u, sigma, v = np.linalg.svd(beside, full_matrices=False)
        over = (u * np.maximum(sigma - lam, 0)) @ v
        distance = np.abs(g - beside + lam * a @ b + over).reshape(w.shape)
        rank_left = min(g.shape) > alive.sum()
        inside = max(lam - sigma.max(initial=0.0), 0.0) if rank_left else 0.0
        return distance, np.full(w.shape, inside if not alive.any() else 0.0)

    def lam_max(self, grad):
        return float(np.linalg.norm(self._matrix(numbers(grad)), 2))


@scalar
def _ball_value(sigma, limit):
    return type(sigma)(np.inf) if sigma > limit else sigma * type(sigma)(0)


@scalar
def _ball_prox(sigma, step, limit):
    return limit if sigma > limit else sigma


@dataclass(frozen=True)
class SpectralNorm(SpectralPenalty):
    """The constraint that no singular value exceeds `limit`: a bound on the layer's slope.

    prox: the projection, singular values above the limit become the limit.
    """

    limit: float = 1.0
    limits = within(limit=(0, math.inf))
    value_1d = staticmethod(_ball_value)
    prox_1d = staticmethod(_ball_prox)

    def measure(self, w, dtype):
        slack = ROUNDING * np.finfo(w.dtype).eps  # a projected weight may end a rounding above
        return self._sum(w, self.joint() * (1 + slack), dtype)

    def grad(self, w):
        return JointPenalty.grad(self, w)

    def residual(self, w, low, high):
        """The normal cone: A H B^T with A, B the vectors on the boundary, H semidefinite."""
        limit, g = self.number("limit"), self._matrix((low + high) / 2)
        a, sigma, b, _ = self._factors(w)
        if sigma.max(initial=0.0) > limit * (1 + 1e-5):
            return np.full(w.shape, np.inf), np.zeros(w.shape)
        edge = sigma >= limit * (1 - 1e-6)
        a, b = a[:, edge], b[edge]
        inner = -a.T @ g @ b.T
        weights, vectors = np.linalg.eigh((inner + inner.T) / 2)
        kept = (vectors * np.maximum(weights, 0)) @ vectors.T
        distance = np.abs(g + a @ kept @ b).reshape(w.shape)
        return distance * (limit > 0), np.zeros(w.shape)


@scalar
def _orthogonal_value(sigma, lam):
    off = sigma * sigma - type(sigma)(1)
    return lam * off * off


@scalar
def _orthogonal_grad(sigma, lam):
    return type(sigma)(4) * lam * sigma * (sigma * sigma - type(sigma)(1))


@scalar
def _orthogonal_prox(sigma, step, lam):
    """The root x >= 0 of x + 4 a x (x^2 - 1) = sigma with a = step * lam < 1/4, by Newton's method
    from above, where the left side is convex."""
    one = type(sigma)(1)
    a = type(sigma)(4) * step * lam
    x = sigma if sigma > one else one
    for _ in range(100):
        value = x * (one - a) + a * x * x * x - sigma
        change = value / (one - a + type(sigma)(3) * a * x * x)
        x -= change
        if abs(change) <= type(sigma)(1e-16) * x:
            break
    return x


@dataclass(frozen=True)
class Orthogonal(SpectralPenalty):
    """Omega(w) = lam * ||W W^T - I||_F^2, W the wider way round: its rows become orthonormal.

    In singular values lam * sum (sigma_i^2 - 1)^2; the gradient is 4 * lam * (W W^T - I) W. Not
    convex: the prox is single-valued for step * lam < 1 / 4.

    References
    ----------
    Bansal, Chen, Wang, "Can We Gain More from Orthogonality Regularizations in Training Deep
    CNNs?", NeurIPS 2018.
    """

    lam: float
    limits = within(lam=(0, math.inf))
    value_1d = staticmethod(_orthogonal_value)
    grad_1d = staticmethod(_orthogonal_grad)
    prox_1d = staticmethod(_orthogonal_prox)

    @property
    def bound(self):
        lam = self.number("lam")
        return 0.25 / lam if lam > 0 else math.inf

    def residual(self, w, low, high):
        distance = np.abs((low + high) / 2 + self.grad(w))
        return distance, np.zeros(w.shape)
