"""Norms by the statistics of each sample alone: a batch of one gives the same."""

import math

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from .linear import _positive
from .module import Module, Parameter


def _trailing(who, normalized_shape):
    """The trailing axes that make up a row, as a tuple."""
    one = isinstance(normalized_shape, (int, np.integer))
    shape = (int(normalized_shape),) if one else tuple(normalized_shape)
    for size in shape:
        _positive(who, normalized_shape=size)
    return shape


def number_of(who, name, value, high=math.inf):
    """The value, if it is a number from 0 to `high`."""
    known = isinstance(value, (int, float, np.number)) and math.isfinite(value)
    if not known or not 0.0 <= value <= high:
        limit = (
            "a finite number of at least 0" if high == math.inf else f"a number from 0 to {high}"
        )
        raise ValueError(f"{who}({name}={value!r}): expected {limit}")
    return value


def _affine(layer, shape, dtype, weight, bias):
    """Give a layer a weight of ones and a bias of zeros, or None where it does without."""
    dtype = dtype or get_default_dtype()
    layer.register_parameter("weight", Parameter(np.ones(shape, dtype)) if weight else None)
    layer.register_parameter("bias", Parameter(np.zeros(shape, dtype)) if bias else None)


class LayerNorm(Module):
    """Standardise each row, then scale and shift it per feature.

    y[i, j] = weight[j] * (x[i, j] - mean_i) / sqrt(var_i + eps) + bias[j]

    Depends on nothing but the row: a batch of one and sequences of any length give the same.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The trailing axes that make up a row.
    eps : float, default 1e-5
        Added to the biased variance under the root.
    elementwise_affine : bool, default True
        Whether there are weight and bias.
    bias : bool, default True
        Whether there is a bias beside the weight.

    Shapes
    ------
    x (..., *normalized_shape) -> y of the same shape; weight, bias (*normalized_shape).

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, dtype=None):
        super().__init__()
        self.normalized_shape = _trailing("LayerNorm", normalized_shape)
        self.eps = number_of("LayerNorm", "eps", eps)
        self.elementwise_affine = elementwise_affine
        weight, bias = elementwise_affine, elementwise_affine and bias
        _affine(self, self.normalized_shape, dtype, weight, bias)

    def reset_parameters(self):
        """Weight 1, bias 0."""
        for p, value in ((self.weight, 1), (self.bias, 0)):
            if p is not None:
                p.data[...] = value

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class RMSNorm(Module):
    """Divide each row by its root mean square, then scale it per feature.

    y[i, j] = weight[j] * x[i, j] / sqrt(mean_j x[i, j]^2 + eps)

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The trailing axes that make up a row.
    eps : float, optional
        Added to the mean square under the root; the dtype's machine epsilon if left out.
    elementwise_affine : bool, default True
        Whether there is a weight.

    References
    ----------
    Zhang, Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, dtype=None):
        super().__init__()
        self.normalized_shape = _trailing("RMSNorm", normalized_shape)
        self.eps = None if eps is None else number_of("RMSNorm", "eps", eps)
        self.elementwise_affine = elementwise_affine
        weight = np.ones(self.normalized_shape, dtype or get_default_dtype())
        self.register_parameter("weight", Parameter(weight) if elementwise_affine else None)

    def reset_parameters(self):
        """Weight 1."""
        if self.weight is not None:
            self.weight.data[...] = 1

    def forward(self, input):
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class GroupNorm(Module):
    """Standardise each group of channels of each sample, then scale and shift per channel.

    Parameters
    ----------
    num_groups, num_channels : int
        The channels (axis 1) are cut into so many groups of neighbours.
    eps : float, default 1e-5
        Added to the biased variance under the root.
    affine : bool, default True
        Whether there are weight and bias.

    Shapes
    ------
    x (n, num_channels, ...) -> y of the same shape; weight, bias (num_channels,).

    References
    ----------
    Wu, He, "Group Normalization", ECCV 2018.
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, dtype=None):
        super().__init__()
        _positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm(num_groups={num_groups}, num_channels={num_channels}): expected a "
                "multiple of num_groups channels"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = number_of("GroupNorm", "eps", eps), affine
        _affine(self, (num_channels,), dtype, affine, affine)

    reset_parameters = LayerNorm.reset_parameters

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
