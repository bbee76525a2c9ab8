"""Sums, means and extremes over axes."""

import numpy as np

from ..errors import ShapeError
from ..kernels import reduce as kernels
from ..runtime import launch
from ._op import Op, dense
from .arithmetic import _data, expand
from .shape import reshape


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


def _spread(g, node):
    """g with its reduced axes back, at full size."""
    x = node.inputs[0]
    return expand(reshape(g, shape=_kept(x.shape, node.attrs["axes"])), shape=x.shape)


def _sum_forward(x, *, axes, keepdims):
    if x.dtype.kind != "f":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.int64)
    if x.size < SMALL or len(axes) == 0:
        return x.sum(axis=axes, keepdims=keepdims)
    return _large_sum(dense(x), axes).reshape(
        _kept(x.shape, axes) if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
    )


SMALL = 4096  # elements below which NumPy is done before a kernel has started


def _large_sum(x, axes):
    """Sum by kernels, in fixed blocks, when the axes are the first or the last ones."""
    if len(axes) == x.ndim:
        return sum_all(x)
    if axes == tuple(range(x.ndim - len(axes), x.ndim)):
        out = np.empty(x.shape[: -len(axes)], x.dtype)
        launch(kernels.sum_rows, x.reshape(out.size, -1), out.reshape(-1))
        return out
    if axes == tuple(range(len(axes))):
        return sum_columns(x.reshape(-1, int(np.prod(x.shape[len(axes) :]))))
    return x.sum(axis=axes)


def sum_all(x):
    """The sum of all entries of a dense array, as an array of one."""
    flat = x.reshape(-1)
    partial = np.empty(kernels.sum_all.blocks({"n": flat.size}))
    launch(kernels.sum_all, flat, partial)
    return partial.sum(keepdims=True).astype(x.dtype)


def sum_columns(x):
    """The sum over the rows of a dense matrix."""
    n, d = x.shape
    partial = np.empty((kernels.sum_columns_partial.blocks({"n": n, "d": d}), d), x.dtype)
    launch(kernels.sum_columns_partial, x, partial)
    out = np.empty(d, x.dtype)
    launch(kernels.merge_columns, partial, out)
    return out


sum = Op("sum", _sum_forward, (_spread,))


def mean(x, axes, keepdims):
    """The mean over `axes`; an empty one has no value and is refused."""
    count = int(np.prod([x.shape[i] for i in axes])) if axes else 1
    if count == 0:
        raise ShapeError(f"mean: expected at least one entry to average, got shape {x.shape}")
    return sum(x, axes=axes, keepdims=keepdims) * (1.0 / count)


def _extreme(name, reduce):
    def forward(x, *, axes, keepdims):
        if x.size == 0:
            raise ShapeError(f"{name}: expected at least one entry, got shape {x.shape}")
        return reduce(x, axis=axes, keepdims=keepdims)

    def vjp(g, node):
        x, axes = _data(node.inputs[0]), node.attrs["axes"]
        best = _data(node.out).reshape(_kept(x.shape, axes))
        chosen = (x == best) | (np.isnan(x) & np.isnan(best))
        share = chosen / chosen.sum(axis=axes, keepdims=True).astype(x.dtype)
        return _spread(g, node) * share

    return Op(name, forward, (vjp,))


amax = _extreme("amax", np.amax)
amin = _extreme("amin", np.amin)
