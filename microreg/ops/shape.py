"""Operations that move numbers without changing them."""

import numpy as np

from ._op import Op


def _reshape(x, *, shape):
    return x.reshape(shape)


def _transpose(x, *, axes):
    return x.transpose(axes)


def _transpose_vjp(g, node):
    return transpose(g, axes=tuple(int(i) for i in np.argsort(node.attrs["axes"])))


def _index(x, *, key):
    return x[key]


def _scatter(g, *, shape, key):
    """Zeros of `shape` with g added at `key`: what indexing with `key` took."""
    out = np.zeros(shape, g.dtype)
    if _basic(key):
        out[key] = g
    else:
        np.add.at(out, key, g)  # an index may occur twice
    return out


def _basic(key):
    keys = key if isinstance(key, tuple) else (key,)
    return all(k is None or k is Ellipsis or isinstance(k, (int, slice, np.integer)) for k in keys)


def _index_vjp(g, node):
    return scatter(g, shape=node.inputs[0].shape, key=node.attrs["key"])


def _concatenate(*arrays, axis):
    return np.concatenate(arrays, axis)


def _concatenate_vjp(g, node):
    axis, start, parts = node.attrs["axis"], 0, []
    for x in node.inputs:
        key = (slice(None),) * (axis % x.ndim) + (slice(start, start + x.shape[axis]),)
        parts.append(g[key])
        start += x.shape[axis]
    return tuple(parts)


reshape: Op = Op("reshape", _reshape, (lambda g, node: reshape(g, shape=node.inputs[0].shape),))
transpose: Op = Op("transpose", _transpose, (_transpose_vjp,))
index: Op = Op("index", _index, (_index_vjp,))
scatter: Op = Op("scatter", _scatter, (lambda g, node: index(g, key=node.attrs["key"]),))
concatenate = Op("concatenate", _concatenate, _concatenate_vjp)


def swap_last(x):
    """x with its last two axes exchanged: the transpose of each matrix."""
    return transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
