"""Elementwise functions by kernels: the one place that knows how shapes and dtypes meet there."""

import math

import numpy as np

from ..errors import ShapeError
from ..kernels import formulas, lift
from ..runtime import launch
from ..runtime.remote import dense, empty, inverse, memory_order
from ..runtime.strided import expand, filled
from ._op import as_float


def in_memory(function):
    """The array function on arrays of one shape, taken through them in the order they lie in.

    The result lies as the first array that is dense in another order than that of its axes.
    """

    def ordered(*arrays):
        for x in arrays:
            if not x.flags.c_contiguous:
                break
        else:
            return function(*arrays)
        order = next((o for o in map(memory_order, arrays) if o is not None), None)
        if order is None:
            return function(*map(dense, arrays))
        return function(*(dense(x.transpose(order)) for x in arrays)).transpose(inverse(order))

    return ordered


def unary(formula, whole=False):
    """An array function out[i] = formula(x[i]); without `whole` integers are made floating."""
    kernel = lift.maps(formula)

    def function(x):
        out = empty(x.shape, x.dtype, x)
        launch(kernel, x, out)
        return out

    ordered = in_memory(function)

    def forward(x):
        if x.__class__ is not np.ndarray and isinstance(x, np.generic):
            x = np.asarray(x)
        if x.dtype.kind != "f" and not whole:
            x = as_float(x)
        return function(x) if x.flags.c_contiguous else ordered(x)

    return forward


def zipped(formula):
    """An array function of two arrays of one shape: a gradient from g and a saved array."""
    return _pairwise(lift.pairs(formula), None)


def _pairwise(kernel, result):
    def function(a, b):
        out = empty(a.shape, result or a.dtype, a)
        launch(kernel, a, b, out)
        return out

    return in_memory(function)


def binary(formula, result=None):
    """An array function of two arrays, or an array and a number, with broadcasting.

    `result` is the dtype of what comes out, if it is not that of the inputs.
    """
    kind = "" if result is None else f":{result}"
    pairwise = _pairwise(lift.pairs(formula, kind), result)

    def function(a, b):
        if not isinstance(a, np.ndarray):
            return _with_number(formula, b, a, True, kind)
        if not isinstance(b, np.ndarray):
            return _with_number(formula, a, b, False, kind)
        if a.dtype != b.dtype:
            dtype = np.result_type(a.dtype, b.dtype)
            a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
        return pairwise(a, b) if a.shape == b.shape else _broadcast(formula, a, b, kind, result)

    return function


def _with_number(formula, x, s, flipped, kind):
    if x.dtype.kind != "f" and isinstance(s, float):
        x = as_float(x)
    number = s if x.dtype.kind in "iu" else float(s)
    kernel = lift.numbers(formula, flipped, kind)

    def function(x):
        out = empty(x.shape, kind[1:] or x.dtype, x)
        launch(kernel, x, out, number)
        return out

    return in_memory(function)(x)


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
    launch(kernel, dense(whole).reshape(layout), dense(part), out.reshape(layout))
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
            full.append(expand(x.astype(dtype, copy=False), shape))
        else:
            full.append(filled(shape, dtype, x, like))
    out = empty(shape, dtype, like)
    launch(lift.triples(formulas.choose), *full, out)
    return out
