"""Single kernels as plain functions of NumPy arrays, to be compared with other libraries.

`microreg.kernels.BENCH` maps a name to f(arrays, ..., results): results are written, nothing else
changes, the arrays have one dtype, float32 or float64. What each computes, and how the comparison
is made, is written in tests/benchmarks/README.md.
"""

import functools

import numpy as np

from .kernels import batch_norm as columns
from .kernels import formulas, lift, reduce, softmax
from .kernels import matmul as products
from .kernels import norm as rows
from .kernels.update import RULES, update_kernel
from .penalties import L1
from .penalties.combine import plan
from .runtime import launch

EPS = 1e-5  # of the norms
NO_LABEL = -100


def matmul(a, b, out):
    """out (m, n) = a (m, k) @ b (k, n); a or b may be a transposed view."""
    if not a.flags.c_contiguous and a.T.flags.c_contiguous:
        launch(products.matmul_tn, a.T, np.ascontiguousarray(b), out)
    elif not b.flags.c_contiguous and b.T.flags.c_contiguous:
        launch(products.matmul_nt, np.ascontiguousarray(a), b.T, out)
    else:
        launch(products.matmul_nn, np.ascontiguousarray(a), np.ascontiguousarray(b), out)


def linear_relu(x, w, b, out):
    """out (n, o) = max(x (n, i) @ w (o, i).T + b (o,), 0)."""
    launch(products.linear, x, w, b, out, 1)


def layer_norm(x, w, b, out, mean, rstd):
    """Rows of x (n, d) standardised, times w (d,) plus b (d,); mean (n,), rstd (n,)."""
    launch(rows.layer_norm, x, w, b, out, mean, rstd, EPS)


def layer_norm_backward(dy, x, mean, rstd, w, dx, dw, db):
    """dx (n, d), dw (d,), db (d,) from dy (n, d) and what the forward pass stored."""
    n, d = x.shape
    partial = np.empty((2, rows.layer_norm_backward.blocks({"n": n, "d": d}), d), x.dtype)
    launch(rows.layer_norm_backward, dy, x, mean, rstd, w, dx, partial[0], partial[1])
    launch(reduce.merge_columns, partial[0], dw)
    launch(reduce.merge_columns, partial[1], db)


@functools.cache
def _cut(kernel, n, c):
    """Blocks that a kernel over columns cuts n rows into, and the rows of a block."""
    sizes = {"n": n, "c": c}
    return kernel.blocks(sizes), kernel.rows(sizes)


def _in_blocks(kernel, x, work):
    """Room for the sums of each block of rows, and the rows of a block."""
    blocks, rows = _cut(kernel, *x.shape)
    c = x.shape[1]
    return np.empty((blocks, 2, c)), np.empty((blocks, work, c), x.dtype), rows


def batch_norm(x, w, b, out, mean, rstd):
    """Columns of x (n, d) standardised, times w (d,) plus b (d,); mean (d,), rstd (d,)."""
    partial, work, block = _in_blocks(columns.column_stats, x, 3)
    launch(columns.column_stats, x, partial, work)
    scale, shift, none = np.empty_like(w), np.empty_like(w), np.empty(0, w.dtype)
    untracked = np.empty(0, np.int64)
    result = partial, mean, rstd, scale, shift, none, none, untracked
    launch(columns.merge_stats, w, b, *result, block, len(x), EPS, 0.0)
    launch(columns.column_apply, x, mean, scale, shift, out)


def batch_norm_backward(dy, x, mean, rstd, w, dx, dw, db):
    """dx (n, d), dw (d,), db (d,) from dy (n, d) and what the forward pass stored."""
    partial, work, _ = _in_blocks(columns.column_sums, x, 2)
    launch(columns.column_sums, dy, x, mean, partial, work)
    scale, slope, shift = np.empty((3, len(w)), w.dtype)
    launch(columns.merge_sums, rstd, w, partial, dw, db, scale, slope, shift, len(x))
    launch(columns.column_backward, dy, x, mean, scale, slope, shift, dx)


def softmax_cross_entropy(logits, labels, dlogits):
    """The mean loss over the rows; dlogits (n, c) becomes its gradient. labels (n,) int64."""
    loss, probs = np.empty(len(logits), logits.dtype), np.empty_like(logits)
    mean, count, one = np.empty((3, 1), logits.dtype)
    one[0] = 1
    launch(softmax.cross_entropy, logits, labels, loss, probs, NO_LABEL)
    launch(softmax.mean_counted, loss, labels, mean, count, NO_LABEL)
    launch(softmax.cross_entropy_mean_backward, probs, labels, one, count, dlogits, NO_LABEL)
    return float(mean[0])


def adamw_l1(p, g, m, v, step, lr, beta1, beta2, eps, weight_decay, l1):
    """One AdamW step, the first being 1, in place in p, m, v; then the prox of l1 in its metric."""
    rule, planned = RULES["adam"], plan(L1(l1))
    kernel = update_kernel("adam", planned.prox, len(planned.params), False)
    options = np.array([lr, weight_decay, 0.0, 1.0, beta1, beta2, eps])
    hyper, params = np.empty(rule.hyper, p.dtype), np.array(planned.numbers(), p.dtype)
    launch(rule.tick, options, np.array([step - 1]), hyper)
    launch(kernel, g, hyper, params, p, m, v, p)


def _map(formula, x, out):
    launch(lift.maps(formula), x, out)


BENCH = {
    f.__name__: f
    for f in (
        matmul,
        linear_relu,
        layer_norm,
        layer_norm_backward,
        batch_norm,
        batch_norm_backward,
        softmax_cross_entropy,
        adamw_l1,
    )
} | {
    name: functools.partial(_map, getattr(formulas, name))
    for name in ("exp", "log", "tanh", "erf", "gelu")
}
