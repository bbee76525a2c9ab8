"""Pools: the largest entry or the mean under each window of (n, c, h, w), or of (c, h, w)."""

import numpy as np

from ..errors import ShapeError
from ..ops import pool
from ..ops.conv import window_count
from ..tensor import Tensor
from ._inputs import a_tensor, alike, batched, pair


def _geometry(who, kernel_size, stride, padding, dilation, ceil_mode):
    """The attributes of a window."""
    kernel = pair(kernel_size, who, "kernel_size", 1)
    padding = pair(padding, who, "padding", 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(
            f"{who}(kernel_size={kernel}, padding={padding}): expected a padding of at most half "
            "the window"
        )
    return {
        "kernel": kernel,
        "stride": kernel if stride is None else pair(stride, who, "stride", 1),
        "padding": padding,
        "dilation": pair(dilation, who, "dilation", 1),
        **({"ceil": True} if ceil_mode else {}),
    }


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest entry under each window; stride defaults to kernel_size.

    With ceil_mode the last window may reach beyond the padding.
    """
    who = "max_pool2d"
    attrs = _geometry(who, kernel_size, stride, padding, dilation, ceil_mode)
    x, unbatched = batched(who, a_tensor(input, who), 4)
    return unbatched(Tensor.record(pool.max_pool2d, alike(who, x), attrs))


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The mean of the entries under each window; stride defaults to kernel_size.

    The padding counts as zeros, or not at all without count_include_pad; what a window of
    ceil_mode covers beyond it never counts. divisor_override divides the sums instead.
    """
    who = "avg_pool2d"
    attrs = _geometry(who, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise ValueError(f"{who}(divisor_override=0): expected another number")
    x, unbatched = batched(who, a_tensor(input, who), 4)
    (x,) = alike(who, x)
    window = window_count(x, attrs["kernel"], attrs, who)
    counts = [
        _covered(*numbers, count_include_pad)
        for numbers in zip(
            x.shape[2:], window, attrs["kernel"], attrs["stride"], attrs["padding"], strict=True
        )
    ]
    scale = 1.0 / (
        np.outer(*counts) if divisor_override is None else np.full(window, divisor_override)
    )
    attrs["scale"], attrs["shape"] = scale.astype(x.dtype), x.shape
    return unbatched(Tensor.record(pool.avg_pool2d, (x,), attrs))


def _covered(size, count, kernel, stride, padding, include_pad):
    """How many places along an axis each window counts."""
    start = np.arange(count) * stride - padding
    end = np.minimum(start + kernel, size + padding)
    return end - start if include_pad else np.minimum(end, size) - np.maximum(start, 0)


def adaptive_avg_pool2d(input, output_size):
    """The means of output_size = (rows, columns) cells that cover each image; None keeps a size.

    Cell i of m over n entries reaches from floor(i n / m) to ceil((i + 1) n / m).
    """
    who = "adaptive_avg_pool2d"
    x, unbatched = batched(who, a_tensor(input, who), 4)
    (x,) = alike(who, x)
    asked = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    sizes = [n if m is None else m for m, n in zip(asked, x.shape[2:], strict=True)]
    if min(sizes) < 1 or min(x.shape[2:]) < 1:
        raise ShapeError(
            f"{who}({output_size}): expected sizes of at least 1, and entries in {x.shape}"
        )
    rows, columns = (_cells(n, m, x.dtype) for n, m in zip(x.shape[2:], sizes, strict=True))
    return unbatched(Tensor(rows) @ (x @ Tensor(columns).T))


def _cells(n, m, dtype):
    """A matrix (m, n) whose rows average the entries of a cell."""
    i, j = np.arange(m)[:, None], np.arange(n)
    inside = (j >= i * n // m) & (j < -(-(i + 1) * n // m))
    return (inside / inside.sum(1, keepdims=True)).astype(dtype)
