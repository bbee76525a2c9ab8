"""Losses of class labels: input (n, k, d1, ...), target (n, d1, ...), or (k,) and ()."""

import math

import numpy as np

from ..dtypes import as_array
from ..errors import DTypeError, ShapeError
from ..ops import loss
from ..runtime.remote import Remote, beside, dense
from ..tensor import Tensor
from ._inputs import a_tensor, alike, shaped
from .loss import reduced


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """The loss -log softmax(input)[target], the classes along axis 1 of input (n, k, ...).

    The target holds class indices, (n, ...), or the probabilities of the classes, floating and of
    the input's shape. With label_smoothing = s the target distribution is 1 - s times it plus s/k
    everywhere. With `weight` (k,) each class counts by its weight, and the "mean" over labels
    divides by the sum of theirs. Labels of `ignore_index` do not count; if none does, the mean is
    NaN.

    Raises
    ------
    ShapeError
        If input and target do not fit each other.
    ValueError
        If a label is not one of the k classes.
    """
    who = "cross_entropy"
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy(label_smoothing={label_smoothing}): expected 0 to 1")
    (logits,) = alike(who, a_tensor(input, who))
    given = as_array(target)
    if given.dtype.kind == "f" and logits.ndim and given.shape == logits.shape:
        return _of_probabilities(logits, target, weight, reduction, label_smoothing)
    rows, labels, shape = _rows(logits, target, who)
    k, attrs = rows.shape[1], {"labels": labels, "ignore_index": int(ignore_index)}
    if weight is None and not label_smoothing:
        op = loss.cross_entropy_mean if reduction == "mean" else loss.cross_entropy
        out = Tensor.record(op, (rows,), attrs)
        known = out.data.__class__ is np.ndarray
        _refuse_labels(out.data.sum() if known else 0.0, labels, k, ignore_index, who)
        return out if reduction == "mean" else reduced(out.reshape(shape), reduction, who)
    valid = Tensor(labels) != ignore_index
    rows = rows.masked_fill(~valid.unsqueeze(1), 0.0)  # NaN there is left alone
    losses = Tensor.record(loss.cross_entropy, (rows,), attrs)
    known = losses.data.__class__ is np.ndarray
    _refuse_labels(losses.data.sum() if known else 0.0, labels, k, ignore_index, who)
    classes = _class_weights(weight, k, rows, who)
    counts = classes[Tensor(labels).masked_fill(~valid, 0)] * valid
    losses = losses * counts
    if label_smoothing:
        even = -(rows.log_softmax(1) * (classes / k)).sum(1) * valid
        losses = losses * (1.0 - label_smoothing) + even * label_smoothing
    return _averaged(losses, counts, shape, reduction, who)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input[target], the classes along axis 1 of log-probabilities (n, k, ...).

    The options are those of `cross_entropy`.
    """
    who = "nll_loss"
    (rows,) = alike(who, a_tensor(input, who))
    rows, labels, shape = _rows(rows, target, who)
    _refuse_labels(math.nan, labels, rows.shape[1], ignore_index, who)
    valid = Tensor(labels) != ignore_index
    safe = Tensor(labels).masked_fill(~valid, 0)
    picked = rows.gather(1, safe.unsqueeze(1)).squeeze(1).masked_fill(~valid, 0.0)
    counts = _class_weights(weight, rows.shape[1], rows, who)[safe] * valid
    return _averaged(-picked * counts, counts, shape, reduction, who)


def _averaged(losses, counts, shape, reduction, who):
    if reduction == "mean":
        return losses.sum() / counts.sum()
    return reduced(losses.reshape(shape), reduction, who)


def _class_weights(weight, k, like, who):
    if weight is None:
        return Tensor(beside(np.ones(k, like.dtype), like.data))
    shaped(who, (k,), weight=weight)
    return (weight if isinstance(weight, Tensor) else Tensor(weight)).to(like.dtype)


def _of_probabilities(logits, target, weight, reduction, smoothing):
    classes = 0 if logits.ndim == 1 else 1
    k, (target, logits) = logits.shape[classes], alike("cross_entropy", target, logits)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / k
    terms = target * logits.log_softmax(classes)
    if weight is not None:
        along = (k,) + (1,) * (logits.ndim - 1 - classes)
        terms = terms * _class_weights(weight, k, logits, "cross_entropy").reshape(along)
    return reduced(-terms.sum(classes), reduction, "cross_entropy")


def _rows(x, target, who):
    """x with a row of classes for each label, the labels as a vector, and their shape."""
    labels = beside(as_array(target), x.data)
    if isinstance(x.data, Remote):
        x.data.home.note_tensors((target,))
    shape = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if not x.ndim or labels.shape != shape:
        raise ShapeError(
            f"{who}: expected input (n, classes, ...) and target (n, ...), got {x.shape} and "
            f"{labels.shape}"
        )
    if labels.dtype.kind != "i":
        raise DTypeError(f"{who}: expected integer labels, got {labels.dtype}")
    if not labels.size:
        raise ShapeError(f"{who}: expected at least one row, got an empty batch")
    if x.ndim != 2:
        x = x.unsqueeze(0) if x.ndim == 1 else x.permute(0, *range(2, x.ndim), 1)
        x, labels = x.reshape(labels.size, x.shape[-1]), dense(labels).reshape(labels.size)
    return x, labels, shape


def _refuse_labels(value, labels, classes, ignore_index, who):
    """Raise if a label is no class: such a label makes the loss NaN, so look only then."""
    if labels.__class__ is not np.ndarray or value == value:
        return
    wrong = (labels < 0) | (labels >= classes)
    wrong &= labels != ignore_index
    if wrong.any():
        raise ValueError(
            f"{who}: expected labels from 0 to {classes - 1}, got {labels[wrong][0]} in row "
            f"{int(np.argmax(wrong))}"
        )
