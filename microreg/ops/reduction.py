"""Sums, means and extremes over axes."""

import math

import numpy as np

from ..errors import ShapeError
from ..kernels import reduce as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty, memory_order
from ._op import Op, as_float
from .arithmetic import expand, same
from .shape import reshape

SMALL = 4096  # elements below which NumPy is done before a kernel has started


def axes_of(x, axis, who):
    """`axis` (None, an integer or several) as a sorted tuple of non-negative integers."""
    if axis is None:
        return tuple(range(x.ndim))
    asked = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for i in asked:
        if not -x.ndim <= i < max(x.ndim, 1):
            raise ShapeError(f"{who}: expected an axis from {-x.ndim} to {x.ndim - 1}, got {i}")
    axes = tuple(sorted({int(i) % max(x.ndim, 1) for i in asked}))
    return axes if x.ndim else ()


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


def _sum_lower(x, *, axes, keepdims):
    return sum_over(as_float(x), axes).reshape(_left(x.shape, axes, keepdims))


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


sum = Op("sum", _sum_forward, (_spread,), lower=_sum_lower)


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
        matrix = _rows(as_float(x), axes)
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

    return Op(name, forward, (vjp,), lower=lower)


amax = _extreme("amax", np.amax, kernels.max_rows)
amin = _extreme("amin", np.amin, kernels.min_rows)
