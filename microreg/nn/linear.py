"""Layers that multiply by a weight, and Flatten between them."""

import math

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
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


class Flatten(Module):
    """Join the axes from start_dim to end_dim into one."""

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)
