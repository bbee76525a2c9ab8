"""Turning what the caller has into tensors, and into batches."""

import numpy as np

from ..dtypes import as_array
from ..errors import ShapeError
from ..runtime.remote import on_cpu
from ..tensor import Tensor


def pair(data, dtype, who):
    """(X, y) as arrays: floats in the model's dtype, integers as int64."""
    try:
        X, y = data
    except (TypeError, ValueError):
        raise TypeError(
            f"{who}: expected data as a pair (X, y), got {type(data).__name__}"
        ) from None
    X, y = inputs(X, dtype, who), _convert(y, dtype, who)
    if not y.ndim or len(X) != len(y):
        raise ShapeError(f"{who}: expected as many targets as rows, got X {X.shape}, y {y.shape}")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.argwhere(~np.isfinite(y))[0][0])
        raise ValueError(
            f"{who}: y holds NaN or infinity, first in row {row}; clean the data first"
        )
    if not len(X):
        raise ShapeError(f"{who}: expected at least one row, got X {X.shape}")
    return X, y


def dtype_of(model):
    """The dtype of the model's first floating parameter."""
    for parameter in model.parameters():
        if parameter.dtype.kind == "f":
            return parameter.dtype
    return np.dtype(np.float32)


def inputs(X, dtype, who):
    """X as an array for the model; non-finite numbers are refused."""
    X = _convert(X, dtype, who)
    if not X.ndim:
        raise ShapeError(f"{who}: expected X with rows, got a single number")
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        row = int(np.argwhere(~np.isfinite(X))[0][0])
        raise ValueError(
            f"{who}: X holds NaN or infinity, first in row {row}; clean the data first"
        )
    return X


def _convert(values, dtype, who):
    if not isinstance(values, (Tensor, np.ndarray)):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ShapeError(f"{who}: the rows have different lengths ({error})") from None
    array = on_cpu(values.data) if isinstance(values, Tensor) else as_array(values)
    return np.ascontiguousarray(
        array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
    )


def slices(n, size):
    """Slices of `size` rows each, in order."""
    return [slice(i, min(n, i + size)) for i in range(0, n, size)]
