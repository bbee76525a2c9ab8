"""The dtypes of tensors: float32 and float64, int64 and bool; what anything else becomes."""

import numpy as np

from .errors import DTypeError, ShapeError

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_DTYPES = {d: d for d in (FLOAT32, FLOAT64, np.dtype(np.int64), np.dtype(np.bool_))}


def as_array(data):
    """Any array_like as an array of float32, float64, int64 or bool.

    NumPy arrays keep those dtypes; Python floats become the default dtype, float32 unless
    `set_default_dtype` says otherwise; other integers become int64, float16 becomes float32.
    """
    if type(data) is np.ndarray and data.dtype in _DTYPES:
        return _with_known_dtype(data)
    if hasattr(data, "record"):  # a tensor
        return data.data
    if hasattr(data, "home"):  # memory of a device
        return data
    try:
        array = data if hasattr(data, "home") else np.asarray(data)  # `runtime/remote.py`
    except ValueError as error:
        raise ShapeError(f"tensor: the rows have different lengths ({error})") from None
    if array.dtype == FLOAT64 and not isinstance(data, (np.ndarray, np.generic)):
        return array.astype(_default[0])
    if array.dtype in _DTYPES:
        return _with_known_dtype(array)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array.astype(FLOAT64 if array.dtype.itemsize == 8 else FLOAT32)
    raise DTypeError(f"tensor: expected numbers or bools, got dtype {array.dtype}")


def _with_known_dtype(array):
    """The array with our object for its dtype: one from a pickle has an equal one of its own."""
    known = _DTYPES[array.dtype]
    return array if array.dtype is known else array.view(known)


def as_dtype(dtype, who):
    """One of the four dtypes, however it was named."""
    if np.dtype(dtype) not in _DTYPES:
        raise DTypeError(f"{who}: expected float32, float64, int64 or bool, got {np.dtype(dtype)}")
    return np.dtype(dtype)


_default = [FLOAT32]


def set_default_dtype(dtype):
    """The dtype that Python floats and new parameters get: float32 or float64."""
    if np.dtype(dtype) not in (FLOAT32, FLOAT64):
        raise DTypeError(f"set_default_dtype: expected float32 or float64, got {dtype}")
    _default[0] = np.dtype(dtype)


def get_default_dtype():
    return _default[0]


_RANK = {"b": 0, "i": 1, "f": 2}


def result_dtype(*inputs):
    """The dtype in which arrays, tensors and Python numbers meet, as in PyTorch.

    The highest kind counts (bool, integer, float), and of two floats the wider. What has no axes
    counts only if its kind is above that of all that have some; a Python number only if its kind
    is above everybody's.
    """
    levels: list[list[np.dtype]] = [[], [], []]
    for x in inputs:
        dtype = getattr(x, "dtype", None)
        if dtype is None:
            levels[2].append(_of_number(x))
        else:
            levels[0 if x.ndim else 1].append(dtype)
    found = None
    for level in levels:
        if level:
            best = max(level, key=lambda dtype: (_RANK[dtype.kind], dtype.itemsize))
            if found is None or _RANK[best.kind] > _RANK[found.kind]:
                found = best
    return found


def _of_number(x):
    if isinstance(x, bool):
        return np.dtype(np.bool_)
    return np.dtype(np.int64) if isinstance(x, int) else _default[0]
