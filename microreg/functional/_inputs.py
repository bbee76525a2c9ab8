"""What the functions say about inputs they cannot use, and how they make them fit each other."""

import functools

import numpy as np

from ..errors import DTypeError, ShapeError
from ..methods._meeting import floating
from ..tensor import Tensor


def a_tensor(x, who, name="input"):
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{who}: {name}: expected a Tensor, got {type(x).__name__}; wrap it in mr.tensor(...)"
        )
    return x


def floats(x, who):
    """A tensor; integers and bools become the default dtype."""
    return floating(a_tensor(x, who))


def method(name):
    """The function whose first argument is the tensor of which it calls a method."""
    call = getattr(Tensor, name)

    @functools.wraps(call)
    def function(input, *args, **options):
        return call(a_tensor(input, name), *args, **options)

    return function


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


def batched(who, x, ndim):
    """A batch of inputs (a single one as a batch of one), and what makes the result alike again."""
    if x.ndim == ndim:
        return x, lambda out: out
    if x.ndim != ndim - 1:
        axes = ("c", "h", "w") if ndim == 4 else ("c", "length")
        one = f"({', '.join(axes)})"
        raise ShapeError(f"{who}: expected x (n, {one[1:]} or {one}, got shape {x.shape}")
    return x.unsqueeze(0), lambda out: out.squeeze(0)


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


def pair(value, who, name, least, count=2):
    """A number, or one for each axis, as a tuple for `count` axes."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(pair) != count or not all(isinstance(v, (int, np.integer)) and v >= least for v in pair):
        many = "one or two integers" if count == 2 else "an integer"
        raise ValueError(f"{who}({name}={value}): expected {many} of at least {least}")
    return tuple(int(v) for v in pair)
