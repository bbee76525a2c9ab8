"""Shapes, parts, joined tensors and chosen entries; what is a method too is explained there."""

import numpy as np

from ..dtypes import result_dtype
from ..errors import DTypeError, ShapeError
from ..ops import shape
from ..tensor import Tensor
from ._inputs import a_tensor, method

argsort = method("argsort")
broadcast_to = method("broadcast_to")
chunk = method("chunk")
flatten = method("flatten")
flip = method("flip")
gather = method("gather")
index_select = method("index_select")
permute = method("permute")
reshape = method("reshape")
sort = method("sort")
split = method("split")
squeeze = method("squeeze")
t = method("t")
topk = method("topk")
transpose = method("transpose")
tril = method("tril")
triu = method("triu")
unbind = method("unbind")
unsqueeze = method("unsqueeze")


def cat(tensors, dim=0):
    """Join tensors along an existing axis; an empty vector may stand beside other shapes."""
    tensors = [a_tensor(x, "cat", f"tensors[{i}]") for i, x in enumerate(tensors)]
    if not tensors:
        raise ShapeError("cat: expected at least one tensor")
    dtype = result_dtype(*tensors)
    vectors = all(x.ndim == 1 for x in tensors)
    joined = [x for x in tensors if vectors or x.shape != (0,)]
    first = joined[0].shape
    if not -len(first) <= dim < len(first):
        raise ShapeError(f"cat(dim={dim}): shape {first} has no such axis")
    axis = dim % len(first)
    for x in joined:
        same = len(x.shape) == len(first) and all(
            n == m for i, (n, m) in enumerate(zip(x.shape, first, strict=True)) if i != axis
        )
        if not same:
            raise ShapeError(f"cat(dim={dim}): shapes {first} and {x.shape} differ elsewhere")
    return Tensor.record(shape.concatenate, tuple(x.to(dtype) for x in joined), {"axis": axis})


def stack(tensors, dim=0):
    """Join tensors of one shape along a new axis."""
    tensors = [a_tensor(x, "stack", f"tensors[{i}]") for i, x in enumerate(tensors)]
    for x in tensors:
        if x.shape != tensors[0].shape:
            raise ShapeError(f"stack: expected one shape, got {tensors[0].shape} and {x.shape}")
    return cat([x.unsqueeze(dim) for x in tensors], dim)


MODES = ("constant", "reflect", "replicate", "circular")


def pad(input, pad, mode="constant", value=None):
    """The tensor with entries before and behind along its last axes.

    pad = (before, behind) of the last axis, then of the one before it, and so on; below 0 they cut
    entries off. They are `value`, 0 if left out; or with "reflect" the neighbours mirrored at the
    edge, with "replicate" the entry at the edge, with "circular" those from the other end.
    """
    x, widths = a_tensor(input, "pad"), [int(n) for n in pad]
    if len(widths) % 2 or len(widths) > 2 * x.ndim:
        raise ShapeError(f"pad({tuple(widths)}): expected two numbers for some of {x.ndim} axes")
    if mode not in MODES:
        raise ValueError(f"pad(mode={mode!r}): expected one of {', '.join(MODES)}")
    if mode != "constant" and value:
        raise ValueError(f"pad(mode={mode!r}, value={value}): expected no value in this mode")
    margins = [(0, 0)] * (x.ndim - len(widths) // 2)
    margins += [(widths[i], widths[i + 1]) for i in range(len(widths) - 2, -1, -2)]
    for (before, behind), n in zip(margins, x.shape, strict=True):
        if n + before + behind < 0:
            raise ShapeError(f"pad({tuple(widths)}): cuts off more than {x.shape} has")
    if mode == "constant":
        return _surrounded(x, margins, 0 if value is None else value)
    for axis, (before, behind) in enumerate(margins):
        if before or behind:
            x = x.index_select(axis, _places(x.shape[axis], before, behind, mode))
    return x


def _surrounded(x, margins, value):
    """x amid a number."""
    cut = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(margins, x.shape, strict=True)
    )
    x = x[cut]
    wide = [(max(a, 0), max(b, 0)) for a, b in margins]
    if not any(a or b for a, b in wide):
        return x
    size = tuple(n + a + b for n, (a, b) in zip(x.shape, wide, strict=True))
    inside = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, wide, strict=True))
    out = Tensor.record(shape.scatter, (x,), {"shape": size, "key": inside})
    if not value:
        return out
    outside = np.ones(size, bool)
    outside[inside] = False
    return out.masked_fill(outside, value)


def _places(n, before, behind, mode):
    """Which of n entries stand at -before, ..., n + behind - 1."""
    places = np.arange(-before, n + behind)
    longest = {"reflect": n - 1, "circular": n}.get(mode, max(before, behind))
    if max(before, behind) > longest or not n:
        raise ShapeError(f"pad(mode={mode!r}): expected at most {longest} for {n} entries")
    if mode == "circular":
        return places % n
    if mode == "replicate":
        return places.clip(0, n - 1)
    places = np.abs(places)
    return np.where(places >= n, 2 * (n - 1) - places, places)


def one_hot(tensor, num_classes=-1):
    """out[..., k] = 1 if tensor[...] is k, else 0, int64; as many classes as the largest needs."""
    labels = a_tensor(tensor, "one_hot", "tensor")
    if labels.dtype.kind != "i":
        raise DTypeError(f"one_hot: expected integers, got {labels.dtype}")
    numbers = labels.data
    if num_classes == -1:
        if not numbers.size:
            raise ShapeError("one_hot: expected num_classes for a tensor without entries")
        num_classes = int(numbers.max()) + 1
    if numbers.__class__ is np.ndarray and numbers.size:
        low, high = numbers.min(), numbers.max()
        if low < 0 or high >= num_classes:
            raise ValueError(
                f"one_hot(num_classes={num_classes}): expected classes from 0 to "
                f"{num_classes - 1}, got {low if low < 0 else high}"
            )
    return (labels.unsqueeze(-1) == Tensor(np.arange(num_classes))).long()
