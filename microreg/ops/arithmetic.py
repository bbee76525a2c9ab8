"""Arithmetic with broadcasting. NumPy's ufuncs do the work: for small arrays nothing is cheaper."""

import numpy as np

from ._op import Op


def _sum_to_forward(x, *, shape):
    """Sum x over the axes along which `shape` was broadcast."""
    lead = x.ndim - len(shape)
    axes = [*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 != x.shape[lead + i])]
    return x.sum(axis=tuple(axes), keepdims=True).reshape(shape) if axes else x.reshape(shape)


def _expand_forward(x, *, shape):
    return np.broadcast_to(x, shape)


sum_to: Op = Op("sum_to", _sum_to_forward, (lambda g, node: expand(g, shape=node.inputs[0].shape),))
expand: Op = Op("expand", _expand_forward, (lambda g, node: sum_to(g, shape=node.inputs[0].shape),))


def unbroadcast(g, like):
    """The gradient of an input with the shape of `like` from that of the broadcast result."""
    return g if g.shape == like.shape else sum_to(g, shape=like.shape)


def _first(rule):
    return lambda g, node: unbroadcast(rule(g, *node.inputs), node.inputs[0])


def _second(rule):
    return lambda g, node: unbroadcast(rule(g, *node.inputs), node.inputs[1])


add = Op("add", np.add, (_first(lambda g, a, b: g), _second(lambda g, a, b: g)))
sub = Op("sub", np.subtract, (_first(lambda g, a, b: g), _second(lambda g, a, b: -g)))
mul = Op("mul", np.multiply, (_first(lambda g, a, b: g * b), _second(lambda g, a, b: g * a)))
div = Op(
    "div", np.divide, (_first(lambda g, a, b: g / b), _second(lambda g, a, b: -g * a / (b * b)))
)
neg = Op("neg", np.negative, (lambda g, node: -g,))


def _power_base(g, a, b):
    return g * b * power(a, b - 1)


def _power_exponent(g, a, b):
    # a**b * log(a), and 0 where a is 0: the one-sided limit for b > 0
    return g * power(a, b) * log(where(a, 1.0, condition=_data(a) > 0)) * (_data(a) != 0)


def _data(x):
    """The numbers of an array or tensor, for a condition that carries no gradient."""
    return x.data if hasattr(x, "record") else x


power: Op = Op("power", np.power, (_first(_power_base), _second(_power_exponent)))


def _where_forward(a, b, *, condition):
    return np.where(condition, a, b)


where: Op = Op(
    "where",
    _where_forward,
    (
        lambda g, node: unbroadcast(where(g, 0.0, **node.attrs), node.inputs[0]),
        lambda g, node: unbroadcast(where(0.0, g, **node.attrs), node.inputs[1]),
    ),
)


def _share(a, b, better):
    """The part of the gradient that goes to a: 1, 0, or a half at a tie. NaN takes what is NaN."""
    a, b = np.asarray(_data(a)), np.asarray(_data(b))
    kind = np.result_type(a, b)
    return (better(a, b) | np.isnan(a)) * kind.type(1) + (a == b) * kind.type(0.5)


maximum = Op(
    "maximum",
    np.maximum,
    (
        _first(lambda g, a, b: g * _share(a, b, np.greater)),
        _second(lambda g, a, b: g * _share(b, a, np.greater)),
    ),
)
minimum = Op(
    "minimum",
    np.minimum,
    (
        _first(lambda g, a, b: g * _share(a, b, np.less)),
        _second(lambda g, a, b: g * _share(b, a, np.less)),
    ),
)


def _clamp_forward(x, *, min, max):
    return np.clip(x, min, max)


def _clamp_vjp(g, node):
    x, low, high = _data(node.inputs[0]), node.attrs["min"], node.attrs["max"]
    inside = np.ones(x.shape, bool) if low is None else x >= low
    return g * (inside if high is None else inside & (x <= high))


clamp = Op("clamp", _clamp_forward, (_clamp_vjp,))
exp = Op("exp", np.exp, (lambda g, node: g * node.out,))
log = Op("log", np.log, (lambda g, node: g / node.inputs[0],))
sqrt = Op("sqrt", np.sqrt, (lambda g, node: g * 0.5 / node.out,))
abs = Op("abs", np.absolute, (lambda g, node: g * np.sign(_data(node.inputs[0])),))
