"""Two-dimensional convolution and max pooling over (n, channels, height, width)."""

import numpy as np

from ..errors import ShapeError
from ..kernels import conv as kernels
from ..kernels import matmul as products
from ..runtime import launch
from ._op import Op, dense
from .arithmetic import maximum
from .linear import matmul
from .shape import concatenate, reshape, transpose


def output_size(size, kernel, stride, padding, dilation):
    """How many positions a window has along an axis."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _window(x, kernel, attrs):
    """Output height and width."""
    geometry = zip(
        x.shape[2:], kernel, attrs["stride"], attrs["padding"], attrs["dilation"], strict=True
    )
    out = tuple(output_size(*g) for g in geometry)
    if min(out) < 1:
        raise ShapeError(
            f"window {tuple(kernel)} does not fit an input of shape {x.shape} with {attrs}"
        )
    return out


def _columns(x, kernel, attrs):
    """The input under each window position: (n, c*kh*kw, positions)."""
    height, width = _window(x, kernel, attrs)
    columns = np.empty((len(x), x.shape[1] * kernel[0] * kernel[1], height * width), x.dtype)
    launch(kernels.im2col, dense(x), columns, *_numbers(kernel, attrs), width)
    return columns, height, width


def _numbers(kernel, attrs):
    return (*kernel, *attrs["stride"], *attrs["padding"], *attrs["dilation"])


def _conv_forward(x, weight, bias=None, **attrs):
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ShapeError(
            f"conv2d: expected x (n, {weight.shape[1]}, h, w) for weight {weight.shape}, "
            f"got {x.shape}"
        )
    columns, height, width = _columns(x, weight.shape[2:], attrs)
    out = np.empty((len(x), len(weight), height * width), x.dtype)
    matrix = dense(weight).reshape(len(weight), -1)
    for image, result in zip(columns, out, strict=True):
        launch(products.matmul_nn, matrix, image, result)
    if bias is not None:
        out += bias[:, None]
    return out.reshape(len(x), len(weight), height, width)


def _conv_vjp(g, node):
    x, weight = node.inputs[:2]
    flat = dense(g).reshape(*g.shape[:2], g.shape[2] * g.shape[3])
    gradients = [None, None]
    if node.needs[0]:
        gradients[0] = _conv_dx(flat, x, weight, node.attrs)
    if node.needs[1]:
        columns, _, _ = _columns(x, weight.shape[2:], node.attrs)
        per_image = matmul(flat, columns.swapaxes(1, 2))
        gradients[1] = per_image.sum(axis=0).reshape(weight.shape)
    if len(node.inputs) > 2:
        gradients.append(flat.sum(axis=(0, 2)))
    return gradients


def _conv_dx(flat, x, weight, attrs):
    matrix = dense(weight).reshape(len(weight), -1)
    columns = np.empty((len(x), matrix.shape[1], flat.shape[2]), x.dtype)
    for g, image in zip(flat, columns, strict=True):
        launch(products.matmul_tn, matrix, g, image)
    dx = np.empty(x.shape, x.dtype)
    width = _window(x, weight.shape[2:], attrs)[1]
    launch(kernels.col2im, columns, dx, *_numbers(weight.shape[2:], attrs), width)
    return dx


def _pad(x, padding, value):
    """x with `padding` rows and columns of `value` on each side, composed of concatenations."""
    for axis, width in zip((2, 3), padding, strict=True):
        if width:
            shape = list(x.shape)
            shape[axis] = width
            edge = np.full(shape, value, x.dtype)
            x = concatenate(edge, x, edge, axis=axis)
    return x


def _shifts(x, kernel, attrs, value):
    """For each position inside the window: what lies under it, (n, c, out_h, out_w)."""
    height, width = _window(x, kernel, attrs)
    (sh, sw), (dh, dw) = attrs["stride"], attrs["dilation"]
    padded = _pad(x, attrs["padding"], value)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i * dh, i * dh + (height - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
            yield i, j, padded[:, :, rows, columns]


def _conv_reference(x, weight, bias=None, **attrs):
    out = 0.0
    for i, j, under in _shifts(x, weight.shape[2:], attrs, 0.0):
        n, c, height, width = under.shape
        pixels = reshape(transpose(under, axes=(0, 2, 3, 1)), shape=(-1, c))
        tap = matmul(pixels, transpose(weight[:, :, i, j], axes=(1, 0)))
        out = out + reshape(tap, shape=(n, height, width, len(weight)))
    out = transpose(out, axes=(0, 3, 1, 2))
    return out if bias is None else out + reshape(bias, shape=(1, -1, 1, 1))


def _pool_forward(x, *, kernel, **attrs):
    if x.ndim != 4:
        raise ShapeError(f"max_pool2d: expected x (n, c, h, w), got {x.shape}")
    height, width = _window(x, kernel, attrs)
    out = np.empty((*x.shape[:2], height, width), x.dtype)
    where = np.empty(out.shape, np.int64)
    launch(kernels.max_pool2d, dense(x), out, where, *_numbers(kernel, attrs))
    return out, where


def _pool_vjp(g, node):
    dx = np.empty(node.inputs[0].shape, g.dtype)
    launch(kernels.max_pool2d_backward, dense(g), node.saved, dx)
    return (dx,)


def _pool_reference(x, *, kernel, **attrs):
    out = None
    for _, _, under in _shifts(x, kernel, attrs, -np.inf):
        out = under if out is None else maximum(out, under)
    return out


conv2d = Op("conv2d", _conv_forward, _conv_vjp, _conv_reference)
max_pool2d = Op("max_pool2d", _pool_forward, _pool_vjp, _pool_reference, saves=True)
