"""Pooling over (n, channels, height, width); in memory the channels of a pixel lie side by side."""

import numpy as np

from ..errors import ShapeError
from ..kernels import conv as kernels
from ..runtime import launch
from ..runtime.remote import empty
from ._op import Op
from .arithmetic import maximum
from .conv import geometry, images, new_images, shifts, window_count


def _pool_forward(x, *, kernel, **attrs):
    if x.ndim != 4:
        raise ShapeError(f"max_pool2d: expected x (n, c, h, w), got {x.shape}")
    window = window_count(x, kernel, attrs, "max_pool2d")
    memory, out = new_images(*x.shape[:2], *window, x)
    place = empty(memory.shape, np.int32, x)
    numbers = geometry(x, x.shape[1], window, kernel, attrs)
    launch(kernels.max_pool2d, images(x), numbers, memory, place)
    return out, place


def _pool_gradient(g, place, *, shape, kernel, **attrs):
    """The gradient of an input of this shape."""
    memory, dx = new_images(*shape, g)
    numbers = geometry(dx, shape[1], g.shape[2:], kernel, attrs)
    launch(kernels.max_pool2d_backward, images(g), place, numbers, memory)
    return dx


max_pool2d_backward = Op("max_pool2d_backward", _pool_gradient)


def _pool_vjp(g, node):
    return max_pool2d_backward(g, *node.saved, shape=node.inputs[0].shape, **node.attrs)


def _pool_reference(x, *, kernel, **attrs):
    out = None
    for _, _, under in shifts(x, kernel, attrs, -np.inf, "max_pool2d"):
        out = under if out is None else maximum(out, under)
    return out


max_pool2d = Op("max_pool2d", _pool_forward, (_pool_vjp,), _pool_reference, saves=True)


def _avg_forward(x, *, rows, columns, scale, shape):
    memory, out = new_images(*x.shape[:2], *scale.shape, x)
    launch(kernels.avg_pool2d, images(x), rows, columns, scale, memory)
    return out


def _avg_gradient(g, *, rows, columns, scale, shape):
    """The gradient of an input of this shape."""
    memory, dx = new_images(*shape, g)
    launch(kernels.avg_pool2d_backward, images(g), rows, columns, scale, memory)
    return dx


# sums over rectangles, times a scale: [first, beyond the last] row and column of each
avg_pool2d: Op = Op(
    "avg_pool2d", _avg_forward, (lambda g, node: avg_pool2d_backward(g, **node.attrs),)
)
avg_pool2d_backward: Op = Op(
    "avg_pool2d_backward", _avg_gradient, (lambda g, node: avg_pool2d(g, **node.attrs),)
)
