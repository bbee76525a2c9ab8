"""Making tensors. PyTorch's names; `dtype` defaults to float32 (see `set_default_dtype`)."""

import numpy as np

from .dtypes import as_dtype, get_default_dtype
from .random import generator
from .tensor import Tensor


def tensor(data, dtype=None, requires_grad=False):
    """A tensor with a copy of `data`; an array's dtype is kept unless `dtype` is given."""
    made = Tensor(data)
    made.data = made.data.astype(made.dtype if dtype is None else as_dtype(dtype, "tensor"))
    return made.requires_grad_() if requires_grad else made


def from_numpy(array):
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    return Tensor(array)


def _shape(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], (int, np.integer)) else size


def _finish(array, requires_grad):
    return Tensor(array, requires_grad)


def zeros(*size, dtype=None, requires_grad=False):
    return _finish(np.zeros(_shape(size), dtype or get_default_dtype()), requires_grad)


def ones(*size, dtype=None, requires_grad=False):
    return _finish(np.ones(_shape(size), dtype or get_default_dtype()), requires_grad)


def full(size, fill_value, dtype=None, requires_grad=False):
    """`size` entries of `fill_value`; its type decides the dtype."""
    made = Tensor(fill_value).dtype if dtype is None else dtype
    return _finish(np.full(size, fill_value, made), requires_grad)


def zeros_like(input, dtype=None):
    return Tensor(np.zeros(input.shape, dtype or input.dtype))


def ones_like(input, dtype=None):
    return Tensor(np.ones(input.shape, dtype or input.dtype))


def full_like(input, fill_value, dtype=None):
    return Tensor(np.full(input.shape, fill_value, dtype or input.dtype))


def arange(start, end=None, step=1, dtype=None):
    """start, start + step, ... below end; integers give int64."""
    if end is None:
        start, end = 0, start
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    return Tensor(
        np.arange(start, end, step, dtype or (np.int64 if whole else get_default_dtype()))
    )


def linspace(start, end, steps, dtype=None):
    """`steps` evenly spaced numbers, both ends included."""
    return Tensor(np.linspace(start, end, steps, dtype=dtype or get_default_dtype()))


def eye(n, m=None, dtype=None):
    """Ones on the diagonal."""
    return Tensor(np.eye(n, m, dtype=dtype or get_default_dtype()))


def rand(*size, dtype=None, requires_grad=False):
    """Uniform on [0, 1)."""
    drawn = generator().random(_shape(size))
    return _finish(np.asarray(drawn, dtype or get_default_dtype()), requires_grad)


def randn(*size, dtype=None, requires_grad=False):
    """Standard normal."""
    drawn = generator().standard_normal(_shape(size))
    return _finish(np.asarray(drawn, dtype or get_default_dtype()), requires_grad)


def randint(low, high=None, size=(), dtype=np.int64):
    """Integers from low (0 if only one bound is given) up to, not including, high."""
    if high is None or not isinstance(high, (int, np.integer)):
        low, high, size = 0, low, size if high is None else high
    return Tensor(np.asarray(generator().integers(low, high, size), dtype))


def randperm(n):
    """A random permutation of 0, ..., n - 1."""
    return Tensor(generator().permutation(n).astype(np.int64))
