"""The table of ops. One line says how an op is called and on what; every test of test_table.py
then applies to it: values, dtypes, gradients of first and second order, agreement with torch.

    line(name, call, domain, shapes, numpy)

`call(m, *tensors)` is given m = microreg or torch, with the functions of nn.functional beside the
others: names, argument order and defaults are the same in both. `domain` draws the inputs, away
from kinks and poles. `shapes` lists the shapes of the inputs. `numpy` is the same function of
float64 arrays; SAME if `call` is written with what arrays have too; None if torch, or the op's
reference, is to say what is right.
"""

import math
import operator
from typing import NamedTuple

import numpy as np

from .naive import (
    kept,
    labels,
    naive_batch_norm,
    naive_bce,
    naive_conv2d,
    naive_cross_entropy,
    naive_erf,
    naive_gelu,
    naive_gelu_tanh,
    naive_layer_norm,
    naive_log_softmax,
    naive_max_pool2d,
    naive_mse,
    naive_softmax,
)

# domains


def each(draw):
    """A domain whose inputs are drawn one by one."""
    return lambda rng, shapes: [np.asarray(draw(rng, shape)) for shape in shapes]


def mixed(*domains):
    """One domain for each input."""
    return lambda rng, shapes: [
        domain(rng, [shape])[0] for domain, shape in zip(domains, shapes, strict=True)
    ]


real = each(lambda rng, shape: rng.normal(size=shape))
ties = each(lambda rng, shape: rng.integers(-2, 3, shape).astype(float))
positive = each(lambda rng, shape: rng.uniform(0.3, 2.5, shape))
off_zero = each(lambda rng, shape: rng.uniform(0.3, 2.5, shape) * rng.choice([-1.0, 1.0], shape))
LOGIT = mixed(real, positive)


def apart(rng, shapes):
    """No two entries of all the inputs closer than 0.07, none near a multiple of it."""
    sizes = [math.prod(shape) for shape in shapes]
    entries = 0.07 * (rng.permutation(sum(sizes)) - sum(sizes) // 2) + 0.03
    parts = np.split(entries, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


# shapes


def one(*shapes):
    return [(shape,) for shape in shapes]


ANY = one((), (1,), (7,), (3, 5), (2, 1, 3), (0, 3))
SOLID = one((1,), (7,), (3, 5), (2, 1, 3))  # none 0-d, none empty
EMPTY = one((0, 3), (3, 0))
MATRIX = one((1, 1), (3, 5), (0, 3), (3, 0))
CUBE = one((2, 3, 4), (1, 5, 3))
LARGE = one((70, 65), (3, 41, 50), (2, 2, 2100))  # enough for reductions to use kernels
MANY = one((2,), (3, 5), *LARGE[0])
PAIRS = [
    *[(s, s) for s in [(), (1,), (3, 5), (0, 3)]],
    *[((), (2, 3)), ((3, 4), (4,)), ((2, 1, 5), (3, 1)), ((1, 1), (2, 3)), ((0, 3), (1, 3))],
]
WHERE = [((), ()), ((2, 3), (2, 3)), ((3,), (2, 1)), ((1, 1), (4, 1, 1))]
MATMUL = [
    *[((1, 1), (1, 1)), ((3, 4), (4, 2)), ((33, 17), (17, 20)), ((1, 70), (70, 1))],
    *[((0, 3), (3, 2)), ((2, 3), (3, 0)), ((4,), (4,)), ((4,), (4, 3)), ((3, 4), (4,))],
    *[((2, 3, 4), (2, 4, 5)), ((3, 1, 2, 4), (2, 4, 3)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (4,))],
    *[((4,), (3, 4, 2)), ((0, 2, 3), (0, 3, 2)), ((3, 4), (2, 4, 1))],
]
LINEAR = [((1, 1), (1, 1)), ((5, 4), (3, 4)), ((4,), (3, 4)), ((2, 3, 4), (5, 4)), ((0, 4), (2, 4))]
BIASED = [(x, w, w[:1]) for x, w in [*LINEAR, ((40, 37), (34, 37))]]
INDEXED = one((4, 5), (4, 5, 2))
ALIKE = [((2, 3),) * 2, ((),) * 2, ((0, 2),) * 2]
THREE = [*ALIKE, ((4,),) * 3]
IMAGES = one((1, 1, 4, 4), (2, 3, 7, 6), (0, 2, 5, 5))
CONV = [((1, 1, 6, 5), (1, 1, 3, 2)), ((2, 3, 7, 6), (4, 3, 2, 3)), ((0, 2, 6, 6), (3, 2, 3, 3))]
POINTS = [((1, 1, 4, 5), (2, 1, 1, 1)), ((2, 3, 4, 5), (4, 3, 1, 1))]  # windows of one pixel
ODD = [((1, 2, 8, 7), (3, 2, 3, 2)), ((2, 1, 5, 6), (2, 1, 2, 3))]  # strides leave pixels out
SMALL = [((1, 2, 4, 3), (3, 2, 2, 2)), ((2, 1, 3, 5), (2, 1, 1, 3))]  # padding beyond the window
HALVES = [((2, 4, 6, 5), (6, 2, 3, 2)), ((1, 2, 4, 4), (2, 1, 2, 2))]
DEPTHS = [((2, 3, 6, 5), (3, 1, 3, 2)), ((1, 3, 4, 5), (9, 1, 2, 2))]
LAST = [((2, 6, 5, 3), (4, 3, 2, 3)), ((1, 5, 4, 1), (2, 2, 2, 1))]  # channels last
CONV_BIASED = [(*shapes, shapes[1][:1]) for shapes in CONV]
ROWS = [((n, d), (d,), (d,)) for n, d in [(1, 3), (5, 7), (0, 4), (40, 130)]]
GRIDS = [(2, 1), (7, 3), (3, 2, 4), (1, 2, 5), (2, 3, 2, 3), (300, 40)]
GRIDS = [(shape, shape[1:2], shape[1:2]) for shape in GRIDS]
LOGITS = one((1, 1), (1, 4), (6, 3), (33, 12))

# arguments that get no gradient

HALF = np.array([[True, False, False], [False, True, True]])
SIGNS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le}
SIGNS |= {">": operator.gt, ">=": operator.ge}
KEYS = {
    "1": 1,
    "-2": -2,
    "1:3": slice(1, 3),
    "..., 0": (..., 0),
    "3, 1": (3, 1),
    "None, 1": (None, 1),
    ":, None, 1:": (slice(None), None, slice(1, None)),
    "[2, 0, 2]": [2, 0, 2],
    "[[0, 1], [1, 1]]": np.array([[0, 1], [1, 1]]),
    "[3, 3, -1], [0, 0, 1]": ([3, 3, -1], [0, 0, 1]),
    ":, [1, 1]": (slice(None), [1, 1]),
    "mask": np.array([True, False, True, True]),
    "empty": slice(2, 2),
}
GEOMETRY = {
    "": {},
    "stride 2": {"stride": 2},
    "stride 1,3 padding 2,1": {"stride": (1, 3), "padding": (2, 1)},
    "dilation 2": {"dilation": 2},
    "all": {"stride": (2, 1), "padding": 1, "dilation": (1, 2)},
}
SHAPED = {  # options of conv2d with the shapes they are for
    "stride 2, odd": (ODD, {"stride": 2}),
    "stride 3,2 padding 1": (ODD, {"stride": (3, 2), "padding": 1}),
    "padding 3": (SMALL, {"padding": 3}),
    "padding 4,3 stride 2": (SMALL, {"padding": (4, 3), "stride": 2}),
    "1x1": (POINTS, {}),
    "1x1 stride 2,3": (POINTS, {"stride": (2, 3)}),
    "1x1 padding 1": (POINTS, {"padding": 1}),
    "groups 2": (HALVES, {"groups": 2}),
    "groups 2, all": (HALVES, {"groups": 2, "stride": 2, "padding": 1, "dilation": (1, 2)}),
    "groups 3": (DEPTHS, {"groups": 3}),
    "groups 3, all": (DEPTHS, {"groups": 3, "stride": (1, 2), "padding": (2, 1)}),
}
POOLS = [(2,), ((3, 2), 1), (3, (2, 1), (1, 0)), (2, 1, 1, 2), ((1, 3), (3, 2))]


def numbers(m, x, *shape):
    """Positive numbers of x's dtype, the same at every call."""
    return m.tensor(np.random.default_rng(1).uniform(0.2, 1.8, shape)).to(x.dtype)


# lines


class Line(NamedTuple):
    name: str
    call: object
    domain: object
    shapes: list
    numpy: object
    torch: bool


def SAME(call):
    return lambda *arrays: call(None, *arrays)


def line(name, call, domain, shapes, numpy=None, torch=True):
    return Line(name, call, domain, shapes, SAME(call) if numpy is SAME else numpy, torch)


def frozen(p):
    """Dropout with the same mask at every call."""

    def call(m, x):
        m.manual_seed(5)
        return m.dropout(x, p)

    return call


def norm_rows(axes):
    return lambda m, x, *affine: m.layer_norm(x, x.shape[-axes:], *affine)


def norm_batch(m, x, *affine):
    return m.batch_norm(x, None, None, *affine, training=True)


def norm_running(m, x, *affine):
    running = numbers(m, x, x.shape[1]) - 0.8, numbers(m, x, x.shape[1])
    return m.batch_norm(x, *running, *affine, eps=0.01)


def channels_last(name, *args, **options):
    """A function of images whose inputs, (n, h, w, channels), are views in PyTorch's order."""

    def call(m, *inputs):
        return getattr(m, name)(*(x.permute(0, 3, 1, 2) for x in inputs), *args, **options)

    return call


def logits_loss(weight=None, **options):
    def call(m, x, target):
        given = {weight: numbers(m, x, *x.shape)} if weight else {}
        return m.binary_cross_entropy_with_logits(x, target, **given, **options)

    return call


def class_loss(weighted=False, **options):
    """Cross-entropy for a label in each row of x (n, k)."""

    def call(m, x):
        weight = numbers(m, x, x.shape[1]) if weighted else None
        return m.cross_entropy(x, m.tensor(labels(x)), weight, **options)

    return call


ARITHMETIC = [
    line("a + b", lambda m, a, b: a + b, real, PAIRS, SAME),
    line("a - b", lambda m, a, b: a - b, real, PAIRS, SAME),
    line("a * b", lambda m, a, b: a * b, real, PAIRS, SAME),
    line("a / b", lambda m, a, b: a / b, mixed(real, off_zero), PAIRS, SAME),
    line("a ** b", lambda m, a, b: a**b, mixed(positive, real), PAIRS, SAME),
    line("maximum", lambda m, a, b: m.maximum(a, b), apart, PAIRS, np.maximum),
    line("minimum", lambda m, a, b: m.minimum(a, b), apart, PAIRS, np.minimum),
    line("maximum 0.04", lambda m, x: m.maximum(x, 0.04), apart, ANY, torch=False),
    line("minimum -0.1", lambda m, x: m.minimum(-0.1, x), apart, ANY, torch=False),
    line("where", lambda m, a, b: m.where(m.tensor(HALF), a, b), real, WHERE),
    line("x + 1.5", lambda m, x: x + 1.5, real, ANY, SAME),
    line("1.5 - x", lambda m, x: 1.5 - x, real, ANY, SAME),
    line("x * 3", lambda m, x: x * 3, real, ANY, SAME),
    line("x / 0.7", lambda m, x: x / 0.7, real, ANY, SAME),
    line("2 / x", lambda m, x: 2 / x, off_zero, ANY, SAME),
    *[line(f"x ** {n}", lambda m, x, n=n: x**n, off_zero, ANY, SAME) for n in (-1, 1, 2, 3)],
    *[line(f"x ** {p}", lambda m, x, p=p: x**p, positive, ANY, SAME) for p in (-0.5, 0.5, 2.3)],
    line("1.7 ** x", lambda m, x: 1.7**x, real, ANY, SAME),
    line("neg", lambda m, x: -x, real, ANY, SAME),
    line("abs", lambda m, x: abs(x), off_zero, ANY, SAME),
    line("exp", lambda m, x: x.exp(), real, ANY, np.exp),
    line("log", lambda m, x: x.log(), positive, ANY, np.log),
    line("sqrt", lambda m, x: x.sqrt(), positive, ANY, np.sqrt),
    line("square", lambda m, x: x.square(), real, ANY, np.square),
    line("clamp min", lambda m, x: x.clamp(min=-0.1), apart, ANY, lambda x: np.maximum(x, -0.1)),
    line("clamp max", lambda m, x: x.clamp(max=0.14), apart, ANY, lambda x: np.minimum(x, 0.14)),
    line("clamp", lambda m, x: x.clamp(-0.1, 0.14), apart, ANY, lambda x: np.clip(x, -0.1, 0.14)),
    line("clone", lambda m, x: x.clone(), real, ANY, np.copy),
]
COMPARISONS = [  # which have no gradient
    *[line(f"a {n} b", lambda m, a, b, f=f: f(a, b), ties, PAIRS, SAME) for n, f in SIGNS.items()],
    *[line(f"x {n} 1", lambda m, x, f=f: f(x, 1), ties, ANY, SAME) for n, f in SIGNS.items()],
    *[line(f"-0.5 {n} x", lambda m, x, f=f: f(-0.5, x), ties, ANY, SAME) for n, f in SIGNS.items()],
]
ACTIVATIONS = [
    line("relu", lambda m, x: m.relu(x), off_zero, ANY, lambda x: np.maximum(x, 0)),
    line("tanh", lambda m, x: m.tanh(x), real, ANY, np.tanh),
    line("sigmoid", lambda m, x: m.sigmoid(x), real, ANY, lambda x: 1 / (1 + np.exp(-x))),
    line("softplus", lambda m, x: m.softplus(x), real, ANY, lambda x: np.log1p(np.exp(x))),
    line("erf", lambda m, x: x.erf(), real, ANY, naive_erf),
    line("gelu", lambda m, x: m.gelu(x), real, ANY, naive_gelu),
    line("gelu tanh", lambda m, x: m.gelu(x, approximate="tanh"), real, ANY, naive_gelu_tanh),
    *[line(f"dropout {p}", frozen(p), real, ANY, torch=False) for p in (0.0, 0.3, 0.8, 1.0)],
]
REDUCTIONS = [
    line("sum", lambda m, x: x.sum(), real, ANY + LARGE, np.sum),
    line("sum 0", lambda m, x: x.sum(0), real, SOLID + EMPTY + LARGE, lambda x: x.sum(0)),
    line("sum -1", lambda m, x: x.sum(-1), real, SOLID + EMPTY + LARGE, lambda x: x.sum(-1)),
    line("sum 1", lambda m, x: x.sum(1), real, CUBE + LARGE, lambda x: x.sum(1)),
    line("sum 0,2", lambda m, x: x.sum((2, 0)), real, CUBE + LARGE[1:], lambda x: x.sum((0, 2))),
    line("sum kept", lambda m, x: x.sum((1, -1), True), real, CUBE + LARGE[1:], kept(np.sum)),
    line("mean", lambda m, x: x.mean(), real, ANY[:-1] + LARGE, np.mean),
    line("mean 0", lambda m, x: x.mean(0), real, SOLID + LARGE, lambda x: x.mean(0)),
    line("mean kept", lambda m, x: x.mean((1, -1), True), real, CUBE + LARGE[1:], kept(np.mean)),
    line("var", lambda m, x: x.var(), real, MANY, lambda x: x.var(ddof=1)),
    line("var biased", lambda m, x: x.var(0, correction=0), real, SOLID, lambda x: x.var(0)),
    line("var kept", lambda m, x: x.var((1, 2), keepdim=True), real, CUBE, kept(np.var, ddof=1)),
    line("var 1, 2", lambda m, x: x.var(1, correction=2), real, CUBE, lambda x: x.var(1, ddof=2)),
    line("std", lambda m, x: x.std(-1), real, MANY, lambda x: x.std(-1, ddof=1)),
    line("amax", lambda m, x: x.amax(), apart, ANY[:-1], np.max),
    line("amax 0", lambda m, x: x.amax(0), apart, SOLID, lambda x: x.max(0)),
    line("amax kept", lambda m, x: x.amax((1, -1), True), apart, CUBE, kept(np.max)),
    line("amin", lambda m, x: x.amin(), apart, ANY[:-1], np.min),
    line("amin -1", lambda m, x: x.amin(-1), apart, SOLID, lambda x: x.min(-1)),
    line("amin kept", lambda m, x: x.amin((1, -1), True), apart, CUBE, kept(np.min)),
    line("softmax 0", lambda m, x: m.softmax(x, 0), real, SOLID + EMPTY, naive_softmax(0)),
    line("softmax 1", lambda m, x: m.softmax(x, 1), real, CUBE, naive_softmax(1)),
    line("softmax -1", lambda m, x: x.softmax(-1), real, SOLID + EMPTY, naive_softmax(-1)),
    line("log_softmax 0", lambda m, x: x.log_softmax(0), real, SOLID, naive_log_softmax(0)),
    line("log_softmax 1", lambda m, x: m.log_softmax(x, 1), real, CUBE, naive_log_softmax(1)),
    line("log_softmax -1", lambda m, x: x.log_softmax(-1), real, SOLID, naive_log_softmax(-1)),
]
PRODUCTS = [
    line("a @ b", lambda m, a, b: a @ b, real, MATMUL, SAME),
    line("a @ b.T", lambda m, a, b: a @ b.T, real, [((3, 4), (2, 4)), ((9, 17), (20, 17))], SAME),
    line("a.T @ b", lambda m, a, b: a.T @ b, real, [((4, 3), (4, 2)), ((17, 9), (17, 20))], SAME),
    line("linear", lambda m, x, w: m.linear(x, w), real, LINEAR, lambda x, w: x @ w.T),
    line("linear + b", lambda m, *xs: m.linear(*xs), real, BIASED, lambda x, w, b: x @ w.T + b),
    *[
        line(f"conv2d {n}", lambda m, *xs, k=k: m.conv2d(*xs, **k), real, CONV, naive_conv2d(k))
        for n, k in GEOMETRY.items()
    ],
    line("conv2d + b", lambda m, *xs: m.conv2d(*xs), real, CONV_BIASED, naive_conv2d({})),
    *[
        line(f"conv2d {n}", lambda m, *xs, k=k: m.conv2d(*xs, **k), real, shapes, naive_conv2d(k))
        for n, (shapes, k) in SHAPED.items()
    ],
    line("conv2d, channels last", channels_last("conv2d", padding=1), real, LAST),
    line("max_pool2d, channels last", channels_last("max_pool2d", 2), apart, one((2, 5, 4, 3))),
    *[
        line(
            f"max_pool2d {p}",
            lambda m, x, p=p: m.max_pool2d(x, *p),
            apart,
            IMAGES,
            naive_max_pool2d(*p),
        )
        for p in POOLS
    ],
]
SHAPES = [
    line("reshape", lambda m, x: x.reshape(-1, 2), real, one((6,), (2, 3, 4), (0, 2)), SAME),
    line("view", lambda m, x: x.view(1, -1), real, ANY[:-1], lambda x: x.reshape(1, -1)),
    line("flatten", lambda m, x: x.flatten(), real, SOLID + EMPTY, SAME),
    line("flatten 1, 2", lambda m, x: x.flatten(1, 2), real, CUBE, lambda x: x.reshape(len(x), -1)),
    line("permute", lambda m, x: x.permute(2, 0, 1), real, CUBE, lambda x: x.transpose(2, 0, 1)),
    line("transpose", lambda m, x: x.transpose(0, -1), real, CUBE, lambda x: x.swapaxes(0, -1)),
    line("T", lambda m, x: x.T, real, MATRIX, SAME),
    line("t", lambda m, x: x.t(), real, SOLID[:3] + EMPTY, np.transpose),
    line("squeeze", lambda m, x: x.squeeze(), real, ANY, SAME),
    line("squeeze 1", lambda m, x: x.squeeze(1), real, CUBE + one((2, 1), (4, 1, 1))),
    line("unsqueeze 0", lambda m, x: x.unsqueeze(0), real, ANY, lambda x: x[None]),
    line("unsqueeze -1", lambda m, x: x.unsqueeze(-1), real, ANY, lambda x: x[..., None]),
    line("expand", lambda m, x: x.expand(2, 3, -1), real, one((1, 5), (3, 1), (1, 1, 4))),
    *[line(f"x[{n}]", lambda m, x, k=k: x[k], real, INDEXED, SAME) for n, k in KEYS.items()],
    line("x[::-2]", lambda m, x: x[::-2], real, INDEXED, SAME, torch=False),
    line("cat", lambda m, *xs: m.cat(xs), real, [((2, 3), (1, 3)), ((2,), (0,), (1,))]),
    line("cat 1", lambda m, *xs: m.cat(xs, 1), real, [((2, 3, 2), (2, 1, 2))]),
    line("cat -1", lambda m, *xs: m.cat(xs, dim=-1), real, [((2, 3), (2, 2), (2, 0))]),
    line("cat x, x", lambda m, x: m.cat([x, x * 2, x]), real, SOLID, lambda x: np.r_[x, x * 2, x]),
    line("stack", lambda m, *xs: m.stack(xs), real, THREE, lambda *xs: np.stack(xs)),
    line("stack -1", lambda m, *xs: m.stack(xs, -1), real, THREE, lambda *xs: np.stack(xs, -1)),
]
LAYERS = [
    line("layer_norm", norm_rows(1), real, ROWS, naive_layer_norm(1)),
    line(
        "layer_norm bare", norm_rows(1), real, one((3, 5), (2, 3, 4), (0, 3)), naive_layer_norm(1)
    ),
    line("layer_norm 2", norm_rows(2), real, [((2, 3, 4), (3, 4), (3, 4))], naive_layer_norm(2)),
    line("layer_norm x, x", lambda m, x: m.layer_norm(x, x.shape, x, x), real, one((5,), (2, 3))),
    line(
        "layer_norm x, f(x)", lambda m, x: m.layer_norm(x * x, x.shape, x, x.exp()), real, SOLID[1:]
    ),
    line("batch_norm", norm_batch, real, GRIDS, naive_batch_norm),
    line(
        "batch_norm, channels last",
        channels_last("batch_norm", None, None, training=True),
        real,
        one((2, 3, 4, 3), (3, 1, 2, 5)),
    ),
    line("batch_norm bare", norm_batch, real, one((7, 3), (3, 2, 4)), naive_batch_norm),
    line("batch_norm eval", norm_running, real, GRIDS),
    line("batch_norm eval bare", norm_running, real, one((7, 3), (3, 2, 4))),
]
LOSSES = [
    line("mse", lambda m, a, b: m.mse_loss(a, b), real, ALIKE[:-1], naive_mse),
    line("mse sum", lambda m, a, b: m.mse_loss(a, b, reduction="sum"), real, ALIKE),
    line("mse none", lambda m, a, b: m.mse_loss(a, b, reduction="none"), real, ALIKE),
    line("bce with logits", logits_loss(), LOGIT, ALIKE[:-1], naive_bce),
    line("bce weight", logits_loss("weight", reduction="sum"), LOGIT, ALIKE[:-1]),
    line("bce pos_weight", logits_loss("pos_weight", reduction="none"), LOGIT, ALIKE[:-1]),
    line("cross_entropy", class_loss(), real, LOGITS, lambda x: naive_cross_entropy(x).mean()),
    line("cross_entropy none", class_loss(reduction="none"), real, LOGITS, naive_cross_entropy),
    line("cross_entropy smooth", class_loss(label_smoothing=0.3), real, LOGITS),
    line("cross_entropy ignore", class_loss(ignore_index=0, reduction="sum"), real, LOGITS),
    line("cross_entropy ignore, mean", class_loss(ignore_index=0), real, LOGITS[2:]),
    line("cross_entropy weight", class_loss(True, label_smoothing=0.1), real, LOGITS),
    line("cross_entropy weight, none", class_loss(True, reduction="none"), real, LOGITS),
    *[
        line(
            f"cross_entropy {how}, weight, smooth, ignore",
            class_loss(True, label_smoothing=0.37, ignore_index=1, reduction=how),
            real,
            LOGITS[2:],
        )
        for how in ("mean", "sum", "none")
    ],
]
TABLE = [*ARITHMETIC, *ACTIVATIONS, *REDUCTIONS, *PRODUCTS, *SHAPES, *LAYERS, *LOSSES]
