"""Matrix products."""

import math

import numpy as np

from ..errors import DTypeError, ShapeError
from ..kernels import matmul as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty
from ..runtime.strided import expand, filled
from ._elementwise import broadcast_shape
from ._op import Op
from .arithmetic import unbroadcast
from .reduction import sum
from .shape import reshape, swap_last

MATRIX = (kernels.matmul_nn, kernels.matmul_nt, kernels.matmul_tn)
BATCH = (kernels.batch_matmul_nn, kernels.batch_matmul_nt, kernels.batch_matmul_tn)


def _is_transposed(x):
    return not x.flags.c_contiguous and x.swapaxes(-1, -2).flags.c_contiguous


def _alike(*arrays):
    """The arrays in one dtype, the widest of theirs."""
    dtype = arrays[0].dtype
    for x in arrays:
        if x.dtype is not dtype:
            break
    else:
        return arrays
    dtype = np.result_type(*arrays)
    return [x.astype(dtype, copy=False) for x in arrays]


def _product(a, b, families):
    """a @ b by the kernel for how the two lie in memory; families = (nn, nt, tn)."""
    a, b = _alike(a, b)
    out = empty((*a.shape[:-1], b.shape[-1]), a.dtype, a)
    if a.flags.c_contiguous and b.flags.c_contiguous:
        kernel = families[0]
    elif _is_transposed(a) and not _is_transposed(b):
        kernel, a, b = families[2], a.swapaxes(-1, -2), dense(b)
    elif _is_transposed(b):
        kernel, a, b = families[1], dense(a), b.swapaxes(-1, -2)
    else:
        kernel, a, b = families[0], dense(a), dense(b)
    launch(kernel, a, b, out)
    return out


def _check(a, b):
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"matmul: expected (..., m, k) and (..., k, n), got {a.shape}, {b.shape}")


def _matmul_forward(a, b):
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return _matmul_lower(a, b)
    _check(a, b)
    return np.matmul(a, b)


def _matmul_lower(a, b):
    _check(a, b)
    if a.ndim == 2 and b.ndim == 2:
        return _product(a, b, MATRIX)
    if b.ndim == 2 and not _is_transposed(a):  # one product with all rows of a
        rows = dense(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])
        return _product(rows, b, MATRIX).reshape(*a.shape[:-1], b.shape[-1])
    try:
        lead = broadcast_shape(a.shape[:-2], b.shape[:-2])
    except ShapeError:
        raise ShapeError(
            f"matmul: batch axes {a.shape[:-2]} and {b.shape[:-2]} do not broadcast"
        ) from None
    stacked = [_stack(x, lead) for x in (a, b)]
    return _product(*stacked, BATCH).reshape(*lead, a.shape[-2], b.shape[-1])


def _stack(x, lead):
    """x (..., m, n) as (batch, m, n), transposed in memory only if each matrix is."""
    if _is_transposed(x):
        return _stack(x.swapaxes(-1, -2), lead).swapaxes(-1, -2)
    x = expand(x, (*lead, *x.shape[-2:]))
    return x.reshape(math.prod(lead), *x.shape[-2:])


matmul: Op = Op(
    "matmul",
    _matmul_forward,
    (
        lambda g, node: unbroadcast(matmul(g, swap_last(node.inputs[1])), node.inputs[0]),
        lambda g, node: unbroadcast(matmul(swap_last(node.inputs[0]), g), node.inputs[1]),
    ),
    lower=_matmul_lower,
)


def _tn_forward(a, b):
    out = empty((a.shape[1], b.shape[1]), a.dtype, a)
    launch(kernels.matmul_tn, dense(a), dense(b), out)
    return out


def _nt_forward(a, b):
    out = empty((len(a), len(b)), a.dtype, a)
    launch(kernels.matmul_nt, dense(a), dense(b), out)
    return out


# products of matrices of one dtype with a transpose in them: a.T @ b and a @ b.T
matmul_tn: Op = Op(
    "matmul_tn",
    _tn_forward,
    (
        lambda g, node: matmul_nt(node.inputs[1], g),
        lambda g, node: matmul(node.inputs[0], g),
    ),
)
matmul_nt: Op = Op(
    "matmul_nt",
    _nt_forward,
    (
        lambda g, node: matmul(g, node.inputs[1]),
        lambda g, node: matmul_tn(g, node.inputs[0]),
    ),
)


def _refuse_integers(who, *arrays):
    for x in arrays:
        if x.dtype.kind != "f":
            raise DTypeError(
                f"{who}: expected inputs of float32 or float64, got {x.dtype}; use .float()"
            )


def _linear_forward(x, weight, bias=None):
    ndim, (o, i) = x.ndim, weight.shape
    if ndim < 1 or x.shape[-1] != i:
        raise ShapeError(f"linear: expected x (..., {i}) for weight {weight.shape}, got {x.shape}")
    if bias is None:
        bias = filled((o,), weight.dtype, 0.0, weight)
    elif bias.shape != (o,):
        raise ShapeError(f"linear: bias: expected shape ({o},), got {bias.shape}")
    given = x, weight, bias
    x, weight, bias = _alike(*given)
    if x.dtype.kind != "f" or x is not given[0] or weight is not given[1]:
        _refuse_integers("linear", *given)
    out = empty((*x.shape[:-1], o), x.dtype, x)
    if ndim == 2:
        launch(kernels.linear, dense(x), dense(weight), dense(bias), out, 0)
    else:
        rows = math.prod(x.shape[:-1])
        x, target = dense(x).reshape(rows, i), out.reshape(rows, o)
        launch(kernels.linear, x, dense(weight), dense(bias), target, 0)
    return out


def _rows(x):
    return x if x.ndim == 2 else reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


linear = Op(
    "linear",
    _linear_forward,
    (
        lambda g, node: matmul(g, node.inputs[1]),
        lambda g, node: matmul_tn(_rows(g), _rows(node.inputs[0])),
        lambda g, node: sum(g, axes=tuple(range(g.ndim - 1)), keepdims=False),
    ),
)
