"""Choosing between tensors, and joining them."""

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ops import arithmetic, shape
from ..tensor import Tensor
from ._inputs import a_tensor


def maximum(input, other):
    """The larger of the two, entry by entry; at a tie each gets half of the gradient."""
    return Tensor.record(arithmetic.maximum, (input, other), {})


def minimum(input, other):
    """The smaller of the two, entry by entry; at a tie each gets half of the gradient."""
    return Tensor.record(arithmetic.minimum, (input, other), {})


def where(condition, input, other):
    """`input` where the condition holds, `other` elsewhere."""
    mask = condition.data if isinstance(condition, Tensor) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise DTypeError(f"where: expected a bool condition, got {mask.dtype}")
    return Tensor.record(arithmetic.where, (condition, input, other), {})


def cat(tensors, dim=0):
    """Join tensors along an existing axis."""
    tensors = list(tensors)
    if not tensors:
        raise ShapeError("cat: expected at least one tensor")
    first = tensors[0].shape
    if not -len(first) <= dim < len(first):
        raise ShapeError(f"cat(dim={dim}): shape {first} has no such axis")
    axis = dim % len(first)
    for x in tensors:
        same = len(x.shape) == len(first) and all(
            n == m for i, (n, m) in enumerate(zip(x.shape, first, strict=True)) if i != axis
        )
        if not same:
            raise ShapeError(f"cat(dim={dim}): shapes {first} and {x.shape} differ elsewhere")
    return Tensor.record(shape.concatenate, tuple(tensors), {"axis": axis})


def stack(tensors, dim=0):
    """Join tensors of one shape along a new axis."""
    return cat([x.unsqueeze(dim) for x in tensors], dim)


def unbind(input, dim=0):
    """The entries along an axis, as a tuple of tensors without it."""
    x = a_tensor(input, "unbind")
    if not -x.ndim <= dim < x.ndim:
        raise ShapeError(f"unbind(dim={dim}): shape {x.shape} has no such axis")
    moved = (
        x if dim % x.ndim == 0 else x.permute(dim, *(i for i in range(x.ndim) if i != dim % x.ndim))
    )
    return Tensor.record(shape.unbind, (moved,), {})
