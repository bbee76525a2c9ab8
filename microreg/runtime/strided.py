"""Copies between arrays that lie in memory in different ways, by kernels."""

import functools
import math

import numpy as np

from ..kernels import move
from .cpu import launch
from .remote import Remote, dense, empty, home_of, homes


class _Stretch:
    """What NumPy makes an array of; `base` keeps the memory alive."""

    def __init__(self, base, address, size, dtype):
        self.base = base
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (size,),
            "typestr": dtype.str,
            "version": 3,
        }


def stretch(x, dims, steps):
    """The flat memory that entries of x at these steps span, and where the first lies in it."""
    ways = [(n - 1) * s for n, s in zip(dims, steps, strict=True)]
    low, high = sum(min(0, way) for way in ways), sum(max(0, way) for way in ways)
    start = x.__array_interface__["data"][0] + low * x.itemsize
    memory = np.asarray(_Stretch(x, start, high - low + 1, x.dtype))
    if isinstance(x, Remote):
        memory = memory.view(Remote)
        memory.home = x.home
    return memory, -low


@functools.cache
def _merged(dims, steps):
    """The same places with axes of length one left out and axes that continue each other joined."""
    out = []
    for n, s in zip(dims, steps, strict=True):
        if n == 1:
            continue
        if out and out[-1][1] == n * s:
            out[-1] = (out[-1][0] * n, s)
        else:
            out.append((n, s))
    return tuple(out) or ((1, 1),)


def steps_of(x):
    """How many entries apart the neighbours along each axis lie."""
    return tuple(s // x.itemsize for s in x.strides)


def pack(x, dims, steps, out):
    """Fill the dense array `out` with the entries of x that lie at these steps."""
    if out.size:
        memory, origin = stretch(x, dims, steps)
        axes = _merged(tuple(dims), tuple(steps))
        shape = _turned(axes)
        if shape is not None and x.itemsize >= 4 and out.dtype.kind == "f":
            n, p, q = shape
            launch(move.turn, memory.reshape(n, p, q), out.reshape(n, q, p))
        else:
            _lines(move.pack, memory, out.reshape(-1), axes, origin, packs=True)
    return out


def unpack(x, out):
    """Write the entries of x into the array `out` of the same shape and dtype."""
    if x.size:
        steps = steps_of(out)
        memory, origin = stretch(out, out.shape, steps)
        axes = _merged(out.shape, steps)
        _lines(move.unpack, dense(x).reshape(-1), memory, axes, origin, packs=False)
    return out


def _turned(axes):
    """(n, p, q) if the axes read matrices (p, q), dense one behind the other, by columns."""
    if len(axes) not in (2, 3):
        return None
    *ahead, (q, one), (p, step) = axes
    if one != 1 or step != q or p < 4 or q < 4 or (ahead and ahead[0][1] != p * q):
        return None
    return (ahead[0][0] if ahead else 1), p, q


def _lines(kernel, source, target, axes, origin, packs):
    """Launch `pack` or `unpack`, once for each entry of what axes there are beyond four."""
    if len(axes) > 4:
        (n, step), inner = axes[0], axes[1:]
        size = math.prod(m for m, _ in inner)
        for i in range(n):
            part = slice(i * size, (i + 1) * size)
            at = origin + i * step
            if packs:
                _lines(kernel, source, target[part], inner, at, packs)
            else:
                _lines(kernel, source[part], target, inner, at, packs)
        return
    *lines, (d, sd) = axes
    (_, sa), (nb, sb), (nc, sc) = [(1, 0)] * (3 - len(lines)) + lines
    matrix = (math.prod(n for n, _ in lines), d)
    source, target = (source, target.reshape(matrix)) if packs else (source.reshape(matrix), target)
    launch(kernel, source, target, nb, nc, sa, sb, sc, sd, origin)


def overwrite(out, x):
    """out[...] = x, for arrays of one shape."""
    if homes and home_of((out, x)) is not None:
        unpack(x.astype(out.dtype, copy=False), out)
    else:
        out[...] = x


def cast(x, out):
    """Fill `out` with the entries of x, both dense, in its own dtype."""
    launch(move.cast(x.dtype.name, out.dtype.name), x, out)
    return out


def filled(shape, dtype, value, like):
    """An array full of one number, where `like` is."""
    out = empty(shape, dtype, like)
    if out.dtype == bool:
        launch(move.fill, out.view(np.uint8), int(bool(value)))
        return out
    number = value if out.dtype.kind in "iu" else float(value)
    launch(move.fill, out, number)
    return out


def expand(x, shape):
    """x broadcast to a shape, dense: x itself if it is that already."""
    if x.shape == tuple(shape):
        return dense(x)
    steps = (0,) * (len(shape) - x.ndim) + tuple(
        0 if n == 1 else s for n, s in zip(x.shape, steps_of(x), strict=True)
    )
    return pack(x, shape, steps, empty(shape, x.dtype, x))
