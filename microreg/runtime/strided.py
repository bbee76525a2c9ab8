"""Copies between arrays that lie in memory in different ways, by kernels."""

import functools

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
def _geometry(dims, steps):
    return np.array(dims or (1,), np.int64), np.array(steps or (1,), np.int64)


def steps_of(x):
    """How many entries apart the neighbours along each axis lie."""
    return tuple(s // x.itemsize for s in x.strides)


def pack(x, dims, steps, out):
    """Fill `out` with the entries of x that lie at these steps."""
    if out.size:
        memory, origin = stretch(x, dims, steps)
        launch(move.pack, memory, *_geometry(tuple(dims), steps), out.reshape(-1), origin)
    return out


def unpack(x, out):
    """Write the entries of x into the array `out` of the same shape and dtype."""
    if x.size:
        steps = steps_of(out)
        memory, origin = stretch(out, out.shape, steps)
        launch(move.unpack, dense(x).reshape(-1), *_geometry(out.shape, steps), memory, origin)
    return out


def overwrite(out, x):
    """out[...] = x, for arrays of one shape."""
    if homes and home_of((out, x)) is not None:
        unpack(x.astype(out.dtype, copy=False), out)
    else:
        out[...] = x


def cast(x, out):
    """Fill `out` with the entries of x, both dense, in its own dtype."""
    launch(move.cast(x.dtype.name, out.dtype.name), x.reshape(-1), out.reshape(-1))
    return out


def filled(shape, dtype, value, like):
    """An array full of one number, where `like` is."""
    out = empty(shape, dtype, like)
    number = value if out.dtype.kind in "iu" else float(value)
    launch(move.fill, out.reshape(-1), number)
    return out


def expand(x, shape):
    """x broadcast to a shape, dense: x itself if it is that already."""
    if x.shape == tuple(shape):
        return dense(x)
    steps = (0,) * (len(shape) - x.ndim) + tuple(
        0 if n == 1 else s for n, s in zip(x.shape, steps_of(x), strict=True)
    )
    return pack(x, shape, steps, empty(shape, x.dtype, x))
