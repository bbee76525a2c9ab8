"""Batch and layer normalization, each fused into kernels, with its meaning beside it."""

import numpy as np

from ..kernels import norm as kernels
from ..runtime import launch
from ._op import Op, dense
from .arithmetic import sqrt
from .reduction import mean
from .shape import reshape


def _layer_norm_forward(x, weight, bias, *, eps):
    rows = dense(x).reshape(-1, weight.size)
    out = np.empty(x.shape, x.dtype)
    row_mean, rstd = np.empty((2, len(rows)), x.dtype)
    flat = weight.reshape(-1), bias.reshape(-1)
    launch(
        kernels.layer_norm, rows, *map(dense, flat), out.reshape(rows.shape), row_mean, rstd, eps
    )
    return out, (row_mean, rstd)


def _layer_norm_vjp(g, node):
    x, weight, _ = node.inputs
    rows = dense(x).reshape(-1, weight.size)
    n, d = rows.shape
    dx = np.empty(x.shape, x.dtype)
    blocks = kernels.layer_norm_backward.blocks({"n": n, "d": d})
    partial = np.empty((2, blocks, d), x.dtype)
    launch(
        kernels.layer_norm_backward,
        dense(g).reshape(rows.shape),
        rows,
        *node.saved,
        dense(weight).reshape(-1),
        dx.reshape(rows.shape),
        *partial,
    )
    dweight, dbias = partial.sum(axis=1)
    return dx, dweight.reshape(weight.shape), dbias.reshape(weight.shape)


def _layer_norm_reference(x, weight, bias, *, eps):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    return standardize(x, axes, eps) * weight + bias


def standardize(x, axes, eps):
    """(x - mean) / sqrt(var + eps) over `axes`, var biased, composed of elementary ops."""
    centred = x - mean(x, axes, True)
    return centred / sqrt(mean(centred * centred, axes, True) + eps)


def _batch_norm_forward(x, weight, bias, *, eps, momentum, running_mean, running_var):
    grid = _grid(x)
    n, c, s = grid.shape
    partial = np.empty((kernels.batch_norm_stats.blocks({"n": n, "c": c, "s": s}), c, 2))
    launch(kernels.batch_norm_stats, grid, partial)
    batch_mean, var, rstd = np.empty((3, c), x.dtype)
    rows = kernels.batch_norm_stats.rows({"n": n, "c": c, "s": s})
    launch(kernels.merge_stats, partial, batch_mean, var, rstd, rows * s, n * s, eps)
    out = np.empty(x.shape, x.dtype)
    launch(
        kernels.batch_norm_apply,
        grid,
        batch_mean,
        rstd,
        dense(weight),
        dense(bias),
        out.reshape(grid.shape),
    )
    if running_mean is not None:  # the running variance is the unbiased one
        running_mean += momentum * (batch_mean - running_mean)
        running_var += momentum * (var * (n * s / (n * s - 1)) - running_var)
    return out, (batch_mean, rstd)


def _batch_norm_vjp(g, node):
    x, weight, _ = node.inputs
    batch_mean, rstd = node.saved
    grid, g = _grid(x), _grid(g)
    n, c, s = grid.shape
    partial = np.empty((kernels.batch_norm_backward_partial.blocks({"n": n, "c": c, "s": s}), c, 2))
    launch(kernels.batch_norm_backward_partial, g, grid, batch_mean, rstd, partial)
    dbias, dweight = np.ascontiguousarray(partial.sum(axis=0).T.astype(x.dtype))
    dx = np.empty(x.shape, x.dtype)
    launch(
        kernels.batch_norm_backward,
        g,
        grid,
        batch_mean,
        rstd,
        dense(weight),
        dweight,
        dbias,
        dx.reshape(grid.shape),
        n * s,
    )
    return dx, dweight, dbias


def _grid(x):
    """x (n, c, ...) as (n, c, s)."""
    return dense(x).reshape(x.shape[0], x.shape[1], -1)


def _batch_norm_reference(x, weight, bias, *, eps, momentum, running_mean, running_var):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    return standardize(x, axes, eps) * reshape(weight, shape=shape) + reshape(bias, shape=shape)


layer_norm = Op("layer_norm", _layer_norm_forward, _layer_norm_vjp, _layer_norm_reference, True)
batch_norm = Op("batch_norm", _batch_norm_forward, _batch_norm_vjp, _batch_norm_reference, True)
