"""Softmax and cross-entropy over the last axis."""

import math

import numpy as np

from ..kernels import softmax as kernels
from ..runtime import launch
from ._op import Op, as_float, dense
from .arithmetic import _data, exp, log
from .reduction import sum
from .shape import index


def _rows(kernel, *arrays):
    """A kernel over the rows of arrays of one shape, the last axis being the row."""
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    rows = math.prod(out.shape[:-1]), out.shape[-1]
    launch(kernel, *(dense(a).reshape(rows) for a in arrays), out.reshape(rows))
    return out


def _largest(x):
    """The largest entry of each row; it carries no gradient."""
    return _data(x).max(axis=-1, keepdims=True, initial=-np.inf)


def _softmax_reference(x):
    e = exp(x - _largest(x))
    return e / sum(e, axes=(x.ndim - 1,), keepdims=True)


def _log_softmax_reference(x):
    z = x - _largest(x)
    return z - log(sum(exp(z), axes=(x.ndim - 1,), keepdims=True))


softmax = Op(
    "softmax",
    lambda x: _rows(kernels.softmax_rows, as_float(x)),
    (lambda g, node: _rows(kernels.softmax_rows_backward, g, node.out),),
    _softmax_reference,
)
log_softmax = Op(
    "log_softmax",
    lambda x: _rows(kernels.log_softmax_rows, as_float(x)),
    (lambda g, node: _rows(kernels.log_softmax_rows_backward, g, node.out),),
    _log_softmax_reference,
)


def _cross_entropy_forward(logits, *, labels):
    logits = dense(logits)
    loss, probs = np.empty(len(logits), logits.dtype), np.empty_like(logits)
    launch(kernels.cross_entropy, logits, labels, loss, probs)
    return loss, probs


def _cross_entropy_vjp(g, node):
    dlogits = np.empty_like(node.saved)
    launch(kernels.cross_entropy_backward, node.saved, node.attrs["labels"], dense(g), dlogits)
    return (dlogits,)


def _cross_entropy_reference(logits, *, labels):
    return -index(log_softmax(logits), key=(np.arange(len(labels)), labels))


cross_entropy = Op(
    "cross_entropy", _cross_entropy_forward, _cross_entropy_vjp, _cross_entropy_reference, True
)
