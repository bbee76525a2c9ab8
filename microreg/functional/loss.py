"""Losses."""

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ops import loss
from ..tensor import Tensor
from ._inputs import a_tensor, alike, as_numbers, same_shape, shaped
from .activation import softplus
from .shape import where


def mse_loss(input, target, reduction="mean"):
    """(x - y)^2, averaged ("mean"), added up ("sum") or as it is ("none")."""
    same_shape(input, target, "mse_loss")
    difference = input - target
    return _reduce(difference * difference, reduction, "mse_loss")


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """-(y log s(x) pos_weight + (1 - y) log(1 - s(x))), s the sigmoid, without overflow."""
    who = "binary_cross_entropy_with_logits"
    same_shape(input, target, who)
    positive = 1.0 if pos_weight is None else pos_weight
    out = (1.0 - target) * softplus(input) + target * softplus(-input) * positive
    return _reduce(out if weight is None else out * weight, reduction, who)


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """The loss -log softmax(input)[target] of class indices, input (n, k), target (n,) int64.

    With label_smoothing = s the target distribution is 1 - s at the label plus s/k everywhere. With
    `weight` (k,) each row counts by its label's weight and "mean" divides by the weights' sum.
    Rows whose target is `ignore_index` do not count.

    Raises
    ------
    ShapeError
        If input is not (n, k) or target not (n,).
    ValueError
        If a label is not one of the k classes.
    """
    who = "cross_entropy"
    logits, labels = a_tensor(input, who), _labels(input, target, ignore_index)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy(label_smoothing={label_smoothing}): expected 0 to 1")
    (logits,), k = alike("cross_entropy", logits), logits.shape[1]
    attrs = {"labels": labels, "ignore_index": int(ignore_index)}
    if weight is None and not label_smoothing:
        op = loss.cross_entropy_mean if reduction == "mean" else loss.cross_entropy
        out = Tensor.record(op, (logits,), attrs)
        known = out.data.__class__ is np.ndarray
        _refuse_labels(out.data.sum() if known else 0.0, labels, k, ignore_index)
        return out if reduction == "mean" else _reduce(out, reduction, who)
    valid = Tensor(labels) != ignore_index
    logits = where(valid.unsqueeze(1), logits, 0.0)  # NaN in a row that does not count stays there
    rows = Tensor.record(loss.cross_entropy, (logits,), attrs)
    known = rows.data.__class__ is np.ndarray
    _refuse_labels(rows.data.sum() if known else 0.0, labels, k, ignore_index)
    classes = Tensor(np.ones(k, logits.dtype)) if weight is None else weight
    shaped("cross_entropy", (k,), weight=classes)
    classes = (classes if isinstance(classes, Tensor) else Tensor(classes)).to(logits.dtype)
    counts = classes[where(valid, Tensor(labels), 0)] * valid
    rows = rows * counts
    if label_smoothing:
        even = -(logits.log_softmax(1) * (classes / k)).sum(1) * valid
        rows = rows * (1.0 - label_smoothing) + even * label_smoothing
    return rows.sum() / counts.sum() if reduction == "mean" else _reduce(rows, reduction, who)


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


def _labels(input, target, ignore_index):
    labels = as_numbers(target)
    if input.ndim != 2 or labels.shape != input.shape[:1]:
        raise ShapeError(
            f"cross_entropy: expected input (n, classes) and target (n,), got {input.shape} and "
            f"{labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: expected integer labels, got {labels.dtype}")
    if not len(labels):
        raise ShapeError("cross_entropy: expected at least one row, got an empty batch")
    return labels if labels.dtype == np.int64 else labels.astype(np.int64)


def _refuse_labels(value, labels, classes, ignore_index):
    """Raise if a label is no class: such a label makes the loss NaN, so look only then."""
    if labels.__class__ is not np.ndarray or value == value:
        return
    wrong = (labels < 0) | (labels >= classes)
    wrong &= labels != ignore_index
    if wrong.any():
        raise ValueError(
            f"cross_entropy: expected labels from 0 to {classes - 1}, got "
            f"{labels[wrong][0]} in row {int(np.argmax(wrong))}"
        )


def _reduce(x, reduction, who):
    if reduction == "mean":
        return x.mean()
    if reduction == "sum":
        return x.sum()
    if reduction == "none":
        return x
    raise ValueError(f"{who}(reduction={reduction!r}): expected 'mean', 'sum' or 'none'")
