"""Reductions as methods, and softmax."""

import math
from typing import NamedTuple

import numpy as np

from ..dtypes import as_dtype
from ..errors import ShapeError
from ..graph import Value
from ..ops import loss, reduction
from ._meeting import axis, floating


class Extremes(NamedTuple):
    """What max, min, sort and topk along an axis give."""

    values: Value
    indices: Value


def _over(x, dim, keepdim, who):
    return {"axes": reduction.axes_of(x.data, dim, who), "keepdims": bool(keepdim)}


def _reduction(op, who):
    def method(self, dim=None, keepdim=False):
        return self.record(op, (self,), _over(self, dim, keepdim, who))

    return method


class Reductions:
    """Sums, products, extremes and what is made of them, over all axes or those of `dim`."""

    __slots__ = ()

    def sum(self, dim=None, keepdim=False, dtype=None):
        """The sum; of integers and bools an integer."""
        x = self if dtype is None else self.to(dtype)
        return x.record(reduction.sum, (x,), _over(x, dim, keepdim, "sum"))

    def mean(self, dim=None, keepdim=False, dtype=None):
        """The sum divided by the number of entries."""
        x = floating(self) if dtype is None else self.to(dtype)
        return reduction.mean(x, reduction.axes_of(x.data, dim, "mean"), bool(keepdim))

    def var(self, dim=None, unbiased=True, keepdim=False, *, correction=None):
        """sum((x - mean)^2) / (n - correction); correction is 1 if `unbiased`, else 0."""
        return _variance(self, dim, unbiased, keepdim, correction)

    def std(self, dim=None, unbiased=True, keepdim=False, *, correction=None):
        """The square root of `var`; its gradient where all entries are equal is 0."""
        var = _variance(self, dim, unbiased, keepdim, correction)
        return var.record(reduction.root, (var,), {})

    def prod(self, dim=None, keepdim=False, dtype=None):
        """The product; of integers and bools an integer."""
        x = self if dtype is None else self.to(dtype)
        return x.record(reduction.prod, (x,), _over(x, dim, keepdim, "prod"))

    def amax(self, dim=None, keepdim=False):
        """The largest entry; a tie shares the gradient evenly."""
        return self.record(reduction.amax, (self,), _over(self, dim, keepdim, "amax"))

    def amin(self, dim=None, keepdim=False):
        """The smallest entry; a tie shares the gradient evenly."""
        return self.record(reduction.amin, (self,), _over(self, dim, keepdim, "amin"))

    def max(self, dim=None, keepdim=False):
        """The largest entry; along one `dim` (values, indices), the first one at a tie.

        Beside another tensor, max(other), it is `maximum`.
        """
        return _extreme(self, dim, keepdim, "max")

    def min(self, dim=None, keepdim=False):
        """The smallest entry; along one `dim` (values, indices), the first one at a tie.

        Beside another tensor, min(other), it is `minimum`.
        """
        return _extreme(self, dim, keepdim, "min")

    def argmax(self, dim=None, keepdim=False):
        """Where the largest entry is, the first one at a tie; without `dim` in the flat tensor."""
        return _position(self, dim, keepdim, "argmax")

    def argmin(self, dim=None, keepdim=False):
        """Where the smallest entry is, the first one at a tie; without `dim` in the flat tensor."""
        return _position(self, dim, keepdim, "argmin")

    def any(self, dim=None, keepdim=False):
        """Whether some entry is not 0."""
        return (self != 0).sum(dim, keepdim) != 0

    def all(self, dim=None, keepdim=False):
        """Whether no entry is 0."""
        return (self == 0).sum(dim, keepdim) == 0

    def logsumexp(self, dim, keepdim=False):
        """log(sum(exp(x))), without overflow."""
        x = floating(self)
        axes = reduction.axes_of(x.data, dim, "logsumexp")
        return reduction.logsumexp(x, axes, bool(keepdim))

    def cumsum(self, dim, dtype=None):
        """The sums up to each entry along `dim`; of integers and bools integers."""
        x = self if dtype is None else self.to(dtype)
        x = x.long() if x.data.dtype.kind == "b" else x
        return x.record(reduction.cumsum, (x,), {"axis": axis(x, dim, "cumsum")})

    def norm(self, p="fro", dim=None, keepdim=False):
        """(sum |x|^p)^(1/p) of all entries, or along `dim`; "fro" is p = 2. See `linalg`."""
        return vector_norm(self, 2 if p == "fro" else p, dim, keepdim, "norm")

    def softmax(self, dim, dtype=None):
        """exp(x) / sum(exp(x)) along `dim`."""
        return _along(loss.softmax, self, dim, dtype)

    def log_softmax(self, dim, dtype=None):
        """x - log(sum(exp(x))) along `dim`."""
        return _along(loss.log_softmax, self, dim, dtype)


def _variance(x, dim, unbiased, keepdim, correction):
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    x = floating(x)
    axes = reduction.axes_of(x.data, dim, "var")
    correction = (1 if unbiased else 0) if correction is None else correction
    centred = x - x.mean(axes, True)
    count = math.prod(x.shape[i] for i in axes)
    return (centred * centred).sum(axes, keepdim) / max(count - correction, 0)


def _extreme(x, dim, keepdim, who):
    if isinstance(dim, Value):
        return x.maximum(dim) if who == "max" else x.minimum(dim)
    if dim is None:
        return x.amax() if who == "max" else x.amin()
    indices = _position(x, dim, True, f"arg{who}")
    values = x.gather(dim, indices)
    if keepdim or not x.ndim:
        return Extremes(values, indices)
    return Extremes(values.squeeze(dim), indices.squeeze(dim))


def _position(x, dim, keepdim, who):
    if dim is not None:
        dim = axis(x, dim, who)
    if not (x.data.size if dim is None or not x.ndim else x.shape[dim]):
        raise ShapeError(f"{who}: expected an entry, got shape {x.shape}")
    op = reduction.argmax if who == "argmax" else reduction.argmin
    return x.record(op, (x,), {"axis": dim if x.ndim else None, "keepdims": bool(keepdim)})


def _along(op, x, dim, dtype):
    """Apply an op that works along the last axis along axis `dim`."""
    x = floating(x) if dtype is None else x.to(as_dtype(dtype, op.name))
    at = axis(x, dim, op.name)
    if not x.ndim:
        return x.record(op, (x.reshape(1),), {}).reshape(())
    if at == x.ndim - 1:
        return x.record(op, (x,), {})
    return x.record(op, (x.transpose(at, -1),), {}).transpose(at, -1)


def vector_norm(x, ord, dim, keepdim, who):
    """(sum |x|^ord)^(1/ord) over axes; inf and -inf are the extremes, 0 counts what is not 0."""
    if isinstance(ord, bool) or not isinstance(ord, (int, float)):
        raise ValueError(f"{who}: expected a number as the order, got {ord!r}")
    x = floating(x)
    if ord == 2:
        squares = (x * x).sum(dim, keepdim)
        return x.record(reduction.root, (squares,), {})
    if ord == 0:
        return (x != 0).sum(dim, keepdim).to(x.dtype)
    size = abs(x)
    if abs(ord) == np.inf:
        return size.amax(dim, keepdim) if ord > 0 else size.amin(dim, keepdim)
    if ord == 1:
        return size.sum(dim, keepdim)
    return _root_of_powers(size, ord, dim, keepdim)


def _root_of_powers(size, ord, dim, keepdim):
    """(sum size^ord)^(1/ord), with slopes of 0 where an entry, or the sum, is 0."""
    none = size == 0
    powers = size.masked_fill(none, 1.0) ** ord
    total = powers.masked_fill(none, 0.0 if ord > 0 else np.inf).sum(dim, keepdim)
    none = total == 0
    return (total.masked_fill(none, 1.0) ** (1.0 / ord)).masked_fill(none, 0.0)
