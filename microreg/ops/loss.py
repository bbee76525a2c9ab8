"""Softmax and cross-entropy over the last axis, and cross-entropy of single probabilities."""

import math

import numpy as np

from ..kernels import formulas
from ..kernels import softmax as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty
from ._op import Op, as_float
from .arithmetic import clamp, exp, log, pairwise
from .elementary import log1p
from .reduction import amax, mean, sum
from .shape import index, stop


def _rows(kernel):
    """An array function by a kernel over rows, the last axis being the row."""

    def function(*arrays):
        arrays = [dense(as_float(a)) for a in arrays]
        out = empty(arrays[0].shape, arrays[0].dtype, arrays[0])
        rows = math.prod(out.shape[:-1]), out.shape[-1]
        launch(kernel, *(a.reshape(rows) for a in arrays), out.reshape(rows))
        return out

    return function


def _shifted(x):
    """x minus the largest entry of its row, which changes neither softmax nor its slopes."""
    return x - amax(stop(x), axes=(x.ndim - 1,), keepdims=True) if x.shape[-1] else x


def _softmax_reference(x):
    e = exp(_shifted(x))
    return e / sum(e, axes=(x.ndim - 1,), keepdims=True)


def _log_softmax_reference(x):
    z = _shifted(x)
    return z - log(sum(exp(z), axes=(x.ndim - 1,), keepdims=True))


softmax_backward = Op("softmax_backward", _rows(kernels.softmax_rows_backward))
log_softmax_backward = Op("log_softmax_backward", _rows(kernels.log_softmax_rows_backward))
softmax = Op(
    "softmax",
    _rows(kernels.softmax_rows),
    (lambda g, node: softmax_backward(g, node.out),),
    _softmax_reference,
)
log_softmax = Op(
    "log_softmax",
    _rows(kernels.log_softmax_rows),
    (lambda g, node: log_softmax_backward(g, node.out),),
    _log_softmax_reference,
)


def _losses(logits, labels, ignore_index):
    logits = dense(logits)
    n = len(logits)
    loss, probs = empty((n,), logits.dtype, logits), empty(logits.shape, logits.dtype, logits)
    launch(kernels.cross_entropy, logits, dense(labels), loss, probs, ignore_index)
    return loss, probs


def _cross_entropy_forward(logits, *, labels, ignore_index):
    return _losses(logits, labels, ignore_index)


def _cross_entropy_mean_forward(logits, *, labels, ignore_index):
    loss, probs = _losses(logits, labels, ignore_index)
    out, count = empty((), loss.dtype, loss), empty((1,), loss.dtype, loss)
    launch(kernels.mean_counted, loss, dense(labels), out, count, ignore_index)
    return out, probs, count


def _cross_entropy_backward_forward(g, probs, *, labels, ignore_index):
    out = empty(probs.shape, probs.dtype, probs)
    launch(kernels.cross_entropy_backward, probs, dense(labels), dense(g), out, ignore_index)
    return out


def _cross_entropy_mean_backward_forward(g, probs, count, *, labels, ignore_index):
    out = empty(probs.shape, probs.dtype, probs)
    labels, g = dense(labels), dense(g)
    launch(kernels.cross_entropy_mean_backward, probs, labels, g, count, out, ignore_index)
    return out


cross_entropy_backward = Op("cross_entropy_backward", _cross_entropy_backward_forward)
cross_entropy_mean_backward = Op(
    "cross_entropy_mean_backward", _cross_entropy_mean_backward_forward
)


def _cross_entropy_reference(logits, *, labels, ignore_index):
    counts = labels != ignore_index
    rows = np.arange(len(labels))
    picked = index(log_softmax(logits), key=(rows, np.where(counts, labels, 0)))
    return -picked * counts.astype(logits.dtype)


def _cross_entropy_mean_reference(logits, *, labels, ignore_index):
    rows = _cross_entropy_reference(logits, labels=labels, ignore_index=ignore_index)
    return mean(rows, (0,), False) * (len(labels) / max(1, int((labels != ignore_index).sum())))


cross_entropy = Op(
    "cross_entropy",
    _cross_entropy_forward,
    (lambda g, node: cross_entropy_backward(g, *node.saved, **node.attrs),),
    _cross_entropy_reference,
    saves=True,
)
cross_entropy_mean = Op(
    "cross_entropy_mean",
    _cross_entropy_mean_forward,
    (lambda g, node: cross_entropy_mean_backward(g, *node.saved, **node.attrs),),
    _cross_entropy_mean_reference,
    saves=True,
)


def _at_least(x, low):
    return clamp(x, min=low, max=None)


def _binary_forward(p, y):
    return (y - 1.0) * np.maximum(np.log1p(-p), -100.0) - y * np.maximum(np.log(p), -100.0)


binary_cross_entropy = pairwise(
    "binary_cross_entropy",
    _binary_forward,
    formulas.binary_cross_entropy,
    lambda g, p, y: g * (p - y) / _at_least(p * (1.0 - p), 1e-12),
    lambda g, p, y: g * (_at_least(log1p(-p), -100.0) - _at_least(log(p), -100.0)),
)
