"""How what a method is given meets the tensor it is called on: dtypes, axes, sizes."""

import math

import numpy as np

from ..dtypes import as_array, get_default_dtype, result_dtype
from ..errors import ShapeError
from ..ops._op import Op

NUMBERS = (int, float, np.ndarray, np.generic, list, tuple)
constant = Op("constant", lambda x: x, ())


def operand(x, other):
    """`other` as an input beside tensor x: numbers stay numbers, lists become arrays."""
    if isinstance(other, (np.generic, np.ndarray)) and other.ndim == 0:
        return other.item()
    if isinstance(other, (list, tuple)):
        return np.asarray(other, x.data.dtype) if x.data.dtype.kind == "f" else as_array(other)
    return other


def floating(x):
    """x itself if it is floating, else with the default dtype."""
    return x if x.data.dtype.kind == "f" else x.to(get_default_dtype())


def cast(x, dtype):
    """A tensor or an array in a dtype; a number as it is."""
    if not hasattr(x, "dtype"):
        return x
    return x.to(dtype) if hasattr(x, "record") else x.astype(dtype, copy=False)


def meet(*inputs):
    """Tensors, arrays and numbers in the dtype where they meet; numbers stay numbers."""
    dtype = result_dtype(*inputs)
    return [cast(x, dtype) for x in inputs]


def axis(x, dim, who):
    """An axis as a number from 0; a tensor without axes is taken for one entry along one."""
    ndim = max(x.ndim, 1)
    if not -ndim <= dim < ndim:
        raise ShapeError(f"{who}: expected an axis from {-ndim} to {ndim - 1}, got {dim}")
    return dim % ndim


def unpacked(sizes):
    """What f(2, 3), f((2, 3)) and f([2, 3]) mean alike."""
    alone = len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer))
    return tuple(map(int, sizes[0] if alone else sizes))


def whole_sizes(x, sizes):
    """The sizes given to reshape, with at most one -1 worked out."""
    known = math.prod(n for n in sizes if n != -1)
    free = sizes.count(-1)
    fits = x.data.size == known if free == 0 else known and x.data.size % known == 0
    if free > 1 or not fits or min(sizes, default=0) < -1:
        raise ShapeError(f"reshape{sizes}: {x.data.size} entries of shape {x.shape} do not fit")
    return tuple(x.data.size // known if n == -1 else n for n in sizes)
