"""What the functions say about inputs they cannot use, and how they make them fit each other."""

import numpy as np

from ..errors import DTypeError, ShapeError
from ..tensor import Tensor


def a_tensor(x, who, name="input"):
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{who}: {name}: expected a Tensor, got {type(x).__name__}; wrap it in mr.tensor(...)"
        )
    return x


def alike(who, *inputs):
    """The inputs, floating ones, in one dtype: the widest of theirs."""
    dtype = inputs[0].dtype
    for x in inputs:
        if x.dtype is not dtype:
            break
    else:
        if dtype.kind == "f":
            return inputs
    for x in inputs:
        if x.dtype.kind != "f":
            raise DTypeError(
                f"{who}: expected inputs of float32 or float64, got {x.dtype}; use .float()"
            )
    dtype = np.result_type(*(x.dtype for x in inputs))
    return tuple((x if isinstance(x, Tensor) else Tensor(x)).to(dtype) for x in inputs)


def shaped(who, shape, **inputs):
    """Raise unless each input that is given has the shape."""
    for name, x in inputs.items():
        if x is not None and x.shape != shape:
            raise ShapeError(f"{who}: {name}: expected shape {shape}, got {x.shape}")


def same_shape(input, target, who):
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(
            f"{who}: expected input and target of one shape, got {tuple(input.shape)} and "
            f"{tuple(target.shape)}; reshape the target"
        )


def pair(value, who, name, least):
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in pair):
        raise ValueError(f"{who}({name}={value}): expected one or two integers of at least {least}")
    return tuple(int(v) for v in pair)


def as_numbers(x):
    """The array of a tensor or array_like, outside the graph."""
    return x.data if isinstance(x, Tensor) else np.asarray(x)
