"""Operations that move numbers without changing them."""

import itertools
import math

import numpy as np

from ..errors import CaptureError
from ..kernels import move
from ..runtime import launch
from ..runtime.remote import dense, empty
from ..runtime.strided import filled, unpack
from ._op import Op


def _transpose_vjp(g, node):
    return transpose(g, axes=tuple(int(i) for i in np.argsort(node.attrs["axes"])))


def _basic(key):
    keys = key if isinstance(key, tuple) else (key,)
    return all(k is None or k is Ellipsis or isinstance(k, (int, slice, np.integer)) for k in keys)


def _rows_taken(x, key):
    """(positions, axes): `key`, integer arrays for the first axes, as positions of rows of x."""
    keys = key if isinstance(key, tuple) else (key,)
    while keys and isinstance(keys[-1], slice) and keys[-1] == slice(None):
        keys = keys[:-1]
    whole = all(isinstance(k, (np.ndarray, list, int, np.integer)) for k in keys)
    keys = [np.asarray(k) if not isinstance(k, np.ndarray) else k for k in keys]
    if not whole or any(k.dtype.kind not in "iu" for k in keys):
        raise CaptureError(
            "indexing: expected integer arrays for the first axes, or slices and integers alone"
        )
    if len(keys) == 1:
        return keys[0].astype(np.int64, copy=False), 1
    if any(k.__class__ is not np.ndarray for k in keys):
        raise CaptureError("indexing: expected one index that is computed in the step, got several")
    ahead = []
    for i, (k, n) in enumerate(zip(keys, x.shape, strict=False)):
        if k.size and not -n <= k.min() <= k.max() < n:
            raise IndexError(
                f"indexing: axis {i}: expected positions from {-n} to {n - 1}, got {k.min()} to "
                f"{k.max()}"
            )
        ahead.append(np.where(k < 0, k + n, k) * math.prod(x.shape[i + 1 : len(keys)]))
    places = np.sum(np.broadcast_arrays(*ahead), axis=0)
    return np.ascontiguousarray(places, np.int64), len(keys)


def _index_lower(x, *, key):
    if _basic(key):
        return x[key]
    positions, axes = _rows_taken(x, key)
    inner = x.shape[axes:]
    out = empty((*positions.shape, *inner), x.dtype, x)
    rows = math.prod(x.shape[:axes]), math.prod(inner)
    source, target = dense(x).reshape(rows), out.reshape(positions.size, rows[1])
    if x.dtype == np.int64:  # rows of eight bytes, whatever they mean
        source, target = source.view(np.float64), target.view(np.float64)
    launch(move.take_rows, source, dense(positions), target)
    return out


def _part(x, key):
    """x[key] as a view, also where it has no axes."""
    keys = key if isinstance(key, tuple) else (key,)
    return x[keys if Ellipsis in keys else (*keys, Ellipsis)]


def _scatter(g, *, shape, key):
    """Zeros of `shape` with g added at `key`: what indexing with `key` took."""
    if isinstance(key, np.ndarray) and key.dtype.kind in "iu" and g.dtype.kind == "f":
        return _scatter_lower(g, shape=shape, key=key)
    out = np.zeros(shape, g.dtype)
    if _basic(key):
        out[key] = g
    else:
        np.add.at(out, key, g)  # an index may occur twice
    return out


def _scatter_lower(g, *, shape, key):
    if _basic(key):
        out = filled(shape, g.dtype, 0.0, g)
        unpack(g, _part(out, key))
        return out
    out = empty(shape, g.dtype, g)
    positions, axes = _rows_taken(out, key)
    rows = math.prod(shape[:axes]), math.prod(shape[axes:])
    source = dense(g).reshape(positions.size, rows[1])
    launch(move.add_rows_at, source, dense(positions), out.reshape(rows))
    return out


def _index_vjp(g, node):
    return scatter(g, shape=node.inputs[0].shape, key=node.attrs["key"])


def _parts(arrays, axis):
    """For each array the index of its place in the concatenation."""
    ends = [0, *itertools.accumulate(x.shape[axis] for x in arrays)]
    ahead = (slice(None),) * (axis % arrays[0].ndim)
    return [(*ahead, slice(a, b)) for a, b in itertools.pairwise(ends)]


def _concatenate_lower(*arrays, axis):
    dtype = np.result_type(*(x.dtype for x in arrays))
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    out = empty(tuple(shape), dtype, arrays[0])
    for x, key in zip(arrays, _parts(arrays, axis), strict=True):
        unpack(x.astype(dtype, copy=False), out[key])
    return out


def _concatenate_vjp(g, node):
    return tuple(g[key] for key in _parts(node.inputs, node.attrs["axis"]))


def _unbind_forward(x):
    return tuple(x[i, ...] for i in range(len(x)))


def _unbind_vjp(g, node):
    shape = 1, *node.inputs[0].shape[1:]
    return (concatenate(*(reshape(part, shape=shape) for part in g), axis=0),)


def _without_row(x, *, row):
    out = x.copy()
    launch(move.fill, out[row : row + 1], 0.0)
    return out


reshape: Op = Op(
    "reshape",
    lambda x, *, shape: x.reshape(shape),
    (lambda g, node: reshape(g, shape=node.inputs[0].shape),),
    lower=lambda x, *, shape: dense(x).reshape(shape),
)
transpose: Op = Op("transpose", lambda x, *, axes: x.transpose(axes), (_transpose_vjp,))
index: Op = Op("index", lambda x, *, key: x[key], (_index_vjp,), lower=_index_lower)
scatter: Op = Op(
    "scatter",
    _scatter,
    (lambda g, node: index(g, key=node.attrs["key"]),),
    lower=_scatter_lower,
)
concatenate = Op(
    "concatenate",
    lambda *arrays, axis: np.concatenate(arrays, axis),
    _concatenate_vjp,
    lower=_concatenate_lower,
)
# the entries along the first axis, whose gradients are put together at once
unbind = Op("unbind", _unbind_forward, _unbind_vjp)
# zeros in one row; and the same numbers, through which no gradient flows to that row
without_row: Op = Op("without_row", _without_row, (lambda g, node: without_row(g, **node.attrs),))
freeze_row = Op(
    "freeze_row", lambda x, *, row: x.view(), (lambda g, node: without_row(g, **node.attrs),)
)
# the same numbers, through which no gradient flows; and a copy of them
stop = Op("stop", lambda x: x.view())
clone = Op("clone", lambda x: x.copy(), (lambda g, node: g,))
cast: Op = Op(
    "cast",
    lambda x, *, dtype: x.astype(dtype),
    (lambda g, node: cast(g, dtype=node.inputs[0].dtype),),
)


def swap_last(x):
    """x with its last two axes exchanged: the transpose of each matrix."""
    return transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def flip(x, axes):
    """x with the order of its entries along some axes turned round."""
    return index(x, key=tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim)))
