"""Losses of numbers and of single probabilities. `reduction` is "mean", "sum" or "none"."""

import numpy as np

from ..errors import ShapeError
from ..ops import loss
from ..tensor import Tensor
from ._inputs import a_tensor, alike, same_shape
from .activation import softplus


def mse_loss(input, target, reduction="mean"):
    """(x - y)^2."""
    difference = _difference(input, target, "mse_loss")
    return reduced(difference * difference, reduction, "mse_loss")


def l1_loss(input, target, reduction="mean"):
    """|x - y|. The gradient at 0 is 0."""
    return reduced(abs(_difference(input, target, "l1_loss")), reduction, "l1_loss")


def huber_loss(input, target, reduction="mean", delta=1.0):
    """(x - y)^2 / 2 where |x - y| <= delta, delta * (|x - y| - delta / 2) elsewhere.

    References
    ----------
    Huber, "Robust Estimation of a Location Parameter", Ann. Math. Statist. 35 (1964).
    """
    if not delta > 0:
        raise ValueError(f"huber_loss(delta={delta}): expected a number above 0")
    difference = _difference(input, target, "huber_loss")
    return reduced(_huber(difference, float(delta)), reduction, "huber_loss")


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """huber_loss with delta = beta, divided by beta; l1_loss if beta is 0."""
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss(beta={beta}): expected a number of at least 0")
    if beta == 0:
        return l1_loss(input, target, reduction)
    difference = _difference(input, target, "smooth_l1_loss")
    return reduced(_huber(difference, float(beta)) / float(beta), reduction, "smooth_l1_loss")


def _huber(difference, delta):
    near = difference.clamp(-delta, delta)
    return near * (difference - near * 0.5)


def _difference(input, target, who):
    same_shape(a_tensor(input, who), target, who)
    return input - target


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """-(y log p + (1 - y) log(1 - p)) of probabilities p, no logarithm below -100.

    Raises
    ------
    ValueError
        If an entry of the input is no probability.
    """
    who = "binary_cross_entropy"
    same_shape(a_tensor(input, who), target, who)
    p, y = alike(who, input, target)
    array = p.data
    if array.__class__ is np.ndarray and ((array < 0) | (array > 1)).any():
        wrong = array[(array < 0) | (array > 1)][0]
        raise ValueError(f"{who}: input: expected probabilities from 0 to 1, got {wrong}")
    out = Tensor.record(loss.binary_cross_entropy, (p, y), {})
    return reduced(out if weight is None else out * weight, reduction, who)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """-(y log s(x) pos_weight + (1 - y) log(1 - s(x))), s the sigmoid, without overflow."""
    who = "binary_cross_entropy_with_logits"
    same_shape(a_tensor(input, who), target, who)
    positive = 1.0 if pos_weight is None else pos_weight
    out = (1.0 - target) * softplus(input) + target * softplus(-input) * positive
    return reduced(out if weight is None else out * weight, reduction, who)


def kl_div(input, target, reduction="mean", log_target=False):
    """y * (log y - x) of log-probabilities x and probabilities y; 0 where y is 0.

    With log_target y is given by its logarithm. Reduction "batchmean" divides the sum by the
    length of the first axis: the divergence itself, averaged over rows.
    """
    who = "kl_div"
    if tuple(a_tensor(input, who).shape) != tuple(target.shape):
        raise ShapeError(f"{who}: expected one shape, got {input.shape} and {target.shape}")
    x, y = alike(who, input, target)
    if log_target:
        out = y.exp() * (y - x)
    else:
        none = y == 0
        out = (y * (y.masked_fill(none, 1.0).log() - x)).masked_fill(none, 0.0)
    if reduction == "batchmean":
        return out.sum() / len(out)
    return reduced(out, reduction, who)


def confidence_penalty(input, lam=0.1):
    """lam times the mean over rows of sum_c p_c log p_c, p = softmax(input): minus the entropy.

    Added to the loss it keeps a classifier from being too sure:

        loss=lambda z, y: F.cross_entropy(z, y) + F.confidence_penalty(z, 0.1)

    References
    ----------
    Pereyra, Tucker, Chorowski, Kaiser, Hinton, "Regularizing Neural Networks by Penalizing
    Confident Output Distributions", ICLR 2017 workshop.
    """
    logits = a_tensor(input, "confidence_penalty")
    if logits.ndim != 2 or not len(logits):
        raise ShapeError(f"confidence_penalty: expected input (n, classes), got {logits.shape}")
    logs = logits.log_softmax(1)
    return (logs.exp() * logs).sum(1).mean() * float(lam)


def soft_margin_loss(input, target, reduction="mean"):
    """log(1 + exp(-y x)) for labels y of -1 and 1."""
    same_shape(a_tensor(input, "soft_margin_loss"), target, "soft_margin_loss")
    return reduced(softplus(-(input * target)), reduction, "soft_margin_loss")


def reduced(x, reduction, who):
    """The mean of losses, their sum, or all of them."""
    if reduction == "mean":
        return x.mean()
    if reduction == "sum":
        return x.sum()
    if reduction == "none":
        return x
    raise ValueError(f"{who}(reduction={reduction!r}): expected 'mean', 'sum' or 'none'")
