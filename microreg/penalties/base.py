"""What a penalty is.

    value(w)                   Omega(w), a float
    grad(w)                    its gradient; at a kink the subgradient of least magnitude
    prox(v, step)              argmin_w |w - v|^2 / 2 + step * Omega(w)
    subdiff_distance(w, grad)  how far -grad is from the subdifferential of Omega at w, per entry
    lam_max(grad)              the strength from which 0 is optimal, grad being the loss's there

The objective is: mean data loss + sum of penalties. `step` is a number, or an array of w's shape:
then the prox is taken in the diagonal metric 1/step, as the optimizers do.
"""

import dataclasses
import math

import numpy as np

from ..errors import ShapeError
from ..kernels import lift
from ..kernels._jit import FLOATS
from ..runtime import launch


class Penalty:
    """The contract; see the module's docstring. Penalties are immutable: replace, don't edit."""

    def value(self, w):
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def grad(self, w):
        raise TypeError(f"{self}: a constraint has no gradient; it acts through its prox")

    def prox(self, v, step):
        raise NotImplementedError(f"{type(self).__name__} does not define prox")

    def subdiff_distance(self, w, grad):
        raise NotImplementedError(f"{type(self).__name__} does not define subdiff_distance")

    def lam_max(self, grad):
        raise TypeError(f"{self}: no strength of this penalty makes zero optimal")

    def params(self):
        """The numbers that the formulas take after their first arguments: the float fields."""
        return tuple(
            float(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.type in (float, "float")
        )

    @property
    def strength(self):
        """The number to show as this penalty's strength: its first field."""
        return getattr(self, dataclasses.fields(self)[0].name)


def numbers(w):
    """w (an array or a tensor) as a dense float array."""
    array = np.ascontiguousarray(getattr(w, "data", w) if not isinstance(w, np.ndarray) else w)
    return array if array.dtype in FLOATS else array.astype(np.float64)


def steps_like(step, v):
    """`step` as a checked array of v's shape and dtype."""
    steps = numbers(step) if np.ndim(step) else np.full(v.shape, step, v.dtype)
    if steps.shape != v.shape:
        raise ShapeError(f"prox: expected a step for each entry of {v.shape}, got {steps.shape}")
    if not (steps >= 0).all() or not np.isfinite(steps).all():
        raise ValueError("prox: expected finite steps of at least 0")
    return np.ascontiguousarray(steps, v.dtype)


def check_numbers(penalty, **bounds):
    """Raise unless each named field is a finite number within (low, high), ends included."""
    for name, (low, high) in bounds.items():
        value = getattr(penalty, name)
        number = isinstance(value, (int, float, np.floating, np.integer))
        if not number or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(
                f"{type(penalty).__name__}: {name}: expected a finite number, got {value!r}"
            )
        if not low <= value <= high:
            limit = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise ValueError(f"{type(penalty).__name__}: {name}: expected {limit}, got {value}")


class SeparablePenalty(Penalty):
    """A sum over entries. A subclass is a frozen dataclass of floats and three scalar formulas:

    value_1d(w, *params), grad_1d(w, *params), prox_1d(v, step, *params)

    as static methods, declared with `microreg.kernels.scalar`, with params in the order of the
    fields. Everything else follows: array versions in float32 and float64, the update kernels of
    every optimizer with the prox fused in, and the optimality condition.
    """

    def _map(self, formula, w):
        w = numbers(w)
        out = np.empty_like(w)
        params = self.params()
        kernel = lift.map_kernel(formula, len(params))
        launch(kernel, w.reshape(-1), _array(params, w.dtype), out.reshape(-1))
        return out

    def value(self, w):
        w = numbers(w)
        params = self.params()
        kernel = lift.sum_kernel(self.value_1d, len(params))
        partial = np.empty(kernel.blocks({"n": w.size}))
        launch(kernel, w.reshape(-1), _array(params, w.dtype), partial)
        return float(partial.sum())

    def grad(self, w):
        return self._map(self.grad_1d, w)

    def prox(self, v, step):
        v = numbers(v)
        out = np.empty_like(v)
        params = self.params()
        kernel = lift.step_kernel(self.prox_1d, len(params))
        steps = steps_like(step, v)
        launch(kernel, v.reshape(-1), steps.reshape(-1), _array(params, v.dtype), out.reshape(-1))
        return out

    def subdiff_distance(self, w, grad):
        """The subdifferential at w is the interval between the one-sided limits of grad_1d."""
        w, grad = numbers(w), numbers(grad)
        below = self.grad(np.nextafter(w, w.dtype.type(-np.inf)))
        above = self.grad(np.nextafter(w, w.dtype.type(np.inf)))
        return np.maximum(np.maximum(below + grad, -grad - above), 0)

    def lam_max(self, grad):
        """From where -grad lies between the one-sided slopes at 0, which are linear in `lam`."""
        slope = dataclasses.replace(self, lam=1.0).grad(np.array([np.nextafter(0.0, 1.0)]))[0]
        if slope < np.finfo(float).tiny:  # a quadratic's slope there is no kink
            return super().lam_max(grad)
        return float(np.abs(numbers(grad)).max() / slope)


def _array(params, dtype):
    return np.array(params or (0.0,), dtype)
