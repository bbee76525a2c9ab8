"""Normalization by the statistics of a row or of a batch."""

import numpy as np

from ..errors import ShapeError
from ..ops import normalization
from ..tensor import Tensor
from ._inputs import a_tensor, alike, shaped


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and biased var over the trailing axes.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
    """
    x, trailing = a_tensor(input, "layer_norm"), tuple(normalized_shape)
    if not trailing or x.shape[-len(trailing) :] != trailing:
        raise ShapeError(
            f"layer_norm(normalized_shape={trailing}): got x of shape {x.shape}, whose last axes "
            "are not that"
        )
    shaped("layer_norm", trailing, weight=weight, bias=bias)
    weight = np.ones(trailing, x.dtype) if weight is None else weight
    bias = np.zeros(trailing, x.dtype) if bias is None else bias
    inputs = alike("layer_norm", x, weight, bias)
    return Tensor.record(normalization.layer_norm, inputs, {"eps": float(eps)})


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """(x - mean) / sqrt(var + eps) * weight + bias per channel (axis 1).

    In training, mean and biased var are the batch's, and the running ones move towards it:
    running = (1 - momentum) * running + momentum * batch, with the unbiased batch variance.
    Otherwise the running ones are used.

    References
    ----------
    Ioffe, Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2.
    """
    x = a_tensor(input, "batch_norm")
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: expected x (n, channels, ...), got {x.shape}")
    channels = x.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var}
    shaped("batch_norm", (channels,), weight=weight, bias=bias, **given)
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: expected both running_mean and running_var, or neither")
    weight = np.ones(channels, x.dtype) if weight is None else weight
    bias = np.zeros(channels, x.dtype) if bias is None else bias
    if training:
        return batch_statistics_norm(
            x, running_mean, running_var, weight, bias, momentum, eps, "batch_norm"
        )
    if running_mean is None:
        raise ValueError("batch_norm: expected running statistics when not training")
    along = (1, -1) + (1,) * (x.ndim - 2)
    scale = weight / (running_var + float(eps)).sqrt()
    shift = bias - scale * running_mean
    return x * scale.reshape(along) + shift.reshape(along)


def batch_statistics_norm(
    x, running_mean, running_var, weight, bias, momentum, eps, who, tracked=None
):
    """batch_norm in training; `tracked` counts the batches, and momentum None averages them."""
    if x.data.size <= x.shape[1]:
        raise ShapeError(
            f"{who}: expected more than one value per channel in training, got x of shape "
            f"{x.shape}; use a larger batch, drop the last one, or call eval()"
        )
    if momentum is None and tracked is None and running_mean is not None:
        raise ValueError(f"{who}(momentum=None): expected a number")
    weight = np.ones(x.shape[1], x.dtype) if weight is None else weight
    bias = np.zeros(x.shape[1], x.dtype) if bias is None else bias
    attrs = {"eps": float(eps), "momentum": None if momentum is None else float(momentum)}
    for name, held in (
        ("running_mean", running_mean), ("running_var", running_var), ("tracked", tracked)
    ):  # fmt: skip
        attrs[name] = None if held is None else held.data
    return Tensor.record(normalization.batch_norm, alike("batch_norm", x, weight, bias), attrs)
