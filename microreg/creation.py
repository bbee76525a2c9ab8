"""Making tensors. PyTorch's names; `dtype` defaults to float32 (see `set_default_dtype`).

`device` is "cpu" if left out, or "cuda"; the `_like` functions stay where `input` is.
"""

import numpy as np

from .dtypes import as_dtype, get_default_dtype
from .random import generator
from .runtime.cuda import get_device, located
from .runtime.dlpack import CUDA
from .runtime.remote import recorder
from .tensor import Tensor


def tensor(data, dtype=None, device=None, requires_grad=False):
    """A tensor with a copy of `data`; an array's dtype is kept unless `dtype` is given."""
    made = Tensor(data)
    made.data = made.data.astype(made.dtype if dtype is None else as_dtype(dtype, "tensor"))
    made.data = located(made.data, device)
    _note(made.data)
    return made.requires_grad_() if requires_grad else made


def as_tensor(data, dtype=None):
    """`data` as a tensor, without a copy where that is possible."""
    made = data if isinstance(data, Tensor) else Tensor(data)
    return made if dtype is None else made.to(dtype)


def from_numpy(array):
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    return Tensor(array)


def from_dlpack(source):
    """A tensor that shares the memory of another library's array, on the CPU or the GPU.

    `source` has `__cuda_array_interface__`, or the methods of DLPack.
    """
    if not hasattr(source, "__dlpack__") and not hasattr(source, "__cuda_array_interface__"):
        raise TypeError(f"from_dlpack: expected an array, got {type(source).__name__}")
    if hasattr(source, "__dlpack__") and source.__dlpack_device__()[0] != CUDA:
        return Tensor(np.from_dlpack(source))
    return Tensor(get_device().wrap(source))


def _shape(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], (int, np.integer)) else size


def _note(array):
    """In a step that is being recorded: what is made there is made anew in every run."""
    recording = recorder()
    if recording is not None:
        recording.constants[id(array)] = array


def _finish(array, device, requires_grad=False):
    made = Tensor(located(array, device), requires_grad)
    _note(made.data)
    return made


def zeros(*size, dtype=None, device=None, requires_grad=False):
    return _finish(np.zeros(_shape(size), dtype or get_default_dtype()), device, requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False):
    return _finish(np.ones(_shape(size), dtype or get_default_dtype()), device, requires_grad)


def full(size, fill_value, dtype=None, device=None, requires_grad=False):
    """`size` entries of `fill_value`; its type decides the dtype."""
    made = Tensor(fill_value).dtype if dtype is None else dtype
    return _finish(np.full(size, fill_value, made), device, requires_grad)


def empty(*size, dtype=None, device=None, requires_grad=False):
    """Numbers that nobody has chosen."""
    return _finish(np.empty(_shape(size), dtype or get_default_dtype()), device, requires_grad)


def _like(make, input, dtype, requires_grad):
    """What `make` gives for the shape and the dtype of a tensor."""
    return make(
        input.shape, dtype=dtype or input.dtype, device=input.device, requires_grad=requires_grad
    )


def zeros_like(input, dtype=None, requires_grad=False):
    return _like(zeros, input, dtype, requires_grad)


def ones_like(input, dtype=None, requires_grad=False):
    return _like(ones, input, dtype, requires_grad)


def empty_like(input, dtype=None, requires_grad=False):
    return _like(empty, input, dtype, requires_grad)


def rand_like(input, dtype=None, requires_grad=False):
    return _like(rand, input, dtype, requires_grad)


def randn_like(input, dtype=None, requires_grad=False):
    return _like(randn, input, dtype, requires_grad)


def full_like(input, fill_value, dtype=None, requires_grad=False):
    return full(input.shape, fill_value, dtype or input.dtype, input.device, requires_grad)


def randint_like(input, low, high=None, dtype=None):
    if high is None:
        low, high = 0, low
    return randint(low, high, input.shape, dtype or input.dtype, input.device)


def arange(start, end=None, step=1, dtype=None, device=None):
    """start, start + step, ... below end; integers give int64."""
    if end is None:
        start, end = 0, start
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    made = np.arange(start, end, step, dtype or (np.int64 if whole else get_default_dtype()))
    return _finish(made, device)


def linspace(start, end, steps, dtype=None, device=None):
    """`steps` evenly spaced numbers, both ends included."""
    return _finish(np.linspace(start, end, steps, dtype=dtype or get_default_dtype()), device)


def eye(n, m=None, dtype=None, device=None):
    """Ones on the diagonal."""
    return _finish(np.eye(n, m, dtype=dtype or get_default_dtype()), device)


def rand(*size, dtype=None, device=None, requires_grad=False):
    """Uniform on [0, 1)."""
    drawn = generator().random(_shape(size))
    return _finish(np.asarray(drawn, dtype or get_default_dtype()), device, requires_grad)


def randn(*size, dtype=None, device=None, requires_grad=False):
    """Standard normal."""
    drawn = generator().standard_normal(_shape(size))
    return _finish(np.asarray(drawn, dtype or get_default_dtype()), device, requires_grad)


def randint(low, high=None, size=(), dtype=np.int64, device=None):
    """Integers from low (0 if only one bound is given) up to, not including, high."""
    if high is None or not isinstance(high, (int, np.integer)):
        low, high, size = 0, low, size if high is None else high
    return Tensor(located(np.asarray(generator().integers(low, high, size), dtype), device))


def randperm(n, device=None):
    """A random permutation of 0, ..., n - 1."""
    return Tensor(located(generator().permutation(n).astype(np.int64), device))
