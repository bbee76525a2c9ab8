"""Targets, weights of rows, and the loss that takes both.

The weight of a row travels as one more column of its target. Weights of mean 1 leave the objective
what it is: mean data loss + penalties.
"""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from .. import functional as F


class Targets(NamedTuple):
    y: np.ndarray
    loss: object


def of_labels(labels, k, weight, dtype):
    """Targets for class numbers: one logit for two classes, k for more."""
    if k == 2:
        y = labels[:, None].astype(dtype)
        return Targets(*_with(y, weight, F.binary_cross_entropy_with_logits, _binary))
    if weight is None:
        return Targets(labels.astype(np.int64), F.cross_entropy)
    return Targets(*_with(np.eye(k, dtype=dtype)[labels], weight, None, _classes))


def of_numbers(y, weight, dtype):
    """Targets (n, outputs) for regression."""
    y = y.reshape(len(y), -1).astype(dtype)
    return Targets(*_with(y, weight, F.mse_loss, _squares))


def _with(y, weight, loss, weighted):
    if weight is None:
        return y, loss
    return np.column_stack([y, weight.astype(y.dtype)]), weighted


def _binary(output, target):
    return F.binary_cross_entropy_with_logits(output, target[:, :1], target[:, 1:])


def _classes(output, target):
    y, weight = target[:, :-1], target[:, -1:]
    return -(weight * y * F.log_softmax(output, 1)).sum() / len(output)


def _squares(output, target):
    y, weight = target[:, :-1], target[:, -1:]
    return (weight * (output - y) ** 2).mean()


def row_weights(sample_weight, X):
    """Weights of the rows, checked; None if all are alike."""
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
