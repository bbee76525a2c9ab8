"""Softmax, its logarithm and cross-entropy over rows, shifted by the row's maximum.

    p_j = e^(x_j - m) / s,   s = sum_k e^(x_k - m),   m = max_k x_k
    log p_j = x_j - m - log s

A row whose largest entry is inf or -inf, or that holds NaN, gives NaN: inf - inf has no value.
Entries of -inf beside finite ones have probability 0. The exponentials of a whole block are taken
in one go: in short rows alone most lanes of a vector register would be idle.
"""

import numpy as np

from ._jit import kernel, scalar
from ._native import flatten, maximum
from .norm import fast
from .vecmath import exp, log


@scalar
def minus(a, b):
    """a - b as it stands: reordered, m + log s has no room for log s where |m| is large."""
    return a - b


@fast
def _largest(row):
    """The largest entry, NaN if there is one."""
    m = row.dtype.type(-np.inf)
    for j in range(row.size):
        m = maximum(m, row[j])
    return m


@fast
def _shifted(x, out):
    """out_j = x_j - m for every row of a block."""
    for i in range(x.shape[0]):
        row, target = x[i], out[i]
        m = _largest(row)
        for j in range(row.size):
            target[j] = minus(row[j], m)


@fast
def _exponentials(out):
    """out_j = e^out_j."""
    flat = flatten(out)
    for k in range(flat.size):
        flat[k] = exp(flat[k])


@fast
def _total(row):
    """The sum of a row."""
    s = row.dtype.type(0)
    for j in range(row.size):
        s += row[j]
    return s


@kernel("x[n,d] -> out[n,d]", split="n")
def softmax_rows(x, out):
    """out_j = e^(x_j - m) / s."""
    _shifted(x, out)
    _exponentials(out)
    for i in range(x.shape[0]):
        row = out[i]
        s = _total(row)
        for j in range(row.size):
            row[j] /= s


@kernel("g[n,d] out[n,d] -> dx[n,d]", split="n")
def softmax_rows_backward(g, out, dx):
    """dx_j = out_j (g_j - sum_k g_k out_k)."""
    for i in range(out.shape[0]):
        h, row, target = g[i], out[i], dx[i]
        total = g.dtype.type(0)
        for j in range(row.size):
            total += h[j] * row[j]
        for j in range(row.size):
            target[j] = row[j] * (h[j] - total)


@kernel("x[n,d] -> out[n,d]", split="n")
def log_softmax_rows(x, out):
    """out_j = x_j - m - log s."""
    _shifted(x, out)
    _exponentials(out)
    for i in range(x.shape[0]):
        row, target = x[i], out[i]
        log_s = log(_total(target))
        m = _largest(row)
        for j in range(row.size):
            target[j] = minus(minus(row[j], m), log_s)


@kernel("g[n,d] out[n,d] -> dx[n,d]", split="n")
def log_softmax_rows_backward(g, out, dx):
    """dx_j = g_j - e^out_j sum_k g_k."""
    for i in range(out.shape[0]):
        h, row, target = g[i], out[i], dx[i]
        total = _total(h)
        for j in range(row.size):
            target[j] = h[j] - exp(row[j]) * total


@kernel(
    "logits[n,d] labels:int64[n] -> loss[n] probs[n,d]; ignore_index:int64",
    split="n",
)
def cross_entropy(logits, labels, loss, probs, ignore_index):
    """loss_i = -log p[label_i], from the logits themselves; probs = softmax.

    A row whose label is ignore_index has loss 0; one whose label is no class has loss NaN.
    """
    _shifted(logits, probs)
    for i in range(loss.size):
        loss[i] = probs[i, labels[i]] if 0 <= labels[i] < logits.shape[1] else np.nan
    _exponentials(probs)
    for i in range(loss.size):
        p = probs[i]
        s = _total(p)
        for j in range(p.size):
            p[j] /= s
        loss[i] = minus(log(s), loss[i]) if labels[i] != ignore_index else 0


@kernel("loss[n] labels:int64[n] -> mean[one] count[one]; ignore_index:int64")
def mean_counted(loss, labels, mean, count, ignore_index):
    """The mean of loss over the rows whose label is not ignore_index, and how many they are."""
    total = 0.0
    counted = 0
    for i in range(loss.size):
        total += loss[i]
        counted += 1 if labels[i] != ignore_index else 0
    count[0] = counted
    mean[0] = total / counted


@kernel(
    "probs[n,d] labels:int64[n] g[n] -> dlogits[n,d]; ignore_index:int64",
    split="n",
)
def cross_entropy_backward(probs, labels, g, dlogits, ignore_index):
    """dlogits_j = (p_j - [j = label]) * g_i; 0 in a row that does not count."""
    for i in range(probs.shape[0]):
        p, row = probs[i], dlogits[i]
        if labels[i] == ignore_index:
            for j in range(p.size):
                row[j] = 0
        else:
            for j in range(p.size):
                row[j] = p[j] * g[i]
            if 0 <= labels[i] < p.size:
                row[labels[i]] -= g[i]


@kernel(
    "probs[n,d] labels:int64[n] g[one] count[one] -> dlogits[n,d]; ignore_index:int64",
    split="n",
)
def cross_entropy_mean_backward(probs, labels, g, count, dlogits, ignore_index):
    """cross_entropy_backward with g / count for every row."""
    scale = g[0] / count[0]
    for i in range(probs.shape[0]):
        p, row = probs[i], dlogits[i]
        if labels[i] == ignore_index:
            for j in range(p.size):
                row[j] = 0
        else:
            for j in range(p.size):
                row[j] = p[j] * scale
            if 0 <= labels[i] < p.size:
                row[labels[i]] -= scale
