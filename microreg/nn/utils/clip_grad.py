"""Bounds on gradients, applied between backward and step."""

import math

import numpy as np

from ...functional import maximum
from ...grad_mode import no_grad
from ...kernels import reduce
from ...ops._op import Op
from ...runtime import launch
from ...runtime.remote import dense, empty
from ...tensor import Tensor
from ..module import replace_gradient


def _square_sum(*arrays):
    """The sum of the squares of all entries of all arrays, which have one dtype."""
    blocks = [reduce.sum_squares.blocks({"n": x.size}) for x in arrays]
    partial, out = (
        empty((sum(blocks),), np.float64, arrays[0]),
        empty((), arrays[0].dtype, arrays[0]),
    )
    start = 0
    for x, count in zip(arrays, blocks, strict=True):
        launch(reduce.sum_squares, dense(x), partial[start : start + count])
        start += count
    launch(reduce.merge, partial, out)
    return out


_squares = Op("square_sum", _square_sum)


def _with_gradient(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in parameters if p.grad is not None]


@no_grad()
def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False):
    """The norm of all entries of all tensors together: (sum |x|^p)^(1/p), p = norm_type."""
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not tensors:
        return Tensor(0.0)
    p = float(norm_type)
    if p == 2.0:
        by_dtype = {}
        for x in tensors:
            by_dtype.setdefault(x.dtype, []).append(x)
        parts = [_squares(*alike) for alike in by_dtype.values()]
    elif p == math.inf:
        parts = [abs(x).amax() for x in tensors if x.numel()]
    else:
        parts = [(abs(x) ** p).sum() for x in tensors]
    dtype = np.result_type(*(x.dtype for x in parts))
    total = parts[0].to(dtype)
    for x in parts[1:]:
        x = x.to(dtype)
        total = maximum(total, x) if p == math.inf else total + x
    norm = total if p == math.inf else total ** (1.0 / p)
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise RuntimeError(
            f"get_total_norm(norm_type={norm_type}): expected finite numbers, the norm is "
            f"{norm.item()}; error_if_nonfinite=False lets it pass"
        )
    return norm


@no_grad()
def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scale the gradients of all parameters so that their common norm is at most max_norm.

        g <- g * min(1, max_norm / (norm + 1e-6))

    Returns
    -------
    The norm before, a tensor.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    if not max_norm >= 0.0:
        raise ValueError(f"clip_grad_norm_(max_norm={max_norm}): expected a number of at least 0")
    held = _with_gradient(parameters)
    norm = get_total_norm([p.grad for p in held], norm_type, error_if_nonfinite)
    factor = (float(max_norm) / (norm + 1e-6)).clamp(max=1.0)
    for p in held:
        replace_gradient(p, p.grad * factor.to(p.grad.dtype))
    return norm


@no_grad()
def clip_grad_value_(parameters, clip_value):
    """Bring every entry of the gradients into [-clip_value, clip_value]."""
    if not clip_value >= 0.0:
        raise ValueError(f"clip_grad_value_(clip_value={clip_value}): expected at least 0")
    for p in _with_gradient(parameters):
        replace_gradient(p, p.grad.clamp(-float(clip_value), float(clip_value)))
