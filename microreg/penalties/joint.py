"""Penalties whose prox looks at many entries at once: what `LinePenalty` and others share.

Their prox follows the update, in the metric that the rule left behind. `joint` is what their
kernels read: [quadratic, l1, the penalty's own numbers], quadratic and l1 the strengths of terms
quadratic * w^2 and l1 * |w| that the prox takes along.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from ..errors import ShapeError
from ..kernels import group as kernels
from ..runtime import launch
from ..runtime.remote import empty
from .base import Penalty, merged, numbers


class Rows(NamedTuple):
    """Groups that are the rows of a matrix: their prox fits into the update, see `update_rows`."""

    line: object
    room: int
    wide: bool
    weights: np.ndarray


class JointPenalty(Penalty):
    """Base class. `cone`: whether the prox of L1 and NonNegative may go before this one;
    `takes_l1`: whether the prox takes an l1 term along; `needs_base`: whether it must know where
    a step began."""

    cone = takes_l1 = needs_base = False

    def joint(self, quadratic=0.0, l1=0.0):
        """The array that the kernels read."""
        return np.array([quadratic, l1, *self.params()])

    def check_shape(self, shape):
        """Raise unless a parameter of this shape can have this penalty."""

    def check_steps(self, steps):
        """Raise unless the prox is known in the metric of these steps."""

    def rows(self, shape):
        """The Rows of a parameter of this shape, if the groups are the rows of a matrix."""
        return None

    def behind(self, w, steps, base, joint):
        """(kernel, arguments): w becomes the prox of what the update left there.

        `base` is where the step began, for penalties that know equal steps alone.
        """
        raise NotImplementedError

    def project(self, v, steps, quadratic=0.0, l1=0.0):
        """The prox of a dense array in the metric 1 / steps."""
        w = v.copy()
        if w.size:
            kernel, arguments = self.behind(w, steps, v, self.joint(quadratic, l1))
            launch(kernel, *arguments)
        return w

    def prox(self, v, step):
        v = numbers(v)
        steps = self.steps(step, v)
        self.check_steps(steps)
        return self.project(v, steps)


@functools.lru_cache(maxsize=256)
def _members(groups, shape):
    """(order, starts, sizes): the flat positions of each group's members, group by group."""
    if isinstance(groups, bytes):
        labels = np.frombuffer(groups, np.int64)
    elif groups == "all":
        labels = np.zeros(math.prod(shape), np.int64)
    elif isinstance(groups, int):  # the lines along this axis
        if not -len(shape) <= groups < len(shape):
            raise ShapeError(f"axis={groups}: expected one of the {len(shape)} axes of {shape}")
        first = np.arange(math.prod(shape), dtype=np.int64).reshape(shape).take([0], groups)
        labels = np.broadcast_to(first, shape).reshape(-1)
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


class LinePenalty(JointPenalty):
    """A sum over groups of weights. A subclass is a frozen dataclass with floats, `groups`, and
    three functions of a line as static methods (see `microreg.kernels.lines`):

    prox_line(v, s, params, weight, rest), value_line(w, params, weight), and, unless it is a
    constraint, slope_line(w, params, weight)

    with the float fields from params[2] on. `groups`: "out" (a group for each output: a row of a
    Linear's weight, or a filter), "in" (one for each input), "channel" (the same as "out"), "all"
    (a single one), or an integer array of w's shape. `room` is how many numbers beside each weight
    prox_line needs, `wide` whether in float64 whatever the weights are.
    """

    slope_line: object = None
    room, wide = 1, False

    def __post_init__(self):
        super().__post_init__()
        groups = self.groups
        if isinstance(groups, (str, int)):
            if isinstance(groups, str) and groups not in ("out", "in", "channel", "all"):
                raise ValueError(
                    f"{type(self).__name__}(groups={groups!r}): expected 'out', 'in', 'channel', "
                    "'all' or an integer array"
                )
            return
        labels = np.asarray(groups)
        if labels.dtype.kind not in "iu":
            raise ValueError(
                f"{type(self).__name__}: groups: expected integers, got {labels.dtype}"
            )
        object.__setattr__(self, "groups", labels.astype(np.int64))

    def members(self, shape):
        """(order, starts, sizes) for a parameter of this shape."""
        key = self.groups if isinstance(self.groups, (str, int)) else self.groups.tobytes()
        return _members(key, tuple(shape))

    def check_shape(self, shape):
        self.members(shape)

    def weights(self, sizes):
        """The weight of each group beside the strength."""
        return np.ones(len(sizes))

    def norms(self, w):
        """The Euclidean norm of each group."""
        return np.sqrt(self.sums(np.square(w, dtype=np.float64)))

    def sums(self, w):
        """The sum over each group."""
        return self._over(np.add, w)

    def largest(self, w):
        """The largest entry of each group."""
        return self._over(np.maximum, w)

    def _over(self, function, w):
        """A function of two numbers over each group."""
        order, starts, _ = self.members(w.shape)
        flat = w.astype(np.float64, copy=False).reshape(-1)[order]
        return function.reduceat(flat, starts) if len(starts) else np.zeros(0)

    def spread(self, per_group, shape):
        """A number for each group, repeated at its members."""
        order, _, sizes = self.members(shape)
        out = np.empty(math.prod(shape))
        out[order] = np.repeat(per_group, sizes)
        return out.reshape(shape)

    def _groups(self, shape):
        order, starts, sizes = self.members(shape)
        return order, starts, sizes, self.weights(sizes)

    def measure(self, w, dtype):
        groups = self._groups(w.shape)
        values = empty((len(groups[1]),), np.float64, w)
        kernel = kernels.sum_groups(self.value_line)
        launch(kernel, self.joint(), w.reshape(-1), *groups, values)
        return merged(values, dtype)

    def grad(self, w):
        if self.slope_line is None:
            return super().grad(w)
        w = numbers(w)
        out = empty(w.shape, w.dtype, w)
        kernel = kernels.slope_groups(self.slope_line)
        launch(kernel, self.joint(), w.reshape(-1), *self._groups(w.shape), out.reshape(-1))
        return out

    def behind(self, w, steps, base, joint):
        kernel = kernels.prox_groups(self.prox_line, self.room)
        return kernel, (joint, steps.reshape(-1), *self._groups(w.shape), w.reshape(-1))

    def rows(self, shape):
        order, _, sizes = self.members(shape)
        if not len(sizes) or (sizes != sizes[0]).any():
            return None
        if not np.array_equal(order, np.arange(order.size)):
            return None
        return Rows(self.prox_line, self.room, self.wide, self.weights(sizes))
