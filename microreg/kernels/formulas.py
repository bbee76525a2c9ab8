"""Scalar formulas of the elementary functions; `lift.py` makes array kernels of them.

At a kink a slope is that of the flat side, and NaN goes through everything: a comparison is written
so that the branch which NaN takes returns NaN.
"""

import math

from . import vecmath
from ._jit import scalar
from ._native import maximum as larger
from ._native import minimum as smaller
from ._native import rint

exp, expm1, log, log1p = vecmath.exp, vecmath.expm1, vecmath.log, vecmath.log1p
tanh, sigmoid, erf = vecmath.tanh, vecmath.sigmoid, vecmath.erf


@scalar
def add(a, b):
    return a + b


@scalar
def sub(a, b):
    return a - b


@scalar
def mul(a, b):
    return a * b


@scalar
def div(a, b):
    return a / b


@scalar
def power(a, b):
    return a**b


@scalar
def remainder(a, b):
    """a - b floor(a / b), with the sign of b."""
    return a % b


@scalar
def floor_divide(a, b):
    """floor(a / b)."""
    return a // b


@scalar
def bit_and(a, b):
    return a & b


@scalar
def bit_or(a, b):
    return a | b


@scalar
def bit_xor(a, b):
    return a ^ b


@scalar
def neg(v):
    return -v


@scalar
def absolute(v):
    return abs(v)


@scalar
def sqrt(v):
    return math.sqrt(v)


@scalar
def sign(v):
    """-1, 0 or 1; NaN stays NaN."""
    if v > type(v)(0):
        return type(v)(1)
    return type(v)(-1) if v < type(v)(0) else v * type(v)(0)


@scalar
def floor(v):
    """The largest integer that is not above v."""
    near = rint(v)
    return near - type(v)(1) if near > v else near


@scalar
def ceil(v):
    """The smallest integer that is not below v."""
    near = rint(v)
    return near + type(v)(1) if near < v else near


@scalar
def round_even(v):
    """The nearest integer, ties to even."""
    return rint(v)


@scalar
def reciprocal(v):
    return type(v)(1) / v


@scalar
def rsqrt(v):
    """1 / sqrt(v)."""
    return type(v)(1) / type(v)(math.sqrt(v))


@scalar
def log2(v):
    return log(v) * type(v)(1.4426950408889634)


@scalar
def log10(v):
    return log(v) * type(v)(0.4342944819032518)


@scalar
def sin(v):
    return type(v)(math.sin(v))


@scalar
def cos(v):
    return type(v)(math.cos(v))


@scalar
def tan(v):
    return type(v)(math.tan(v))


@scalar
def sinh(v):
    return type(v)(math.sinh(v))


@scalar
def cosh(v):
    return type(v)(math.cosh(v))


@scalar
def maximum(a, b):
    return larger(a, b)


@scalar
def minimum(a, b):
    return smaller(a, b)


@scalar
def share_above(a, b):
    """The part of the gradient of max(a, b) that goes to a: 1, 0, a half at a tie; NaN takes it."""
    if a > b or a != a:
        return type(a)(1)
    return type(a)(0.5) if a == b else type(a)(0)


@scalar
def share_below(a, b):
    """The part of the gradient of min(a, b) that goes to a."""
    if a < b or a != a:
        return type(a)(1)
    return type(a)(0.5) if a == b else type(a)(0)


@scalar
def at_least(a, b):
    """1 where a >= b, else 0."""
    return type(a)(1) if a >= b else type(a)(0)


@scalar
def at_most(a, b):
    """1 where a <= b, else 0."""
    return type(a)(1) if a <= b else type(a)(0)


@scalar
def same(a, b):
    """1 where a == b or both are NaN, else 0."""
    return type(a)(1) if a == b or (a != a and b != b) else type(a)(0)


@scalar
def choose(c, a, b):
    """a where c is not 0, b elsewhere."""
    return a if c != type(c)(0) else b


@scalar
def relu(v):
    """max(v, 0), written so that NaN stays NaN."""
    return type(v)(0) if v <= type(v)(0) else v


@scalar
def relu_slope(g, out):
    """g where out > 0."""
    return type(g)(0) if out <= type(g)(0) else g


@scalar
def tanh_slope(g, out):
    """g (1 - out^2)."""
    return g * (type(g)(1) - out * out)


@scalar
def sigmoid_slope(g, out):
    """g out (1 - out)."""
    return g * out * (type(g)(1) - out)


@scalar
def silu(v):
    """v sigmoid(v)."""
    return v * sigmoid(v)


@scalar
def silu_slope(g, x):
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    s = sigmoid(x)
    return g * s * (type(g)(1) + x * (type(g)(1) - s))


@scalar
def elu(v):
    """v above 0, e^v - 1 below."""
    return v if v > type(v)(0) else expm1(v)


@scalar
def elu_slope(g, out):
    """g above 0, g (out + 1) below: e^v is out + 1."""
    return g * (out + type(g)(1)) if out <= type(g)(0) else g


@scalar
def hardswish(v):
    """v min(max(v / 6 + 1/2, 0), 1)."""
    part = v * type(v)(1 / 6) + type(v)(0.5)
    return v * smaller(larger(part, type(v)(0)), type(v)(1))


@scalar
def hardswish_slope(g, x):
    """g (x / 3 + 1/2) between -3 and 3, 0 below, g above."""
    if x <= type(x)(-3):
        return type(g)(0)
    return g * (x * type(x)(1 / 3) + type(x)(0.5)) if x < type(x)(3) else g


@scalar
def gelu(v):
    """v Phi(v), Phi(v) = (1 + erf(v / sqrt 2)) / 2."""
    return v * vecmath.normal_cdf(v)


@scalar
def gelu_slope(g, x):
    """g (Phi(x) + x phi(x)), phi(x) = e^(-x^2/2) / sqrt(2 pi)."""
    return g * vecmath.gelu_slope(x)


@scalar
def softplus(v):
    """log(1 + e^v) = max(v, 0) + log(1 + e^-|v|)."""
    return larger(v, type(v)(0)) + log1p(exp(-abs(v)))


@scalar
def binary_cross_entropy(p, y):
    """-y log p - (1 - y) log(1 - p), no logarithm below -100."""
    least = type(p)(-100)
    one = type(p)(1)
    return (y - one) * larger(log1p(-p), least) - y * larger(log(p), least)


@scalar
def equal(a, b):
    return a == b


@scalar
def not_equal(a, b):
    return a != b


@scalar
def less(a, b):
    return a < b


@scalar
def less_equal(a, b):
    return a <= b


@scalar
def greater(a, b):
    return a > b


@scalar
def greater_equal(a, b):
    return a >= b
