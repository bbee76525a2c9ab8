"""Arithmetic with broadcasting. NumPy's ufuncs do the work: for small arrays nothing is cheaper."""

import numpy as np

from ..kernels import formulas
from ..runtime.remote import dense
from ..runtime.strided import expand as expand_copy
from ..runtime.strided import filled
from . import _elementwise as kernels
from ._elementwise import binary, unary
from ._op import Op


def _sum_to_forward(x, *, shape):
    """Sum x over the axes along which `shape` was broadcast."""
    axes = _broadcast_axes(x, shape)
    return x.sum(axis=axes, keepdims=True).reshape(shape) if axes else x.reshape(shape)


def _broadcast_axes(x, shape):
    lead = x.ndim - len(shape)
    inner = (lead + i for i, n in enumerate(shape) if n == 1 != x.shape[lead + i])
    return (*range(lead), *inner)


def _sum_to_lower(x, *, shape):
    from .reduction import sum_over  # which is made of these ops

    axes = _broadcast_axes(x, shape)
    return (sum_over(x, axes) if axes else dense(x)).reshape(shape)


def _expand_forward(x, *, shape):
    return np.broadcast_to(x, shape)


def _expand_lower(x, *, shape):
    kernels.broadcast_shape(x.shape, shape)
    return expand_copy(x, shape)


sum_to: Op = Op(
    "sum_to",
    _sum_to_forward,
    (lambda g, node: expand(g, shape=node.inputs[0].shape),),
    lower=_sum_to_lower,
)
expand: Op = Op(
    "expand",
    _expand_forward,
    (lambda g, node: sum_to(g, shape=node.inputs[0].shape),),
    lower=_expand_lower,
)


def unbroadcast(g, like):
    """The gradient of an input with the shape of `like` from that of the broadcast result."""
    return g if g.shape == like.shape else sum_to(g, shape=like.shape)


def _first(rule):
    def vjp(g, node):
        a, b = node.inputs
        return unbroadcast(rule(g, a, b), a)

    return vjp


def _second(rule):
    def vjp(g, node):
        a, b = node.inputs
        return unbroadcast(rule(g, a, b), b)

    return vjp


def pairwise(name, function, formula, first=None, second=None, result=None):
    """An op on two arrays: NumPy's function, the same as a formula, and the two slopes."""
    vjp = None if first is None else (_first(first), _second(second))
    return Op(name, function, vjp, lower=binary(formula, result))


def single(name, function, formula, vjp, whole=False):
    """An op on one array; with `whole` it leaves integers integers."""
    return Op(name, function, (vjp,), lower=unary(formula, whole))


zeros_like = Op(
    "zeros_like",
    lambda x: np.zeros(x.shape, x.dtype),
    lower=lambda x: filled(x.shape, x.dtype, 0.0, x),
)


def flat(name, function, formula):
    """An op on one array whose slope is 0 wherever it has one."""
    return single(name, function, formula, lambda g, node: zeros_like(g), whole=True)


add = pairwise("add", np.add, formulas.add, lambda g, a, b: g, lambda g, a, b: g)
sub = pairwise("sub", np.subtract, formulas.sub, lambda g, a, b: g, lambda g, a, b: -g)
mul = pairwise("mul", np.multiply, formulas.mul, lambda g, a, b: g * b, lambda g, a, b: g * a)
div = pairwise(
    "div", np.divide, formulas.div, lambda g, a, b: g / b, lambda g, a, b: -g * a / (b * b)
)
neg = single("neg", np.negative, formulas.neg, lambda g, node: -g, whole=True)
exp = single("exp", np.exp, formulas.exp, lambda g, node: g * node.out)
log = single("log", np.log, formulas.log, lambda g, node: g / node.inputs[0])
sqrt = single("sqrt", np.sqrt, formulas.sqrt, lambda g, node: g * 0.5 / node.out)
sign = flat("sign", np.sign, formulas.sign)
abs = single(
    "abs", np.absolute, formulas.absolute, lambda g, node: g * sign(node.inputs[0]), whole=True
)

# what stands beside g in a slope: functions without a slope of their own


def _share(better):
    """The part of the gradient that goes to a: 1, 0, or a half at a tie. NaN takes what is NaN."""

    def share(a, b):
        kind = np.result_type(a, b)  # a number does not widen it
        return (better(a, b) | np.isnan(a)) * kind.type(1) + (a == b) * kind.type(0.5)

    return share


def _indicator(test):
    """1 where a test of a and b holds, else 0."""
    return lambda a, b: test(a, b).astype(np.result_type(a, b))


def _same(a, b):
    return (a == b) | (np.isnan(a) & np.isnan(b))


share_above = pairwise("share_above", _share(np.greater), formulas.share_above)
share_below = pairwise("share_below", _share(np.less), formulas.share_below)
at_least = pairwise("at_least", _indicator(np.greater_equal), formulas.at_least)
at_most = pairwise("at_most", _indicator(np.less_equal), formulas.at_most)
same = pairwise("same", _indicator(_same), formulas.same)


def _where_lower(condition, a, b):
    like = next(x for x in (condition, a, b) if isinstance(x, np.ndarray))
    given = [x.dtype for x in (a, b) if isinstance(x, np.ndarray)]
    dtype = np.result_type(*given) if given else np.dtype(np.float32)
    shape = kernels.broadcast_shape(*(getattr(x, "shape", ()) for x in (condition, a, b)))
    return kernels.choose(condition, a, b, shape, dtype, like)


where: Op = Op(
    "where",
    np.where,
    (
        None,
        lambda g, node: unbroadcast(where(node.inputs[0], g, 0.0), node.inputs[1]),
        lambda g, node: unbroadcast(where(node.inputs[0], 0.0, g), node.inputs[2]),
    ),
    lower=_where_lower,
)


def _power_base(g, a, b):
    return g * b * power(a, b - 1)


def _power_exponent(g, a, b):
    # a^b log a, and 0 where a is 0: the one-sided limit for b > 0
    return g * power(a, b) * log(where(greater(a, 0.0), a, 1.0))


power: Op = pairwise("power", np.power, formulas.power, _power_base, _power_exponent)
maximum = pairwise(
    "maximum",
    np.maximum,
    formulas.maximum,
    lambda g, a, b: g * share_above(a, b),
    lambda g, a, b: g * share_above(b, a),
)
minimum = pairwise(
    "minimum",
    np.minimum,
    formulas.minimum,
    lambda g, a, b: g * share_below(a, b),
    lambda g, a, b: g * share_below(b, a),
)
equal = pairwise("equal", np.equal, formulas.equal, result="bool")
not_equal = pairwise("not_equal", np.not_equal, formulas.not_equal, result="bool")
less = pairwise("less", np.less, formulas.less, result="bool")
less_equal = pairwise("less_equal", np.less_equal, formulas.less_equal, result="bool")
greater = pairwise("greater", np.greater, formulas.greater, result="bool")
greater_equal = pairwise("greater_equal", np.greater_equal, formulas.greater_equal, result="bool")


def _clamp_forward(x, *, min, max):
    return np.clip(x, min, max)


def _clamp_lower(x, *, min, max):
    x = x if min is None else binary(formulas.maximum)(x, min)
    return x if max is None else binary(formulas.minimum)(x, max)


def _clamp_vjp(g, node):
    x, low, high = node.inputs[0], node.attrs["min"], node.attrs["max"]
    g = g if low is None else g * at_least(x, low)
    return g if high is None else g * at_most(x, high)


clamp = Op("clamp", _clamp_forward, (_clamp_vjp,), lower=_clamp_lower)
