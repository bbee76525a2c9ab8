"""Elementwise functions by kernels: the one place that knows how shapes and dtypes meet there."""

import math

import numpy as np

from ..errors import ShapeError
from ..kernels import formulas, lift, move
from ..runtime import launch
from ..runtime.remote import dense, empty, stretch
from ._op import as_float, flat


def unary(formula):
    """An array function out[i] = formula(x[i])."""
    kernel = lift.maps(formula)

    def function(x):
        x = dense(as_float(x))
        out = empty(x.shape, x.dtype, x)
        launch(kernel, x.reshape(-1), out.reshape(-1))
        return out

    return function


def zipped(formula):
    """An array function of two dense arrays of one shape: a gradient from g and a saved array."""
    kernel = lift.pairs(formula)

    def function(g, x):
        out = empty(x.shape, x.dtype, g)
        launch(kernel, flat(g), flat(x), out.reshape(-1))
        return out

    return function


def binary(formula, result=None):
    """An array function of two arrays, or an array and a number, with broadcasting.

    `result` is the dtype of what comes out, if it is not that of the inputs.
    """
    kind = "" if result is None else f":{result}"

    def function(a, b):
        if not isinstance(a, np.ndarray):
            return _with_number(formula, b, a, True, kind)
        if not isinstance(b, np.ndarray):
            return _with_number(formula, a, b, False, kind)
        if a.dtype != b.dtype:
            dtype = np.result_type(a.dtype, b.dtype)
            a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
        if a.shape == b.shape:
            out = empty(a.shape, result or a.dtype, a)
            launch(lift.pairs(formula, kind), flat(a), flat(b), out.reshape(-1))
            return out
        return _broadcast(formula, a, b, kind, result)

    return function


def _with_number(formula, x, s, flipped, kind):
    if x.dtype.kind != "f" and isinstance(s, float):
        x = as_float(x)
    x = dense(x)
    out = empty(x.shape, kind[1:] or x.dtype, x)
    number = s if x.dtype.kind in "iu" else float(s)
    launch(lift.numbers(formula, flipped, kind), x.reshape(-1), out.reshape(-1), number)
    return out


def broadcast_shape(*shapes):
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast") from None


def _broadcast(formula, a, b, kind, result):
    shape = broadcast_shape(a.shape, b.shape)
    flipped = a.shape != shape
    whole, part = (b, a) if flipped else (a, b)
    layout = _middle(whole.shape, part.shape) if whole.shape == shape else None
    if layout is None:
        return binary(formula, result)(expand(a, shape), expand(b, shape))
    out = empty(shape, result or a.dtype, a)
    kernel = lift.middles(formula, flipped, kind)
    launch(kernel, dense(whole).reshape(layout), flat(part), out.reshape(layout))
    return out


def _middle(shape, part):
    """(p, q, r) if `part` is one stretch of q entries of `shape`, broadcast on both sides."""
    part = (1,) * (len(shape) - len(part)) + part
    long = [i for i, n in enumerate(part) if n != 1]
    first, last = (long[0], long[-1] + 1) if long else (0, 0)
    if part[first:last] != shape[first:last]:
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def choose(condition, a, b, shape, dtype, like):
    """a where the condition holds, b elsewhere; arrays or numbers, broadcast to a shape."""
    full = []
    for x in (condition, a, b):
        if isinstance(x, np.ndarray):
            full.append(flat(expand(x.astype(dtype, copy=False), shape)))
        else:
            full.append(filled(shape, dtype, x, like).reshape(-1))
    out = empty(shape, dtype, like)
    launch(lift.triples(formulas.choose), *full, out.reshape(-1))
    return out


def filled(shape, dtype, value, like):
    """An array full of one number."""
    out = empty(shape, dtype, like)
    number = value if out.dtype.kind in "iu" else float(value)
    launch(move.fill, out.reshape(-1), number)
    return out


def expand(x, shape):
    """x broadcast to a shape, dense: x itself if it is that already."""
    if x.shape == tuple(shape):
        return dense(x)
    steps = (0,) * (len(shape) - x.ndim) + tuple(
        0 if n == 1 else s // x.itemsize for n, s in zip(x.shape, x.strides, strict=True)
    )
    out = empty(shape, x.dtype, x)
    return pack(x, shape, steps, out)


def pack(x, dims, steps, out):
    """Fill `out` with the entries of x that lie at these steps."""
    if out.size:
        memory, origin = stretch(x, dims, steps)
        launch(move.pack, memory, *_geometry(dims, steps), out.reshape(-1), origin)
    return out


def unpack(x, out):
    """Write the entries of x into the (strided) array `out` of the same shape."""
    if x.size:
        steps = [s // out.itemsize for s in out.strides]
        memory, origin = stretch(out, out.shape, steps)
        launch(move.unpack, flat(x), *_geometry(out.shape, steps), memory, origin)
    return out


def _geometry(dims, steps):
    return np.array(dims or (1,), np.int64), np.array(steps or (1,), np.int64)
