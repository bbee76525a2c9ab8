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
    window = window_count(x, attrs["kernel"], attrs, who)
    spans = [
        _spans(*numbers, count_include_pad)
        for numbers in zip(
            x.shape[2:], window, attrs["kernel"], attrs["stride"], attrs["padding"], strict=True
        )
    ]
    counts = np.outer(spans[0][1], spans[1][1])
    divisor = counts if divisor_override is None else np.full(window, divisor_override)
    return unbatched(_averaged(who, x, spans[0][0], spans[1][0], divisor))


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """`max_pool2d` of x (n, c, length), or (c, length)."""
    given = kernel_size, stride, padding, dilation
    return _flat(max_pool2d, "max_pool1d", input, _beside(given, (1, 1, 0, 1)), ceil_mode)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """`avg_pool2d` of x (n, c, length), or (c, length)."""
    given = _beside((kernel_size, stride, padding), (1, 1, 0))
    return _flat(avg_pool2d, "avg_pool1d", input, given, ceil_mode, count_include_pad)


def adaptive_avg_pool1d(input, output_size):
    """`adaptive_avg_pool2d` of x (n, c, length), or (c, length)."""
    return _flat(adaptive_avg_pool2d, "adaptive_avg_pool1d", input, _beside((output_size,), (1,)))


def _beside(given, other):
    """Pairs of a number for the axis that is no axis, and of the one given for the last."""
    one = [v[0] if isinstance(v, (tuple, list)) and len(v) == 1 else v for v in given]
    return [None if v is None else (n, v) for v, n in zip(one, other, strict=True)]


def _flat(pool, who, input, sizes, *options):
    """A pool of images one row high."""
    x, unbatched = batched(who, a_tensor(input, who), 3)
    return unbatched(pool(x.unsqueeze(2), *sizes, *options).squeeze(2))


def _averaged(who, x, rows, columns, divisor):
    (x,) = alike(who, x)
    scale = (1.0 / divisor).astype(x.dtype)
    attrs = {"rows": rows, "columns": columns, "scale": scale, "shape": x.shape}
    return Tensor.record(pool.avg_pool2d, (x,), attrs)


def _spans(size, count, kernel, stride, padding, include_pad):
    """What each window covers along an axis, as [first, beyond the last], and its count."""
    start = np.arange(count) * stride - padding
    end = np.minimum(start + kernel, size + padding)
    inside = np.stack([np.maximum(start, 0), np.minimum(end, size)], 1)
    return inside, end - start if include_pad else inside[:, 1] - inside[:, 0]


def adaptive_avg_pool2d(input, output_size):
    """The means of output_size = (rows, columns) cells that cover each image; None keeps a size.

    Cell i of m over n entries reaches from floor(i n / m) to ceil((i + 1) n / m).
    """
    who = "adaptive_avg_pool2d"
    x, unbatched = batched(who, a_tensor(input, who), 4)
    asked = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(asked) != 2:
        raise ValueError(f"{who}({output_size}): expected one or two sizes")
    sizes = [n if m is None else m for m, n in zip(asked, x.shape[2:], strict=True)]
    if min(sizes) < 1 or min(x.shape[2:]) < 1:
        raise ShapeError(
            f"{who}({output_size}): expected sizes and images of at least 1x1, got {x.shape}"
        )
    rows, columns = (_cells(n, m) for n, m in zip(x.shape[2:], sizes, strict=True))
    counts = [cells[:, 1] - cells[:, 0] for cells in (rows, columns)]
    return unbatched(_averaged(who, x, rows, columns, np.outer(*counts)))


def _cells(n, m):
    i = np.arange(m)
    return np.stack([i * n // m, -(-(i + 1) * n // m)], 1)
