"""What a penalty is.

    value(w)                   Omega(w), a float
    grad(w)                    its gradient; at a kink the subgradient of least magnitude
    prox(v, step)              argmin_w |w - v|^2 / 2 + step * Omega(w)
    subdiff_distance(w, grad)  how far -grad is from the subdifferential of Omega at w, per entry
    lam_max(grad)              the strength from which 0 is optimal, grad being the loss's there

The objective is: mean data loss + sum of penalties. `step` is a number, or an array of w's shape:
then the prox is taken in the diagonal metric 1/step, as the optimizers do. A number of a penalty
may be a Schedule.
"""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ..errors import ShapeError
from ..kernels import lift, reduce
from ..kernels._jit import FLOATS
from ..runtime import launch
from ..runtime.remote import Remote, dense, empty
from .schedule import Schedule


def within(**limits):
    """The least and the greatest value of fields, by name."""
    return MappingProxyType(limits)


class Penalty:
    """The contract; see the module's docstring. Penalties are immutable: replace, don't edit.

    `limits` gives the least and the greatest value of fields; `bound` the step from which on the
    prox has several values: infinite for a convex penalty.
    """

    limits: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __post_init__(self):
        for name in self.limits:
            self.number(name)

    @property
    def bound(self):
        return math.inf

    def number(self, name):
        """A field as a float, checked against `limits`; of a schedule what it gives now."""
        value = getattr(self, name)
        moving = isinstance(value, Schedule)
        if name not in self.limits:
            return float(value)
        kinds = (int, float, np.floating, np.integer, Schedule)
        known = isinstance(value, kinds) and not isinstance(value, bool)
        number = float(value) if known else math.nan
        got = f"{number:g} from {value} at epoch {value.epoch:g}" if moving else repr(value)
        if not math.isfinite(number):
            raise ValueError(f"{type(self).__name__}: {name}: expected a finite number, got {got}")
        low, high = self.limits[name]
        if not low <= number <= high:
            limit = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise ValueError(f"{type(self).__name__}: {name}: expected {limit}, got {got}")
        return number

    def params(self):
        """The numbers that the formulas take after their first arguments: the float fields."""
        return tuple(
            self.number(f.name) for f in dataclasses.fields(self) if f.type in (float, "float")
        )

    def schedules(self):
        """The schedules among the fields."""
        fields = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        found = [getattr(self, f.name) for f in fields]
        return [value for value in found if isinstance(value, Schedule)]

    @property
    def strength(self):
        """What to show as this penalty's strength: its first field."""
        return getattr(self, dataclasses.fields(self)[0].name)

    def measure(self, w, dtype):
        """Omega(w) as an array without axes; by launches alone where `mr.compile` is to do it."""
        return np.asarray(self.value(w), dtype)

    def value(self, w):
        w = numbers(w)
        return float(self.measure(w, FLOATS[1]))

    def grad(self, w):
        raise TypeError(f"{self}: a constraint has no gradient; it acts through its prox")

    def prox(self, v, step):
        raise NotImplementedError(f"{type(self).__name__} does not define prox")

    def residual(self, w, low, high):
        """(distance, slack): of 0 from [low, high] + the subdifferential at w, per entry.

        slack is how far inside 0 lies, where it does and the subdifferential is more than a point.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define residual")

    def subdiff_distance(self, w, grad):
        w, grad = numbers(w), numbers(grad)
        return self.residual(w, grad, grad)[0].astype(w.dtype, copy=False)

    def lam_max(self, grad):
        raise TypeError(f"{self}: no strength of this penalty makes zero optimal")

    def steps(self, step, v):
        """`step` as a checked array of v's shape and dtype."""
        return steps_like(self, step, v, self.bound)


def steps_like(who, step, v, bound):
    """`step` as an array of v's shape and dtype, checked to be shorter than `bound`."""
    steps = numbers(step) if np.ndim(step) else np.full(v.shape, step, v.dtype)
    if steps.shape != v.shape:
        raise ShapeError(f"prox: expected a step for each entry of {v.shape}, got {steps.shape}")
    if not (steps >= 0).all() or not np.isfinite(steps).all():
        raise ValueError("prox: expected finite steps of at least 0")
    longest = float(steps.max(initial=0.0))
    if longest >= bound:
        raise ValueError(
            f"{who}: its prox is single-valued only for steps below {bound:g}, got {longest:g}; "
            "take a shorter step"
        )
    return np.ascontiguousarray(steps, v.dtype)


def numbers(w):
    """w (an array or a tensor) as a dense float array."""
    array = w if isinstance(w, np.ndarray) else getattr(w, "data", w)
    if isinstance(array, Remote):
        return dense(array)
    array = np.asarray(array, order="C")
    return array if array.dtype in FLOATS else array.astype(np.float64)


def merged(partial, dtype):
    """The sum of partial results as an array without axes."""
    out = empty((1,), dtype, partial)
    launch(reduce.merge, partial, out)
    return out.reshape(())


class SeparablePenalty(Penalty):
    """A sum over entries. A subclass is a frozen dataclass of floats and three scalar formulas:

    value_1d(w, *params), grad_1d(w, *params), prox_1d(v, step, *params)

    as static methods, declared with `microreg.kernels.scalar`, with params in the order of the
    fields. Everything else follows: array versions in float32 and float64, the update kernels of
    every optimizer with the prox fused in, and the optimality condition. One that is not convex
    overrides `bound`.
    """

    def measure(self, w, dtype):
        params = self.params()
        kernel = lift.sum_kernel(self.value_1d, len(params))
        partial = empty((kernel.blocks({"n": w.size}),), np.float64, w)
        launch(kernel, w.reshape(-1), _array(params, w.dtype), partial)
        return merged(partial, dtype)

    def grad(self, w):
        w = numbers(w)
        out, params = empty(w.shape, w.dtype, w), self.params()
        kernel = lift.map_kernel(self.grad_1d, len(params))
        launch(kernel, w.reshape(-1), _array(params, w.dtype), out.reshape(-1))
        return out

    def prox(self, v, step):
        v = numbers(v)
        out, params = np.empty_like(v), self.params()
        kernel = lift.step_kernel(self.prox_1d, len(params))
        steps = self.steps(step, v)
        launch(kernel, v.reshape(-1), steps.reshape(-1), _array(params, v.dtype), out.reshape(-1))
        return out

    def slopes(self, w):
        """The subdifferential at each entry, an interval: the one-sided limits of grad_1d."""
        below = self.grad(np.nextafter(w, w.dtype.type(-np.inf)))
        above = self.grad(np.nextafter(w, w.dtype.type(np.inf)))
        return below, above

    def residual(self, w, low, high):
        below, above = self.slopes(w)
        return to_zero(low + below, high + above)

    def lam_max(self, grad):
        """From where -grad lies between the one-sided slopes at 0, which are linear in `lam`."""
        if not hasattr(self, "lam"):
            return super().lam_max(grad)
        slope = dataclasses.replace(self, lam=1.0).grad(np.array([np.nextafter(0.0, 1.0)]))[0]
        if slope < np.finfo(float).tiny:  # a quadratic's slope there is no kink
            return super().lam_max(grad)
        return float(np.abs(numbers(grad)).max() / slope)


def to_zero(low, high):
    """(distance, slack) of 0 from the intervals [low, high]."""
    distance = np.maximum(np.maximum(low, -high), 0)
    return distance, np.maximum(np.minimum(-low, high), 0)


def _array(params, dtype):
    return np.array(params or (0.0,), dtype)
