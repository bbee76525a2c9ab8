"""Entries taken from each row at places of its own, and the order in which entries stand."""

import math

import numpy as np

from ..kernels import move
from ..runtime import launch
from ..runtime.remote import dense, empty
from ._op import Op


def _rows(x, axis):
    """x as a matrix whose rows run along an axis, and its shape with that axis last."""
    moved = dense(x.swapaxes(axis, -1))
    return moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1]), moved.shape


def _take_lower(x, places, *, axis):
    index, shape = _rows(places, axis)
    out = empty(shape, x.dtype, x)
    launch(move.take_along_rows, _rows(x, axis)[0], index, out.reshape(index.shape))
    return out.swapaxes(axis, -1)


def _add_forward(g, places, *, axis, size):
    """Zeros, `size` along the axis, with g added at the places."""
    matrix, shape = _rows(g, axis)
    out = empty((*shape[:-1], size), g.dtype, g)
    target = out.reshape(len(matrix), size)
    launch(move.add_along_rows, matrix, _rows(places, axis)[0], target)
    return out.swapaxes(axis, -1)


def _take_vjp(g, node):
    (x, places), axis = node.inputs, node.attrs["axis"]
    return add_along(g, places, axis=axis, size=x.shape[axis])


# x and places differ in length along the axis alone
take_along: Op = Op(
    "take_along",
    lambda x, places, *, axis: np.take_along_axis(x, places, axis),
    (_take_vjp, None),
    lower=_take_lower,
)
add_along: Op = Op(
    "add_along",
    _add_forward,
    (lambda g, node: take_along(g, node.inputs[1], axis=node.attrs["axis"]), None),
)


def _order(x, *, axis, descending):
    """The places of the entries in order, equal ones as they stand; NaN counts as the largest."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    turned = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(turned, axis)


order = Op("order", _order)
