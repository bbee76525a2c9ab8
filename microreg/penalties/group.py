"""Penalties and constraints on groups of weights: whole units, inputs or channels."""

import functools
import math
from dataclasses import dataclass, field

import numpy as np

from ..errors import ShapeError
from ..kernels import group as kernels
from ..runtime import launch
from .base import Penalty, check_numbers, numbers, steps_like


@functools.lru_cache(maxsize=256)
def _members(groups, shape):
    """(order, starts, sizes): the flat positions of each group's members, group by group."""
    if isinstance(groups, bytes):
        labels = np.frombuffer(groups, np.int64)
    else:
        axis = 1 if groups == "in" else 0
        if len(shape) <= axis:
            raise ShapeError(f"groups={groups!r}: expected {axis + 1} axes or more, got {shape}")
        along = np.arange(shape[axis]).reshape((-1,) + (1,) * (len(shape) - axis - 1))
        labels = np.broadcast_to(along, shape).reshape(-1)
    if labels.size != math.prod(shape):
        raise ShapeError(
            f"groups: expected {math.prod(shape)} labels for {shape}, got {labels.size}"
        )
    order = np.argsort(labels, kind="stable").astype(np.int64)
    sizes = np.unique(labels, return_counts=True)[1].astype(np.int64)
    return order, np.cumsum(sizes) - sizes, sizes


class _GroupPenalty(Penalty):
    """`groups`: "out" (a group for each output: a row of a Linear's weight, or a filter), "in" (one
    for each input), "channel" (the same as "out"), or an integer array of w's shape."""

    kernel = None

    def _check_groups(self):
        groups = self.groups
        if isinstance(groups, str):
            if groups not in ("out", "in", "channel"):
                raise ValueError(
                    f"{type(self).__name__}(groups={groups!r}): expected 'out', 'in', 'channel' or "
                    "an integer array"
                )
        else:
            labels = np.asarray(groups)
            if labels.dtype.kind not in "iu":
                raise ValueError(
                    f"{type(self).__name__}: groups: expected integers, got {labels.dtype}"
                )
            object.__setattr__(self, "groups", labels.astype(np.int64))

    def members(self, shape):
        """(order, starts, sizes) for a parameter of this shape."""
        key = self.groups if isinstance(self.groups, str) else self.groups.tobytes()
        return _members(key, tuple(shape))

    def weights(self, sizes):
        """The weight of each group beside lam."""
        return np.ones(len(sizes))

    def norms(self, w):
        """The Euclidean norm of each group."""
        order, starts, _ = self.members(w.shape)
        squares = np.square(w, dtype=np.float64).reshape(-1)[order]
        return np.sqrt(np.add.reduceat(squares, starts)) if len(starts) else np.zeros(0)

    def spread(self, per_group, shape):
        """A number for each group, repeated at its members."""
        order, _, sizes = self.members(shape)
        out = np.empty(math.prod(shape))
        out[order] = np.repeat(per_group, sizes)
        return out.reshape(shape)

    def prox(self, v, step):
        v = numbers(v)
        out = v.copy()
        launch(self.kernel, *self.arguments(v, steps_like(step, v), 0.0), out.reshape(-1))
        return out

    def arguments(self, w, steps, quadratic):
        """What the kernel takes before w."""
        order, starts, sizes = self.members(w.shape)
        params = np.array([self.strength, quadratic], w.dtype)
        weights = self.weights(sizes).astype(w.dtype)
        return params, steps.reshape(-1), order, starts, sizes, weights


@dataclass(frozen=True, eq=False)
class GroupLasso(_GroupPenalty):
    """Omega(w) = lam * sum_g sqrt(size_g) * ||w_g||: whole groups become exactly zero.

    prox: w_g = v_g * max(1 - step * lam * sqrt(size_g) / ||v_g||, 0). With a step for each entry
    the norm of w_g solves a scalar equation (`kernels.group`).

    Parameters
    ----------
    lam : float
        The strength.
    groups : "out", "in", "channel" or int array, default "out"
        One group for each output unit, each input, each filter, or for each label.
    weighted : bool, default True
        Whether a group counts by the root of its size; False: all alike.

    References
    ----------
    Yuan, Lin, "Model Selection and Estimation in Regression with Grouped Variables", JRSS B 68
    (2006). Deleu, Bengio, "Structured Sparsity Inducing Adaptive Optimizers", arXiv:2102.03869.
    """

    lam: float
    groups: object = "out"
    weighted: bool = field(default=True)
    kernel = kernels.group_lasso

    def __post_init__(self):
        check_numbers(self, lam=(0, math.inf))
        self._check_groups()

    def weights(self, sizes):
        return np.sqrt(sizes) if self.weighted else np.ones(len(sizes))

    def _weights(self, w):
        return self.weights(self.members(w.shape)[2])

    def value(self, w):
        w = numbers(w)
        return float(self.lam * (self._weights(w) * self.norms(w)).sum())

    def grad(self, w):
        """lam * sqrt(size_g) * w_g / ||w_g||, and 0 for a group that is zero."""
        w = numbers(w)
        norms = self.norms(w)
        scale = np.divide(
            self.lam * self._weights(w), norms, where=norms > 0, out=np.zeros_like(norms)
        )
        return (w * self.spread(scale, w.shape)).astype(w.dtype)

    def subdiff_distance(self, w, grad):
        """Per entry; at a zero group ||grad_g|| beyond its bound, shared along grad_g."""
        w, grad = numbers(w), numbers(grad)
        norms = self.norms(grad)
        bound = self.lam * self._weights(w)
        excess = np.divide(
            np.maximum(norms - bound, 0), norms, where=norms > 0, out=np.zeros_like(norms)
        )
        alive = self.spread(self.norms(w), w.shape) > 0
        return np.where(
            alive, np.abs(self.grad(w) + grad), np.abs(grad) * self.spread(excess, w.shape)
        )

    def lam_max(self, grad):
        grad = numbers(grad)
        return float((self.norms(grad) / self._weights(grad)).max())


@dataclass(frozen=True, eq=False)
class MaxNorm(_GroupPenalty):
    """The constraint ||w_g|| <= limit, one group for each output unit unless told otherwise.

    prox: the projection, in the metric of `step`; with equal steps w_g = v_g * limit / ||v_g||
    where ||v_g|| exceeds it.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014), section 5.1.
    """

    limit: float
    groups: object = "out"
    kernel = kernels.max_norm

    def __post_init__(self):
        check_numbers(self, limit=(0, math.inf))
        self._check_groups()

    def value(self, w):
        w = numbers(w)
        slack = 4 * np.finfo(w.dtype).eps * self.limit  # a projected group may end a rounding above
        return 0.0 if (self.norms(w) <= self.limit + slack).all() else math.inf

    def subdiff_distance(self, w, grad):
        """The normal cone: 0 inside, the ray along w_g on the boundary, all if limit is 0."""
        w, grad = numbers(w), numbers(grad)
        norms = self.norms(w)
        order, starts, _ = self.members(w.shape)
        inner = np.add.reduceat((w * grad).reshape(-1).astype(np.float64)[order], starts)
        edge = norms >= self.limit * (1 - 1e-6)
        out = np.zeros_like(norms)
        along = np.divide(np.minimum(inner, 0), norms**2, where=edge & (norms > 0), out=out)
        distance = np.abs(grad - w * self.spread(along, w.shape)) * (self.limit > 0)
        return np.where(self.spread(norms, w.shape) > self.limit * (1 + 1e-6), np.inf, distance)
