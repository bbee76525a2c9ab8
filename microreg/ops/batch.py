"""Ops around a training step: the next rows of a data set, and what is counted on the way."""

import math

import numpy as np

from ..kernels import batch as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty
from ._op import Op


def _lines(x):
    """The rows of an array as bytes."""
    return x.reshape(len(x), math.prod(x.shape[1:])).view(np.uint8)


def _take_forward(x, order, cursor, *, rows):
    out = empty((rows, *x.shape[1:]), x.dtype, x)
    launch(kernels.take_batch, _lines(x), order, cursor, _lines(out))
    return out


def _tally_forward(loss, scores, targets, totals, cursor, stop, *, counts, rows):
    right = np.zeros(0)
    if counts is not None:
        right = _right(counts, dense(scores), dense(targets))
    launch(kernels.tally, loss.reshape(1), right, totals, cursor, stop, rows)
    return totals


def _right(counts, scores, targets):
    """How many rows are right, in blocks."""
    matrix = len(scores), math.prod(scores.shape[1:])
    right = empty((counts.blocks(dict(zip("nd", matrix, strict=True))),), np.float64, scores)
    if counts is kernels.right_signs:
        targets = targets.astype(scores.dtype, copy=False).reshape(matrix)
    launch(counts, scores.reshape(matrix), targets, right)
    return right


take_batch = Op("take_batch", _take_forward)
tally = Op("tally", _tally_forward)
