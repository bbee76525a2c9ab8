"""Sums, products, means and extremes over axes."""

import math

import numpy as np

from ..errors import ShapeError
from ..kernels import formulas, lift
from ..kernels import reduce as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty, inverse, memory_order
from ._elementwise import unary
from ._op import Op
from .arithmetic import abs, exp, expand, less, log, same, where
from .shape import concatenate, flip, reshape, stop, transpose

SMALL = 4096  # elements below which NumPy is done before a kernel has started


def axes_of(x, axis, who):
    """`axis` (an integer or several; none at all are all) as a sorted tuple from 0 on."""
    if axis is None:
        return tuple(range(x.ndim))
    asked = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    ndim = max(x.ndim, 1)  # a single number counts as one along one axis
    for i in asked:
        if not -ndim <= i < ndim:
            raise ShapeError(f"{who}: expected an axis from {-ndim} to {ndim - 1}, got {i}")
    axes = sorted(int(i) % ndim for i in asked)
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{who}: expected each axis once, got {asked}")
    return (tuple(axes) or tuple(range(x.ndim))) if x.ndim else ()


def _kept(shape, axes):
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _left(shape, axes, keepdims):
    """The shape of a reduction's result."""
    return (
        _kept(shape, axes) if keepdims else tuple(n for i, n in enumerate(shape) if i not in axes)
    )


def _spread(g, node):
    """g with its reduced axes back, at full size."""
    x = node.inputs[0]
    return expand(reshape(g, shape=_kept(x.shape, node.attrs["axes"])), shape=x.shape)


def _sum_forward(x, *, axes, keepdims):
    if x.dtype.kind != "f":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.int64)
    if axes == (0,) and x.ndim == 2 and x.flags.c_contiguous and not keepdims:
        return sum_columns(x)
    if x.size < SMALL or len(axes) == 0:
        return x.sum(axis=axes, keepdims=keepdims)
    return _sum_lower(x, axes=axes, keepdims=keepdims)


def _in_floats(lower):
    """Kernels reduce floats; integers take the way through float64, exact up to 2^53."""

    def through(x, **attrs):
        if x.dtype.kind == "f":
            return lower(x, **attrs)
        return lower(x.astype(np.float64), **attrs).astype(np.int64)

    return through


def _sum_lower(x, *, axes, keepdims):
    return sum_over(x, axes).reshape(_left(x.shape, axes, keepdims))


def _rows(x, axes):
    """x as a matrix whose rows are what is reduced over `axes`."""
    kept = [i for i in range(x.ndim) if i not in axes]
    moved = dense(x.transpose(*kept, *axes) if x.ndim else x)
    return moved.reshape(
        math.prod(x.shape[i] for i in kept), math.prod(x.shape[i] for i in axes)
    )  # fmt: skip


def sum_over(x, axes):
    """The sum over some axes, flat, by kernels in fixed blocks."""
    order = memory_order(x)
    if order is not None:
        kept = [i for i in order if i not in axes]
        if kept == sorted(kept):  # the result lies the same way
            return sum_over(x.transpose(order), tuple(sorted(map(order.index, axes))))
    if len(axes) == x.ndim:
        return sum_all(dense(x))
    if axes == tuple(range(len(axes))):
        x = dense(x)
        lead = math.prod(x.shape[: len(axes)])
        return sum_columns(x.reshape(lead, math.prod(x.shape[len(axes) :])))
    matrix = _rows(x, axes)
    out = empty((len(matrix),), x.dtype, x)
    launch(kernels.sum_rows, matrix, out)
    return out


def sum_all(x):
    """The sum of all entries of a dense array, as an array of one."""
    return _merged(kernels.sum_all, x)


def _merged(kernel, x):
    """What a kernel finds in blocks of a dense array, added up."""
    partial = empty((kernel.blocks({"n": x.size}),), np.float64, x)
    out = empty((1,), x.dtype, x)
    launch(kernel, x, partial)
    launch(kernels.merge, partial, out)
    return out


def sum_columns(x):
    """The sum over the rows of a dense matrix."""
    n, d = x.shape
    out = empty((d,), x.dtype, x)
    if 0 < x.size <= kernels.sum_columns_partial.block:  # all in one block
        launch(kernels.sum_columns_partial, x, out.reshape(1, d))
        return out
    blocks = kernels.sum_columns_partial.blocks({"n": n, "d": d})
    partial = empty((blocks, d), x.dtype, x)
    launch(kernels.sum_columns_partial, x, partial)
    launch(kernels.merge_columns, partial, out)
    return out


sum = Op("sum", _sum_forward, (_spread,), lower=_in_floats(_sum_lower))


def mean(x, axes, keepdims):
    """The mean over `axes`; an empty one has no value and is refused."""
    count = math.prod(x.shape[i] for i in axes) if axes else 1
    if count == 0:
        raise ShapeError(f"mean: expected at least one entry to average, got shape {x.shape}")
    return sum(x, axes=axes, keepdims=keepdims) * (1.0 / count)


def _extreme(name, reduce, kernel):
    def forward(x, *, axes, keepdims):
        refuse_empty(x, axes)
        return reduce(x, axis=axes, keepdims=keepdims)

    def lower(x, *, axes, keepdims):
        refuse_empty(x, axes)
        matrix = _rows(x, axes)
        out = empty((len(matrix),), matrix.dtype, x)
        launch(kernel, matrix, out)
        return out.reshape(_left(x.shape, axes, keepdims))

    def refuse_empty(x, axes):
        if 0 in (x.shape[i] for i in axes):
            raise ShapeError(f"{name}: expected at least one entry, got shape {x.shape}")

    def vjp(g, node):
        x, axes = node.inputs[0], node.attrs["axes"]
        chosen = same(x, reshape(node.out, shape=_kept(x.shape, axes)))
        return _spread(g, node) * (chosen / sum(chosen, axes=axes, keepdims=True))

    return Op(name, forward, (vjp,), lower=_in_floats(lower))


amax = _extreme("amax", np.amax, kernels.max_rows)
amin = _extreme("amin", np.amin, kernels.min_rows)


def _place(name, reduce, flipped):
    """The op that finds an extreme: of all entries, flat, if axis is None, or along one axis."""

    def lower(x, *, axis, keepdims):
        axes = tuple(range(x.ndim)) if axis is None else (axis,)
        matrix = _rows(x.astype(np.float64) if x.dtype.kind == "b" else x, axes)
        if flipped:
            negated = empty(matrix.shape, matrix.dtype, x)
            launch(lift.maps(formulas.neg), matrix, negated)
            matrix = negated
        out = empty((len(matrix),), np.int64, x)
        launch(kernels.argmax_rows, matrix, out)
        return out.reshape(_left(x.shape, axes, keepdims))

    return Op(name, lambda x, *, axis, keepdims: reduce(x, axis, keepdims=keepdims), lower=lower)


argmax = _place("argmax", np.argmax, False)
argmin = _place("argmin", np.argmin, True)


def _prod_forward(x, *, axes, keepdims):
    if x.dtype.kind != "f" or x.size < SMALL:
        kind = x.dtype if x.dtype.kind == "f" else np.int64
        return x.prod(axis=axes, keepdims=keepdims, dtype=kind)
    return _prod_lower(x, axes=axes, keepdims=keepdims)


def _prod_lower(x, *, axes, keepdims):
    matrix = _rows(x, axes)
    out = empty((len(matrix),), x.dtype, x)
    launch(kernels.prod_rows, matrix, out)
    return out.reshape(_left(x.shape, axes, keepdims))


def _prod_backward_forward(g, x, *, axes, keepdims):
    matrix = _rows(x, axes)
    dx = empty(matrix.shape, x.dtype, x)
    launch(kernels.prod_rows_backward, dense(g).reshape(len(matrix)), matrix, dx)
    order = [*(i for i in range(x.ndim) if i not in axes), *axes]
    return dx.reshape([x.shape[i] for i in order]).transpose(inverse(order))


def _prod_reference(x, *, axes, keepdims):
    """Pairs are multiplied, then pairs of those."""
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    kept = tuple(x.shape[i] for i in order[: x.ndim - len(axes)])
    count = math.prod(x.shape[i] for i in axes)
    if not count:
        return sum(x, axes=axes, keepdims=keepdims) + 1.0
    y = reshape(transpose(x, axes=order), shape=(*kept, count))
    while y.shape[-1] > 1:
        half, odd = divmod(y.shape[-1], 2)
        pairs = y[..., : 2 * half : 2] * y[..., 1 : 2 * half : 2]
        y = concatenate(pairs, y[..., 2 * half :], axis=y.ndim - 1) if odd else pairs
    return reshape(y, shape=_left(x.shape, axes, keepdims))


prod_backward = Op("prod_backward", _prod_backward_forward)
prod = Op(
    "prod",
    _prod_forward,
    (lambda g, node: prod_backward(g, node.inputs[0], **node.attrs),),
    _prod_reference,
    lower=_in_floats(_prod_lower),
)


def _cumsum_forward(x, *, axis):
    return _cumsum_lower(x, axis=axis) if x.dtype.kind == "f" else np.cumsum(x, axis)


def _cumsum_lower(x, *, axis):
    if not x.ndim:
        return x.copy()
    moved = dense(x.swapaxes(axis, -1))
    out = empty(moved.shape, x.dtype, x)
    rows = math.prod(moved.shape[:-1]), moved.shape[-1]
    launch(kernels.cumsum_rows, moved.reshape(rows), out.reshape(rows))
    return out.swapaxes(axis, -1)


def _cumsum_vjp(g, node):
    axis = node.attrs["axis"]
    return flip(cumsum(flip(g, (axis,)), axis=axis), (axis,)) if g.ndim else g


cumsum: Op = Op("cumsum", _cumsum_forward, (_cumsum_vjp,), lower=_cumsum_lower)


def logsumexp(x, axes, keepdims):
    """log of the sum of e^x over `axes`, each e^x beside the largest."""
    if 0 in (x.shape[i] for i in axes):
        return log(sum(exp(x), axes=axes, keepdims=keepdims))
    largest = amax(stop(x), axes=axes, keepdims=True)
    largest = where(less(abs(largest), math.inf), largest, 0.0)  # inf - inf has no value
    total = log(sum(exp(x - largest), axes=axes, keepdims=True)) + largest
    return total if keepdims else reshape(total, shape=_left(x.shape, axes, False))


def _root_vjp(g, node):
    return where(node.out == 0.0, 0.0, g * 0.5 / node.out)


# the square root whose slope at 0 is taken as 0: that of a norm
root = Op("root", np.sqrt, (_root_vjp,), lower=unary(formulas.sqrt))
