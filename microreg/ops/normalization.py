"""Batch, layer and rms normalization, each fused into kernels, with its meaning beside it."""

import math

import numpy as np

from ..kernels import batch_norm as columns
from ..kernels import norm as rows
from ..kernels import reduce
from ..runtime import launch, strided
from ..runtime.remote import dense, empty, memory_order
from ._op import Op
from .arithmetic import sqrt
from .reduction import mean
from .shape import reshape


def _layer_norm_forward(x, weight, bias, *, eps):
    d = weight.size
    matrix = dense(x).reshape(x.size // max(1, d), d)
    out = empty(x.shape, x.dtype, x)
    centre, rstd = (empty((len(matrix),), x.dtype, x) for _ in range(2))
    target = out.reshape(matrix.shape)
    launch(rows.layer_norm, matrix, dense(weight), dense(bias), target, centre, rstd, eps)
    return out, centre, rstd


def _layer_norm_gradients(g, x, weight, centre, rstd):
    matrix = dense(x).reshape(len(centre), weight.size)
    n, d = matrix.shape
    dx = empty(x.shape, x.dtype, x)
    blocks = rows.layer_norm_backward.blocks({"n": n, "d": d})
    partial = empty((2, blocks, d), x.dtype, x)
    launch(
        rows.layer_norm_backward,
        dense(g).reshape(n, d),
        matrix,
        centre,
        rstd,
        dense(weight),
        dx.reshape(n, d),
        partial[0],
        partial[1],
    )
    sums = [empty(weight.shape, x.dtype, x) for _ in range(2)]
    for i in range(2):
        launch(reduce.merge_columns, partial[i], sums[i])
    return dx, *sums


layer_norm_backward = Op("layer_norm_backward", _layer_norm_gradients)


def _layer_norm_vjp(g, node):
    x, weight, _ = node.inputs
    return layer_norm_backward(g, x, weight, *node.saved)


def _layer_norm_reference(x, weight, bias, *, eps):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    return standardize(x, axes, eps) * weight + bias


def standardize(x, axes, eps):
    """(x - mean) / sqrt(var + eps) over `axes`, var biased, composed of elementary ops."""
    centred = x - mean(x, axes, True)
    return centred / sqrt(mean(centred * centred, axes, True) + eps)


def _rms_norm_forward(x, weight, *, eps):
    d = weight.size
    matrix = dense(x).reshape(x.size // max(1, d), d)
    out, rstd = empty(x.shape, x.dtype, x), empty((len(matrix),), x.dtype, x)
    launch(rows.rms_norm, matrix, dense(weight), out.reshape(matrix.shape), rstd, eps)
    return out, rstd


def _rms_norm_gradients(g, x, weight, rstd):
    n, d = len(rstd), weight.size
    dx, dweight = empty(x.shape, x.dtype, x), empty(weight.shape, x.dtype, x)
    partial = empty((rows.rms_norm_backward.blocks({"n": n, "d": d}), d), x.dtype, x)
    matrices = dense(g).reshape(n, d), dense(x).reshape(n, d)
    launch(rows.rms_norm_backward, *matrices, rstd, dense(weight), dx.reshape(n, d), partial)
    launch(reduce.merge_columns, partial, dweight)
    return dx, dweight


rms_norm_backward = Op("rms_norm_backward", _rms_norm_gradients)


def _rms_norm_vjp(g, node):
    return rms_norm_backward(g, *node.inputs, *node.saved)


def _rms_norm_reference(x, weight, *, eps):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    return x / sqrt(mean(x * x, axes, True) + eps) * weight


def _grid(x, like):
    """x (n, c, ...) as (n, c) if nothing follows or `like` has channels last, else (n, c, s)."""
    n, c, *rest = x.shape
    if _channels_last(like):
        moved = dense(x.transpose(0, *range(2, x.ndim), 1))
        return moved.reshape(n * math.prod(rest), c)
    return dense(x).reshape((n, c, math.prod(rest)) if math.prod(rest) != 1 else (n, c))


def _channels_last(x):
    """Whether the channels of a pixel lie side by side."""
    return x.ndim > 2 and memory_order(x) == [0, *range(2, x.ndim), 1]


def _new_like(x):
    """A new array that lies as x does, and it as a grid."""
    if not _channels_last(x):
        out = empty(x.shape, x.dtype, x)
        return out, _grid(out, out)
    n, c, *rest = x.shape
    made = empty((n, *rest, c), x.dtype, x)
    return made.transpose(0, x.ndim - 1, *range(1, x.ndim - 1)), made.reshape(-1, c)


def _measured(grid, stats):
    """Blocks and rows of a block, with which `stats` divides a grid."""
    sizes = dict(zip("ncs", grid.shape, strict=False))
    return stats.blocks(sizes), stats.rows(sizes)


_NONE = np.empty(0, np.int64)


def _at_hand(running, x):
    """Running statistics as a kernel takes them: dense, in the dtype of x. A copy, if need be."""
    if running is None:
        return np.empty(0, x.dtype)
    if running.dtype == x.dtype and running.flags.c_contiguous:
        return running
    made = empty(running.shape, running.dtype, x)
    strided.pack(running, running.shape, strided.steps_of(running), made)
    return made if made.dtype == x.dtype else strided.cast(made, empty(made.shape, x.dtype, x))


def _batch_norm_forward(x, weight, bias, *, eps, momentum, running_mean, running_var, tracked):
    grid = _grid(x, x)
    c, values = grid.shape[1], math.prod(grid.shape[2:])
    flat_grid = grid.ndim == 2
    stats = columns.column_stats if flat_grid else columns.image_stats
    blocks, block_rows = _measured(grid, stats)
    partial = empty((blocks, 2, c), np.float64, x)
    centre, rstd, scale, shift = (empty((c,), x.dtype, x) for _ in range(4))
    work = (empty((blocks, 3, c), x.dtype, x),) if flat_grid else ()
    launch(stats, grid, partial, *work)
    held = running_mean, running_var
    running = [_at_hand(one, x) for one in held]
    launch(
        columns.merge_stats,
        dense(weight),
        dense(bias),
        partial,
        centre,
        rstd,
        scale,
        shift,
        *running,
        _NONE if tracked is None else tracked,
        block_rows * values,
        len(grid) * values,
        eps,
        -1.0 if momentum is None else momentum,
    )
    for one, moved in zip(held, running, strict=True):
        if one is not None and moved is not one:
            strided.overwrite(one, moved)
    out, target = _new_like(x)
    apply = columns.column_apply if flat_grid else columns.image_apply
    launch(apply, grid, centre, scale, shift, target)
    return out, centre, rstd


def _batch_norm_gradients(g, x, weight, centre, rstd):
    grid, along = _grid(x, x), _grid(g, x)
    c = grid.shape[1]
    flat_grid = grid.ndim == 2
    sums = columns.column_sums if flat_grid else columns.image_sums
    blocks, _ = _measured(grid, sums)
    partial = empty((blocks, 2, c), np.float64, x)
    work = (empty((blocks, 2, c), x.dtype, x),) if flat_grid else ()
    launch(sums, along, grid, centre, partial, *work)
    dweight, dbias, scale, slope, shift = (empty((c,), x.dtype, x) for _ in range(5))
    count = grid.size // max(1, c)
    launch(
        columns.merge_sums, rstd, dense(weight), partial, dweight, dbias, scale, slope, shift, count
    )
    dx, target = _new_like(x)
    backward = columns.column_backward if flat_grid else columns.image_backward
    launch(backward, along, grid, centre, scale, slope, shift, target)
    return dx, dweight, dbias


batch_norm_backward = Op("batch_norm_backward", _batch_norm_gradients)


def _batch_norm_vjp(g, node):
    x, weight, _ = node.inputs
    return batch_norm_backward(g, x, weight, *node.saved)


def _batch_norm_reference(x, weight, bias, *, eps, **_):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    return standardize(x, axes, eps) * reshape(weight, shape=shape) + reshape(bias, shape=shape)


layer_norm = Op(
    "layer_norm", _layer_norm_forward, _layer_norm_vjp, _layer_norm_reference, saves=True
)
batch_norm = Op(
    "batch_norm", _batch_norm_forward, _batch_norm_vjp, _batch_norm_reference, saves=True
)
rms_norm = Op("rms_norm", _rms_norm_forward, _rms_norm_vjp, _rms_norm_reference, saves=True)
