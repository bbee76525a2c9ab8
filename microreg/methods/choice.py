"""Entries chosen by index, by mask or by size, as methods."""

import numpy as np

from ..dtypes import as_array
from ..errors import DTypeError, ShapeError
from ..ops import choice, shape
from ._meeting import axis
from .reduction import Extremes


class Choices:
    """What picks entries of a tensor."""

    __slots__ = ()

    def __getitem__(self, key):
        key = plain_key(key)
        if type(key) is tuple and (at := _chosen(key)):
            return self._slices(at, key[at])
        return self.record(shape.index, (self,), {"key": key})

    def _slices(self, at, places):
        """The slices along an axis that a vector of integers names."""
        return self.transpose(0, at)[places].transpose(0, at)

    def gather(self, dim, index):
        """out[i][j][k] = self[index[i][j][k]][j][k] for dim 0, and so on.

        Along the other axes index may be shorter than this tensor.
        """
        index, places = _places(index, "gather")
        if not self.ndim:
            return self.reshape(1).gather(dim, index.reshape(1)).reshape(places.shape)
        at = axis(self, dim, "gather")
        beside = [
            (n, m)
            for i, (n, m) in enumerate(zip(places.shape, self.shape, strict=False))
            if i != at
        ]
        if places.ndim != self.ndim or any(n > m for n, m in beside):
            raise ShapeError(
                f"gather(dim={dim}): expected an index with {self.ndim} axes, beside dim no longer "
                f"than those of {self.shape}, got {places.shape}"
            )
        x = self
        if any(n < m for n, m in beside):
            x = self[tuple(slice(None if i == at else n) for i, n in enumerate(places.shape))]
        return x.record(choice.take_along, (x, index), {"axis": at})

    def index_select(self, dim, index):
        """The slices along `dim` that a vector of integers names."""
        index, places = _places(index, "index_select")
        if places.ndim > 1:
            raise ShapeError(f"index_select: index: expected a vector, got shape {places.shape}")
        if not self.ndim:
            return self.reshape(1).index_select(dim, index).reshape(())
        at = axis(self, dim, "index_select")
        return self._slices(at, index.reshape(places.size))

    def sort(self, dim=-1, descending=False, stable=False):
        """(values, indices) in order along `dim`, equal ones as they stood; NaN is the largest."""
        return _sorted(self, dim, descending, None)

    def argsort(self, dim=-1, descending=False, stable=False):
        """The indices of `sort`."""
        return _sorted(self, dim, descending, None).indices

    def topk(self, k, dim=-1, largest=True, sorted=True):
        """(values, indices) of the k largest entries along `dim`, in order, or the k smallest."""
        count = self.shape[axis(self, dim, "topk")] if self.ndim else 1
        if not 0 <= k <= count:
            raise ShapeError(f"topk(k={k}): expected from 0 to {count}, the length of axis {dim}")
        return _sorted(self, dim, largest, k)


def _sorted(x, dim, descending, count):
    if not x.ndim:
        values, indices = _sorted(x.reshape(1), dim, descending, count)
        return Extremes(values.reshape(()), indices.reshape(()))
    at = axis(x, dim, "sort")
    indices = x.record(choice.order, (x,), {"axis": at, "descending": bool(descending)})
    if count is not None:
        indices = indices[(slice(None),) * at + (slice(count),)]
    return Extremes(x.gather(at, indices), indices)


def _places(index, who):
    """An index and its array: integers, from 0 on as far as they are at hand."""
    places = as_array(index)
    if places.dtype.kind != "i":
        raise DTypeError(f"{who}: index: expected integers, got {places.dtype}")
    if places.__class__ is np.ndarray and places.size and places.min() < 0:
        raise IndexError(f"{who}: index: expected integers from 0 on, got {places.min()}")
    return (index if hasattr(index, "record") else places), places


def _chosen(key):
    """The axis, if a key is whole axes and behind them one vector of integers; else 0."""
    last = key[-1] if key else None
    if not isinstance(last, np.ndarray) or last.ndim != 1 or last.dtype.kind not in "iu":
        return 0
    return len(key) - 1 if all(type(k) is slice and k == slice(None) for k in key[:-1]) else 0


def plain_key(key):
    """An index with arrays in place of tensors, lists and ranges."""
    if isinstance(key, tuple):
        return tuple(plain_key(k) for k in key)
    if hasattr(key, "record"):
        return key.data
    if isinstance(key, (list, range)):
        return np.asarray(key) if len(key) else np.zeros(0, np.int64)
    return key
