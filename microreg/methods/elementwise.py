"""Functions of the single entries as methods."""

import math

import numpy as np

from ..dtypes import result_dtype
from ..errors import DTypeError, ShapeError
from ..graph import Value
from ..ops import activation, arithmetic, elementary
from ._meeting import cast, floating, meet, operand
from .operators import Operators, binary, of_kind, unary


def _counted(operate):
    """The method of + or -, with PyTorch's `alpha`."""

    def method(self, other, *, alpha=1):
        return operate(self, other if alpha == 1 else other * alpha)

    return method


def _rounding(op):
    """The method of a function that leaves integers as they are."""

    def method(self):
        return self.clone() if self.data.dtype.kind != "f" else self.record(op, (self,), {})

    return method


class Elementwise:
    """Functions of one tensor's entries, or of those of two."""

    __slots__ = ()

    add, sub = _counted(Operators.__add__), _counted(Operators.__sub__)
    mul, pow = Operators.__mul__, Operators.__pow__
    true_divide = Operators.__truediv__
    floor_divide, remainder = Operators.__floordiv__, Operators.__mod__
    maximum, minimum = binary(arithmetic.maximum)[0], binary(arithmetic.minimum)[0]

    neg, abs = Operators.__neg__, Operators.__abs__
    exp = unary(arithmetic.exp, "e^x.")
    log = unary(arithmetic.log, "The natural logarithm.")
    sqrt = unary(arithmetic.sqrt, "The square root.")
    log1p = unary(elementary.log1p, "log(1 + x), exact near 0.")
    expm1 = unary(elementary.expm1, "e^x - 1, exact near 0.")
    log2 = unary(elementary.log2, "The logarithm to base 2.")
    log10 = unary(elementary.log10, "The logarithm to base 10.")
    rsqrt = unary(elementary.rsqrt, "1 / sqrt(x).")
    reciprocal = unary(elementary.reciprocal, "1 / x.")
    sin = unary(elementary.sin, "The sine of an angle in radians.")
    cos = unary(elementary.cos, "The cosine of an angle in radians.")
    tan = unary(elementary.tan, "The tangent of an angle in radians.")
    sinh = unary(elementary.sinh, "(e^x - e^-x) / 2.")
    cosh = unary(elementary.cosh, "(e^x + e^-x) / 2.")
    tanh = unary(activation.tanh, "The hyperbolic tangent.")
    sigmoid = unary(activation.sigmoid, "1 / (1 + e^-x).")
    erf = unary(activation.erf, "2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.")
    floor, ceil = _rounding(elementary.floor), _rounding(elementary.ceil)

    def sign(self):
        """-1, 0 or 1; NaN stays NaN. The gradient is 0."""
        if self.data.dtype.kind == "b":
            return self.clone()
        return self.record(arithmetic.sign, (self,), {})

    def round(self, *, decimals=0):
        """The nearest integer, or multiple of 10^-decimals; ties to even. The gradient is 0."""
        if self.data.dtype.kind != "f":
            return self.clone()
        scale = 10.0**decimals
        x = self * scale if decimals else self
        out = self.record(elementary.round, (x,), {})
        return out / scale if decimals else out

    def relu(self):
        """max(x, 0). The gradient at 0 is 0."""
        if self.data.dtype.kind != "f":
            return self.maximum(0)
        return self.record(activation.relu, (self,), {})

    def square(self):
        """x * x."""
        return self * (self.long() if self.data.dtype.kind == "b" else self)

    def div(self, other, *, rounding_mode=None):
        """self / other, or that rounded down ("floor") or towards 0 ("trunc"), with gradient 0."""
        if rounding_mode is None:
            return self / other
        if rounding_mode == "floor":
            return self // other
        if rounding_mode != "trunc":
            raise ValueError(f"div(rounding_mode={rounding_mode!r}): expected 'floor' or 'trunc'")
        self, other = of_kind("div", "if", *meet(self, operand(self, other)))
        if self.data.dtype.kind == "f":
            ratio = self / other
            return _where(ratio < 0, ratio.ceil(), ratio.floor())
        return _where((self < 0) ^ (other < 0), -(-self // other), self // other)

    def clamp(self, min=None, max=None):
        """Entries below `min` become `min`, above `max` become `max`; their gradient is 0.

        Bounds are numbers, or tensors, which get the gradient of the entries they replace.
        """
        if min is None and max is None:
            raise ValueError("clamp: expected min, max or both")
        if isinstance(min, Value) or isinstance(max, Value):
            x = self if min is None else _where((self < min) | (min != min), min, self)
            return x if max is None else _where((x > max) | (max != max), max, x)
        bounds = {"min": _bound(min, "min"), "max": _bound(max, "max")}
        x = floating(self) if float in map(type, bounds.values()) else self
        return self.record(arithmetic.clamp, (x,), bounds)

    def where(self, condition, other):
        """The entries of this tensor where `condition` holds, of `other` elsewhere."""
        return _where(condition, self, other)

    def masked_fill(self, mask, value):
        """This tensor with one number, `value`, where `mask` holds."""
        if math.prod(getattr(value, "shape", ())) != 1:
            raise ShapeError(f"masked_fill: value: expected one number, got shape {value.shape}")
        if self.data.dtype.kind != "f" and not hasattr(value, "dtype"):
            value = self.data.dtype.type(value).item()
        return _where(mask, cast(value, self.data.dtype), self, "masked_fill")

    def isnan(self):
        """Whether an entry is not a number."""
        return self != self

    def isinf(self):
        """Whether an entry is infinite."""
        return abs(self) == np.inf

    def isfinite(self):
        """Whether an entry is neither infinite nor NaN."""
        return abs(self) < np.inf


def _bound(value, name):
    """A bound of clamp as a Python number, which does not widen the dtype."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        return value.item()
    if value is None or isinstance(value, (int, float)):
        return value
    raise TypeError(f"clamp: {name}: expected a number or a tensor, got {type(value).__name__}")


def _where(condition, a, b, who="where"):
    """a where the condition holds, b elsewhere: tensors, arrays or numbers."""
    mask = condition.data if isinstance(condition, Value) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise DTypeError(f"{who}: expected a bool condition, got {mask.dtype}")
    if not hasattr(a, "dtype") and not hasattr(b, "dtype"):
        a = np.asarray(a, result_dtype(a, b))
    return Value.record(arithmetic.where, (condition, *meet(a, b)), {})
