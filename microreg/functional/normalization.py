"""Normalization by the statistics of a row, of a group of channels or of a batch."""

import math

import numpy as np

from ..errors import ShapeError
from ..grad_mode import no_grad
from ..ops import normalization
from ..tensor import Tensor
from ._inputs import a_tensor, alike, shaped


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and biased var over the trailing axes.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
    """
    x, trailing = _rows_of(input, normalized_shape, "layer_norm", weight=weight, bias=bias)
    weight = np.ones(trailing, x.dtype) if weight is None else weight
    bias = np.zeros(trailing, x.dtype) if bias is None else bias
    inputs = alike("layer_norm", x, weight, bias)
    return Tensor.record(normalization.layer_norm, inputs, {"eps": float(eps)})


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean(x^2) + eps) * weight over the trailing axes; eps None is the dtype's own.

    References
    ----------
    Zhang, Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
    """
    x, trailing = _rows_of(input, normalized_shape, "rms_norm", weight=weight)
    weight = np.ones(trailing, x.dtype) if weight is None else weight
    inputs = alike("rms_norm", x, weight)
    eps = np.finfo(inputs[0].dtype).eps if eps is None else eps
    return Tensor.record(normalization.rms_norm, inputs, {"eps": float(eps)})


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """layer_norm of each group of channels (axis 1) of each sample; weight, bias per channel.

    With one group it is layer norm over all but the first axis, with a group for each channel
    instance norm.

    References
    ----------
    Wu, He, "Group Normalization", ECCV 2018.
    """
    x = a_tensor(input, "group_norm")
    if x.ndim < 2 or not isinstance(num_groups, int) or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm(num_groups={num_groups}): expected x (n, channels, ...) with a multiple "
            f"of that many channels, got {x.shape}"
        )
    shaped("group_norm", x.shape[1:2], weight=weight, bias=bias)
    group = math.prod(x.shape[1:]) // num_groups
    rows = x.reshape(x.shape[0], num_groups, group)
    return _per_channel(layer_norm(rows, (group,), eps=eps).reshape(x.shape), weight, bias)


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of each sample.

    With use_input_stats mean and biased var are those of the channel of x (n, channels, ...), and
    the running ones, if given, move towards the batch's averages of mean and unbiased var. Without
    it the running ones are used.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky, "Instance Normalization", arXiv:1607.08022.
    """
    x = a_tensor(input, "instance_norm")
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: expected x (n, channels, ..., length), got {x.shape}")
    given = {"running_mean": running_mean, "running_var": running_var}
    shaped("instance_norm", x.shape[1:2], weight=weight, bias=bias, **given)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    count = math.prod(x.shape[2:])
    if count < 2:
        raise ShapeError(
            f"instance_norm: expected more than one value per channel, got x of shape {x.shape}"
        )
    if running_mean is not None:
        axes = tuple(range(2, x.ndim))
        with no_grad():
            _move(running_mean, x.mean(axes).mean(0), momentum)
            _move(running_var, x.var(axes).mean(0), momentum)
    return group_norm(x, x.shape[1], weight, bias, eps)


def _rows_of(input, normalized_shape, who, **affine):
    """(input, its trailing axes), checked."""
    x = a_tensor(input, who)
    one = isinstance(normalized_shape, (int, np.integer))
    trailing = (normalized_shape,) if one else tuple(normalized_shape)
    if not trailing or x.shape[-len(trailing) :] != trailing:
        raise ShapeError(
            f"{who}(normalized_shape={trailing}): got x of shape {x.shape}, whose last axes are "
            "not that"
        )
    shaped(who, trailing, **affine)
    return x, trailing


def _along(x):
    """The shape that one number for each channel of x takes beside it."""
    return (1, -1) + (1,) * (x.ndim - 2)


def _per_channel(x, weight, bias):
    """x * weight + bias, one of each for every channel, where they are given."""
    x = x if weight is None else x * weight.reshape(_along(x))
    return x if bias is None else x + bias.reshape(_along(x))


def _move(running, batch, momentum):
    """running = (1 - momentum) * running + momentum * batch."""
    running.copy_(running * (1.0 - momentum) + batch.to(running.dtype) * momentum)


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
    scale = weight / (running_var + float(eps)).sqrt()
    return _per_channel(x, scale, bias - scale * running_mean)


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


def batch_renorm(
    x, running_mean, running_std, weight, bias, training, momentum, eps, r_max, d_max, who
):
    """See `nn.BatchRenorm1d`; the running statistics move in training."""
    if not training:
        scale = 1.0 / running_std
        return _per_channel(_per_channel(x, scale, -scale * running_mean), weight, bias)
    out = batch_statistics_norm(x, None, None, None, None, 0.0, eps, who)
    with no_grad():
        axes = (0, *range(2, x.ndim))
        mean, std = x.mean(axes), (x.var(axes, correction=0) + eps).sqrt()
        r = (std / running_std).clamp(1.0 / r_max, r_max)
        d = ((mean - running_mean) / running_std).clamp(-d_max, d_max)
        _move(running_mean, mean, momentum)
        _move(running_std, std, momentum)
    return _per_channel(_per_channel(out, r, d), weight, bias)
