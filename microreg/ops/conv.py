"""Two-dimensional convolution over (n, channels, height, width).

In memory the channels of a pixel lie side by side ("channels last"): results are views with the
axes in PyTorch's order, and an input that lies otherwise is copied first.
"""

import math

import numpy as np

from ..errors import ShapeError
from ..kernels import conv as kernels
from ..kernels import move, reduce
from ..kernels._gemm import BIAS, NO_BIAS
from ..runtime import launch
from ..runtime.remote import dense, empty
from ..runtime.strided import unpack
from ._op import Op
from .linear import matmul
from .reduction import sum
from .shape import concatenate, reshape, transpose


def output_size(size, kernel, stride, padding, dilation, ceil=False):
    """How many positions a window has along an axis; with `ceil` it may end beyond the padding."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - ((count - 1) * stride >= size + padding)  # it begins before the end, though


def window_count(x, kernel, attrs, who):
    """Output height and width."""
    geometry = zip(
        x.shape[2:], kernel, attrs["stride"], attrs["padding"], attrs["dilation"], strict=True
    )
    out = tuple(output_size(*g, attrs.get("ceil", False)) for g in geometry)
    if min(out) < 1:
        raise ShapeError(
            f"{who}: expected a window that fits the input, got {tuple(kernel)} for x {x.shape} "
            f"with {attrs}; use a smaller window or more padding"
        )
    return out


def images(x):
    """x (n, c, h, w) as a dense array (n, h, w, c)."""
    return dense(x.transpose(0, 2, 3, 1))


def new_images(n, c, h, w, like):
    """A new array (n, h, w, c), and its view as (n, c, h, w)."""
    made = empty((n, h, w, c), like.dtype, like)
    return made, made.transpose(0, 3, 1, 2)


def geometry(x, channels, window, kernel, attrs):
    """What `kernels.conv` calls geometry."""
    _, c, h, w = x.shape
    spread = (*attrs["stride"], *attrs["padding"], *attrs["dilation"])
    return np.array(
        [h, w, c, *window, channels, *kernel, *spread, attrs.get("groups", 1)], np.int64
    )


def _flat(array):
    """An array (n, ...) as a matrix."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


def _correlate(x, taps, bias, kernel, attrs):
    """The convolution with weights given as (kh * kw * c / groups, channels)."""
    channels = taps.shape[1]
    window = window_count(x, kernel, attrs, "conv2d")
    memory, out = new_images(len(x), channels, *window, x)
    ending = NO_BIAS if bias is None else BIAS
    bias = empty((channels,), x.dtype, x) if bias is None else dense(bias)
    numbers = geometry(x, channels, window, kernel, attrs)
    launch(kernels.conv2d, _flat(images(x)), taps, bias, numbers, _flat(memory), ending)
    return out


def _conv_forward(x, weight, bias=None, **attrs):
    taps = dense(weight.transpose(2, 3, 1, 0)).reshape(math.prod(weight.shape[1:]), len(weight))
    return _correlate(x, taps, bias, weight.shape[2:], attrs)


def _conv_weight(g, x, *, shape, **attrs):
    """The gradient of a weight of this shape."""
    o, c, kh, kw = shape
    numbers = geometry(x, o, g.shape[2:], (kh, kw), attrs)
    source = _flat(images(x))
    blocks = kernels.conv2d_weight.blocks(dict(zip("nm", source.shape, strict=True)))
    partial = empty((blocks, kh * kw * c, o), x.dtype, x)
    launch(kernels.conv2d_weight, source, _flat(images(g)), numbers, partial)
    out = empty((kh, kw, c, o), x.dtype, x)
    launch(reduce.merge_columns, _flat(partial), out)
    return out.transpose(3, 2, 0, 1)


def _conv_input(g, weight, *, shape, stride, padding, dilation, groups):
    """The gradient of an input of this shape: g, with zeros between its pixels where the stride
    leaves pixels out, through the weight turned around."""
    (o, c, kh, kw), (n, _, *size) = weight.shape, shape
    reach = [d * (k - 1) for d, k in zip(dilation, (kh, kw), strict=True)]
    if stride != (1, 1):
        places = [a + 2 * p - r for a, p, r in zip(size, padding, reach, strict=True)]
        memory, spread = new_images(n, o, *places, g)
        launch(move.fill, memory, 0.0)
        sh, sw = stride
        unpack(g, spread[:, :, : (g.shape[2] - 1) * sh + 1 : sh, : (g.shape[3] - 1) * sw + 1 : sw])
        g = spread
    margin = [r - p for r, p in zip(reach, padding, strict=True)]
    for axis, m in enumerate(margin):
        if m < 0:  # padding that no window needs: pixels of g without a gradient
            key = (slice(None),) * (2 + axis)
            g = g[(*key, slice(-m, g.shape[2 + axis] + m))]
    parts = dense(weight[:, :, ::-1, ::-1]).reshape(groups, o // groups, c, kh, kw)
    taps = dense(parts.transpose(3, 4, 1, 0, 2)).reshape(kh * kw * o // groups, c * groups)
    attrs = {"stride": (1, 1), "padding": tuple(max(m, 0) for m in margin), "dilation": dilation}
    return _correlate(g, taps, None, (kh, kw), {**attrs, "groups": groups})


conv2d_weight = Op("conv2d_weight", _conv_weight)
conv2d_input = Op("conv2d_input", _conv_input)


def _conv_vjp(g, node):
    x, weight = node.inputs[:2]
    needs = node.needs
    return (
        conv2d_input(g, weight, shape=x.shape, **node.attrs) if needs[0] else None,
        conv2d_weight(g, x, shape=weight.shape, **node.attrs) if needs[1] else None,
        sum(g, axes=(0, 2, 3), keepdims=False),
    )


def _pad(x, padding, beyond, value):
    """x with `padding` rows and columns of `value` on each side, and some beyond at the end."""
    for axis, width, more in zip((2, 3), padding, beyond, strict=True):
        if width or more:
            shape = list(x.shape)
            shape[axis] = width
            before = np.full(shape, value, x.dtype)
            shape[axis] += more
            x = concatenate(before, x, np.full(shape, value, x.dtype), axis=axis)
    return x


def shifts(x, kernel, attrs, value, who):
    """For each position inside the window: what lies under it, (n, c, out_h, out_w)."""
    height, width = window_count(x, kernel, attrs, who)
    (sh, sw), (dh, dw), (ph, pw) = attrs["stride"], attrs["dilation"], attrs["padding"]
    ends = (height - 1) * sh + (kernel[0] - 1) * dh, (width - 1) * sw + (kernel[1] - 1) * dw
    beyond = max(0, ends[0] + 1 - x.shape[2] - 2 * ph), max(0, ends[1] + 1 - x.shape[3] - 2 * pw)
    padded = _pad(x, attrs["padding"], beyond, value)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i * dh, i * dh + (height - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
            yield i, j, padded[:, :, rows, columns]


def _conv_reference(x, weight, bias=None, *, groups, **attrs):
    parts = []
    for group in range(groups):
        c, o = weight.shape[1], len(weight) // groups
        one = weight[group * o : (group + 1) * o]
        parts.append(_one_group(x[:, group * c : (group + 1) * c], one, attrs))
    out = parts[0] if groups == 1 else concatenate(*parts, axis=1)
    return out if bias is None else out + reshape(bias, shape=(1, len(weight), 1, 1))


def _one_group(x, weight, attrs):
    out = 0.0
    for i, j, under in shifts(x, weight.shape[2:], attrs, 0.0, "conv2d"):
        n, c, height, width = under.shape
        pixels = reshape(transpose(under, axes=(0, 2, 3, 1)), shape=(n * height * width, c))
        tap = matmul(pixels, transpose(weight[:, :, i, j], axes=(1, 0)))
        out = out + reshape(tap, shape=(n, height, width, len(weight)))
    return transpose(out, axes=(0, 3, 1, 2))


conv2d = Op("conv2d", _conv_forward, _conv_vjp, _conv_reference)
