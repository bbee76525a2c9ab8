"""Softmax, its logarithm and cross-entropy over rows, shifted by the row's maximum.

    p_j = e^(x_j - m) / s,   s = sum_k e^(x_k - m),   m = max_k x_k
    log p_j = x_j - m - log s

A row whose largest entry is inf or -inf, or that holds NaN, gives NaN: inf - inf has no value.
Entries of -inf beside finite ones have probability 0.
"""

import numpy as np

from ._jit import kernel, scalar
from ._native import maximum
from .vecmath import exp, log


@scalar
def log_probability(v, m, log_s):
    """(v - m) - log s, in this order: m + log s has no room for log s where |m| is large."""
    return (v - m) - log_s


@kernel("x[n,d] -> out[n,d]", split="n")
def softmax_rows(x, out):
    """out_j = e^(x_j - m) / s."""
    for i in range(x.shape[0]):
        m = x.dtype.type(-np.inf)
        for j in range(x.shape[1]):
            m = maximum(m, x[i, j])
        s = x.dtype.type(0)
        for j in range(x.shape[1]):
            e = exp(x[i, j] - m)
            out[i, j] = e
            s += e
        for j in range(x.shape[1]):
            out[i, j] /= s


@kernel("g[n,d] out[n,d] -> dx[n,d]", split="n")
def softmax_rows_backward(g, out, dx):
    """dx_j = out_j (g_j - sum_k g_k out_k)."""
    for i in range(out.shape[0]):
        total = g.dtype.type(0)
        for j in range(out.shape[1]):
            total += g[i, j] * out[i, j]
        for j in range(out.shape[1]):
            dx[i, j] = out[i, j] * (g[i, j] - total)


@kernel("x[n,d] -> out[n,d]", split="n")
def log_softmax_rows(x, out):
    """out_j = x_j - m - log s."""
    for i in range(x.shape[0]):
        m = x.dtype.type(-np.inf)
        for j in range(x.shape[1]):
            m = maximum(m, x[i, j])
        s = x.dtype.type(0)
        for j in range(x.shape[1]):
            s += exp(x[i, j] - m)
        log_s = log(s)
        for j in range(x.shape[1]):
            out[i, j] = log_probability(x[i, j], m, log_s)


@kernel("g[n,d] out[n,d] -> dx[n,d]", split="n")
def log_softmax_rows_backward(g, out, dx):
    """dx_j = g_j - e^out_j sum_k g_k."""
    for i in range(out.shape[0]):
        total = g.dtype.type(0)
        for j in range(out.shape[1]):
            total += g[i, j]
        for j in range(out.shape[1]):
            dx[i, j] = g[i, j] - exp(out[i, j]) * total


@kernel("logits[n,d] labels:int64[n] -> loss[n] probs[n,d]", split="n")
def cross_entropy(logits, labels, loss, probs):
    """loss_i = -log p[label_i], from the logits themselves; probs = softmax."""
    for i in range(logits.shape[0]):
        m = logits.dtype.type(-np.inf)
        for j in range(logits.shape[1]):
            m = maximum(m, logits[i, j])
        s = logits.dtype.type(0)
        for j in range(logits.shape[1]):
            e = exp(logits[i, j] - m)
            probs[i, j] = e
            s += e
        for j in range(logits.shape[1]):
            probs[i, j] /= s
        loss[i] = -log_probability(logits[i, labels[i]], m, log(s))


@kernel("probs[n,d] labels:int64[n] scale[n] -> dlogits[n,d]", split="n")
def cross_entropy_backward(probs, labels, scale, dlogits):
    """dlogits_j = (p_j - [j = label]) * scale_i."""
    for i in range(probs.shape[0]):
        for j in range(probs.shape[1]):
            dlogits[i, j] = probs[i, j] * scale[i]
        dlogits[i, labels[i]] -= scale[i]
