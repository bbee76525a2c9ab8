"""More functions of one number or two: logarithms, circular and hyperbolic ones, rounding, bits."""

import math

import numpy as np

from ..kernels import formulas
from ._op import Op
from .arithmetic import flat, pairwise, single, zeros_like

log1p = single("log1p", np.log1p, formulas.log1p, lambda g, node: g / (node.inputs[0] + 1.0))
expm1 = single("expm1", np.expm1, formulas.expm1, lambda g, node: g * (node.out + 1.0))
log2 = single("log2", np.log2, formulas.log2, lambda g, node: g / (node.inputs[0] * math.log(2.0)))
log10 = single(
    "log10", np.log10, formulas.log10, lambda g, node: g / (node.inputs[0] * math.log(10.0))
)
reciprocal = single(
    "reciprocal",
    np.reciprocal,
    formulas.reciprocal,
    lambda g, node: -g * node.out * node.out,
)
rsqrt = single(
    "rsqrt",
    lambda x: 1.0 / np.sqrt(x),
    formulas.rsqrt,
    lambda g, node: g * -0.5 * node.out * node.out * node.out,
)
sin: Op = single("sin", np.sin, formulas.sin, lambda g, node: g * cos(node.inputs[0]))
cos: Op = single("cos", np.cos, formulas.cos, lambda g, node: -g * sin(node.inputs[0]))
tan = single("tan", np.tan, formulas.tan, lambda g, node: g * (node.out * node.out + 1.0))
sinh: Op = single("sinh", np.sinh, formulas.sinh, lambda g, node: g * cosh(node.inputs[0]))
cosh: Op = single("cosh", np.cosh, formulas.cosh, lambda g, node: g * sinh(node.inputs[0]))

floor = flat("floor", np.floor, formulas.floor)
ceil = flat("ceil", np.ceil, formulas.ceil)
round = flat("round", np.rint, formulas.round_even)


def _whole(name, function):
    """NumPy's function, which of integers divided by 0 says 0."""

    def forward(a, b):
        out = function(a, b)
        if out.dtype.kind == "i" and not np.all(b):
            raise ZeroDivisionError(f"{name}: expected no divisor of 0 for integers")
        return out

    return forward


floor_divide: Op = pairwise(
    "floor_divide",
    _whole("floor_divide", np.floor_divide),
    formulas.floor_divide,
    lambda g, a, b: zeros_like(g),
    lambda g, a, b: zeros_like(g),
)
remainder = pairwise(
    "remainder",
    _whole("remainder", np.remainder),
    formulas.remainder,
    lambda g, a, b: g,
    lambda g, a, b: -g * floor_divide(a, b),
)
bit_and = pairwise("bit_and", np.bitwise_and, formulas.bit_and)
bit_or = pairwise("bit_or", np.bitwise_or, formulas.bit_or)
bit_xor = pairwise("bit_xor", np.bitwise_xor, formulas.bit_xor)
