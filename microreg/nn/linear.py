"""Layers that multiply by a weight, and Flatten between them."""

import math

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from ..functional._inputs import pair
from . import init
from .module import Module, Parameter


def _positive(who, **sizes):
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"{who}({name}={size!r}): expected a positive integer")


def _empty(*shape, dtype):
    return Parameter(np.empty(shape, dtype or get_default_dtype()))


def _reset(weight, bias):
    """PyTorch's start: both uniform on +-1/sqrt(fan_in)."""
    init.kaiming_uniform_(weight, a=math.sqrt(5.0))
    if bias is not None:
        bound = 1.0 / math.sqrt(init.fans(weight)[0])
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """y[..., o] = sum_i weight[o, i] * x[..., i] + bias[o].

    Parameters
    ----------
    in_features, out_features : int
        Lengths of the last axis of x and of y.
    bias : bool, default True
        Whether there is a bias.
    dtype : optional
        float32 or float64; the default dtype if left out.

    Shapes
    ------
    x (..., in_features) -> y (..., out_features); weight (out_features, in_features),
    bias (out_features,). Both start uniform on +-1/sqrt(in_features).
    """

    def __init__(self, in_features, out_features, bias=True, dtype=None):
        super().__init__()
        _positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = _empty(out_features, in_features, dtype=dtype)
        self.register_parameter("bias", _empty(out_features, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        _reset(self.weight, self.bias)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Conv2d(Module):
    """Two-dimensional cross-correlation; see `functional.conv2d` for the formula.

    Shapes
    ------
    x (n, in_channels, h, w) -> y (n, out_channels, h', w') with
    h' = floor((h + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1, w' alike;
    weight (out_channels, in_channels, kernel, kernel), bias (out_channels,).
    Both start uniform on +-1/sqrt(in_channels * kernel * kernel).
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        bias=True,
        dtype=None,
    ):
        super().__init__()
        _positive("Conv2d", in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair(kernel_size, "Conv2d", "kernel_size", 1)
        self.stride = pair(stride, "Conv2d", "stride", 1)
        self.padding = pair(padding, "Conv2d", "padding", 0)
        self.dilation = pair(dilation, "Conv2d", "dilation", 1)
        self.weight = _empty(out_channels, in_channels, *self.kernel_size, dtype=dtype)
        self.register_parameter("bias", _empty(out_channels, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        _reset(self.weight, self.bias)

    def forward(self, input):
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self):
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}"
        )


class Flatten(Module):
    """Join the axes from start_dim to end_dim into one."""

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)
