"""Elementwise functions with kernels of their own, forward and backward."""

import numpy as np

from ..kernels import formulas
from ._elementwise import unary, zipped
from ._op import Op
from .arithmetic import at_least, at_most, clamp, exp, greater
from .elementary import expm1


def _fused(name, formula, slope, reference, saved="out"):
    """An op and the op of its gradient, dx = slope(g, out) or slope(g, x)."""
    gradient = Op(f"{name}_backward", zipped(slope))

    def vjp(g, node):
        return gradient(g, node.out if saved == "out" else node.inputs[0])

    return Op(name, unary(formula), (vjp,), reference)


def _gelu_reference(x):
    return 0.5 * x * (1.0 + erf(x * 0.5**0.5))


def _below(x):
    return clamp(x, min=None, max=0.0)


relu = _fused("relu", formulas.relu, formulas.relu_slope, lambda x: x * greater(x, 0.0))
tanh = _fused(
    "tanh", formulas.tanh, formulas.tanh_slope, lambda x: 2.0 / (1.0 + exp(-2.0 * x)) - 1.0
)
sigmoid = _fused(
    "sigmoid", formulas.sigmoid, formulas.sigmoid_slope, lambda x: 1.0 / (1.0 + exp(-x))
)
silu = _fused("silu", formulas.silu, formulas.silu_slope, lambda x: x * sigmoid(x), saved="x")
elu = _fused("elu", formulas.elu, formulas.elu_slope, lambda x: relu(x) + expm1(_below(x)))
gelu = _fused("gelu", formulas.gelu, formulas.gelu_slope, _gelu_reference, saved="x")
erf = Op(
    "erf",
    unary(formulas.erf),
    (lambda g, node: g * 1.1283791670955126 * exp(-node.inputs[0] * node.inputs[0]),),
)


def _softplus(x):
    return np.logaddexp(x, x.dtype.type(0))


softplus = Op(
    "softplus",
    _softplus,
    (lambda g, node: g * sigmoid(node.inputs[0]),),
    lower=unary(formulas.softplus),
)


def _hardtanh_vjp(g, node):
    x, low, high = node.inputs[0], node.attrs["min"], node.attrs["max"]
    return g * (1.0 - at_most(x, low)) * (1.0 - at_least(x, high))


# clamp with a slope of 0 at the bounds
hardtanh = Op("hardtanh", clamp.forward, (_hardtanh_vjp,), lower=clamp.lower)
hardswish = _fused(
    "hardswish",
    formulas.hardswish,
    formulas.hardswish_slope,
    lambda x: x * hardtanh(x * (1 / 6) + 0.5, min=0.0, max=1.0),
    saved="x",
)
