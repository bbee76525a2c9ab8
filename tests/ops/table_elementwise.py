"""Lines of the table of ops: functions of one entry or two, activations, losses."""

import math

import numpy as np

from .naive import labels, naive_log_softmax
from .table import (
    ALIKE,
    ANY,
    CUBE,
    LOGITS,
    PAIRS,
    SAME,
    SOLID,
    apart,
    each,
    line,
    mixed,
    numbers,
    off_zero,
    one,
    positive,
    real,
)

probability = each(lambda rng, shape: rng.uniform(0.03, 0.97, shape))
above_minus_one = each(lambda rng, shape: rng.uniform(-0.8, 2.0, shape))
wide = each(lambda rng, shape: rng.normal(size=shape) * 3 + 0.003)
tenths = each(lambda rng, shape: rng.integers(-9, 10, shape) / 10 + rng.uniform(-0.04, 0.04, shape))
MASK = np.array([[True, False, False], [False, True, True]])


def named(name, domain, numpy, shapes=ANY):
    """A function that is called by its name alone."""
    return line(name, lambda m, x: getattr(m, name)(x), domain, shapes, numpy)


def given(name, *args, domain=real, numpy=None, shapes=ANY, **options):
    """A function with further arguments, which the line's name lists."""
    listed = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in options.items())])
    return line(
        f"{name} {listed}",
        lambda m, x: getattr(m, name)(x, *args, **options),
        domain,
        shapes,
        numpy,
    )


ELEMENTARY = [
    named("expm1", real, np.expm1),
    named("log1p", above_minus_one, np.log1p),
    named("log2", positive, np.log2),
    named("log10", positive, np.log10),
    named("rsqrt", positive, lambda x: x**-0.5),
    named("reciprocal", off_zero, lambda x: 1 / x),
    named("sin", real, np.sin),
    named("cos", real, np.cos),
    named("tan", each(lambda rng, shape: rng.uniform(-1.2, 1.2, shape)), np.tan),
    named("sinh", real, np.sinh),
    named("cosh", real, np.cosh),
    named("sign", off_zero, np.sign),
    named("floor", apart, np.floor),
    named("ceil", apart, np.ceil),
    named("round", apart, np.round),
    given("round", decimals=1, domain=tenths, numpy=lambda x: np.round(x, 1)),
    # torch has no gradient of these; nor, in float64, exact ones of some activations below
    line("x // y", lambda m, a, b: a // b, mixed(wide, off_zero), PAIRS, SAME, torch=False),
    line("x % y", lambda m, a, b: a % b, mixed(wide, off_zero), PAIRS, SAME),
    line("x // 0.7", lambda m, x: x // 0.7, wide, ANY, SAME, torch=False),
    line("x % 0.7", lambda m, x: x % 0.7, wide, ANY, SAME),
    line("5 // x", lambda m, x: 5 // x, off_zero, ANY, SAME, torch=False),
    line("5 % x", lambda m, x: 5 % x, off_zero, ANY, SAME, torch=False),
    line(
        "div trunc",
        lambda m, a, b: m.div(a, b, rounding_mode="trunc"),
        mixed(wide, off_zero),
        PAIRS,
        lambda a, b: np.trunc(a / b),
    ),
    line(
        "add alpha", lambda m, a, b: m.add(a, b, alpha=0.3), real, PAIRS, lambda a, b: a + 0.3 * b
    ),
    line("sub alpha", lambda m, a, b: a.sub(b, alpha=3), real, PAIRS, lambda a, b: a - 3 * b),
    line("pow 1.3, x", lambda m, x: m.pow(1.3, x), real, ANY, lambda x: 1.3**x),
    line("+x", lambda m, x: +x, real, ANY, SAME),
    line(
        "clamp to tensors",
        lambda m, x, low, width: m.clamp(x, low, low + abs(width)),
        apart,
        [((3, 4),) * 3, ((2, 3), (3,), (2, 1)), ((),) * 3],
        lambda x, low, width: np.clip(x, low, low + abs(width)),
    ),
    line(
        "clamp min tensor",
        lambda m, a, b: a.clamp(min=b),
        apart,
        PAIRS,
        lambda a, b: np.maximum(a, b),
    ),
    line("where x, 1.5", lambda m, x: m.where(m.tensor(MASK), x, 1.5), real, one((2, 3), (3,))),
    line("where 2, x", lambda m, x: m.where(m.tensor(MASK), 2, x), real, one((2, 3), ())),
    line(
        "masked_fill", lambda m, x: x.masked_fill(m.tensor(MASK), 0.7), real, one((2, 3), (4, 2, 3))
    ),
    line(
        "masked_fill x",
        lambda m, x, v: m.masked_fill(x, m.tensor(MASK), v),
        real,
        [((2, 3), ()), ((2, 1), ())],
    ),
    line("maximum broadcast", lambda m, a, b: a.maximum(b), apart, PAIRS[4:], np.maximum),
]


def naive_celu(alpha):
    return lambda x: np.where(x > 0, x, alpha * np.expm1(x / alpha))


ACTIVATIONS = [
    given("relu6", domain=apart, numpy=lambda x: np.clip(x, 0, 6)),
    line("relu6 far", lambda m, x: m.relu6(x * 9), apart, SOLID, lambda x: np.clip(9 * x, 0, 6)),
    given("hardtanh", domain=apart, numpy=lambda x: np.clip(x, -1, 1), shapes=SOLID),
    given("hardtanh", -0.1, 0.14, domain=apart, numpy=lambda x: np.clip(x, -0.1, 0.14)),
    given("leaky_relu", domain=off_zero, numpy=lambda x: np.where(x > 0, x, 0.01 * x)),
    given("leaky_relu", 0.3, domain=off_zero, numpy=lambda x: np.where(x > 0, x, 0.3 * x)),
    given("elu", domain=off_zero, numpy=lambda x: np.where(x > 0, x, np.expm1(x))),
    given("elu", 0.7, domain=off_zero, numpy=lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    given("selu", domain=off_zero),
    given("celu", domain=off_zero, numpy=lambda x: np.where(x > 0, x, np.expm1(x))),
    given(
        "celu", 1.7, domain=off_zero, numpy=lambda x: np.where(x > 0, x, 1.7 * np.expm1(x / 1.7))
    ),
    given("silu", numpy=lambda x: x / (1 + np.exp(-x))),
    given("mish", numpy=lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    given("softsign", domain=off_zero, numpy=lambda x: x / (1 + abs(x))),
    given("hardsigmoid", domain=wide, numpy=lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    given("hardswish", domain=wide, numpy=lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    given("logsigmoid", numpy=lambda x: -np.log1p(np.exp(-x))),
    given("softplus", 2.3, numpy=lambda x: np.log1p(np.exp(2.3 * x)) / 2.3),
    given(
        "softplus",
        0.7,
        0.4,
        numpy=lambda x: np.where(0.7 * x > 0.4, x, np.log1p(np.exp(0.7 * x)) / 0.7),
    ),
    given("softmin", 0, shapes=SOLID),
    given("softmin", -1, shapes=SOLID),
    given("normalize", shapes=CUBE),
    given("normalize", 3.0, 0, domain=off_zero, shapes=SOLID[1:]),
    given("normalize", 1, -1, 4.0, domain=off_zero, shapes=CUBE),
]


def loss(name, domain, numpy=None, shapes=ALIKE[:-1], **options):
    listed = " ".join(f"{k}={v}" for k, v in options.items())
    return line(
        f"{name} {listed}".strip(),
        lambda m, x, y: getattr(m, name)(x, y, **options),
        domain,
        shapes,
        numpy,
    )


def huber(delta):
    def naive(x, y):
        d = abs(x - y)
        return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))

    return naive


def each_label(call, shape):
    """A function of x (n, k, ...) and of labels for it."""

    def function(m, x):
        target = np.arange(math.prod(shape(x))).reshape(shape(x)) * 7 % x.shape[1]
        return call(m, x, m.tensor(target))

    return function


def pixels(x):
    return (x.shape[0], *x.shape[2:])


def signs(x):
    """-1 or 1 for each entry, in x's dtype."""
    pattern = np.where(np.arange(x.shape[0] * x.shape[1]) % 3 == 1, -1.0, 1.0).reshape(x.shape)
    return pattern.astype(str(x.dtype).removeprefix("torch."))


def some_ignored(m, target):
    return m.where(target == 1, -100, target)


def class_weights(m, x):
    return numbers(m, x, x.shape[1])


BCE_WIDE = mixed(probability, each(lambda rng, shape: rng.uniform(0, 1, shape)))
NEAR = each(lambda rng, shape: rng.normal(size=shape) * 2)
PIXELS = one((2, 3, 4), (2, 4, 3, 2), (1, 5, 2))
DISTRIBUTIONS = [(s, s) for s in [(4,), (3, 4), (2, 3, 4), (2, 3, 2, 2)]]
HOW = ("mean", "sum", "none")
LOSSES = [
    loss("l1_loss", apart, lambda x, y: abs(x - y).mean()),
    loss("l1_loss", apart, lambda x, y: abs(x - y), reduction="none"),
    loss("huber_loss", NEAR, lambda x, y: huber(1)(x, y).mean()),
    loss("huber_loss", NEAR, lambda x, y: huber(1.7)(x, y).sum(), delta=1.7, reduction="sum"),
    loss("huber_loss", NEAR, huber(0.3), delta=0.3, reduction="none"),
    loss("smooth_l1_loss", NEAR, lambda x, y: huber(1)(x, y).mean()),
    loss("smooth_l1_loss", NEAR, lambda x, y: huber(0.3)(x, y) / 0.3, beta=0.3, reduction="none"),
    loss("smooth_l1_loss", apart, lambda x, y: abs(x - y).sum(), beta=0, reduction="sum"),
    loss("binary_cross_entropy", BCE_WIDE),
    loss("binary_cross_entropy", BCE_WIDE, reduction="none"),
    line(
        "binary_cross_entropy weight",
        lambda m, p, y: m.binary_cross_entropy(p, y, numbers(m, p, *p.shape), reduction="sum"),
        BCE_WIDE,
        ALIKE[:-1],
    ),
    loss(
        "kl_div", mixed(real, positive), lambda x, y: (y * (np.log(y) - x)).sum(), reduction="sum"
    ),
    loss("kl_div", mixed(real, positive), shapes=ALIKE[:1], reduction="batchmean"),
    loss("kl_div", real, lambda x, y: np.exp(y) * (y - x), log_target=True, reduction="none"),
    *[
        line(
            f"soft_margin_loss {how}",
            lambda m, x, how=how: m.soft_margin_loss(x, m.tensor(signs(x)), reduction=how),
            real,
            LOGITS,
            numpy and (lambda x: np.log1p(np.exp(-x * signs(x))).mean()),
        )
        for how, numpy in (("mean", True), ("none", None))
    ],
    line(
        "nll_loss",
        lambda m, x: m.nll_loss(m.log_softmax(x, 1), m.tensor(labels(x))),
        real,
        LOGITS,
        lambda x: -naive_log_softmax(1)(x)[np.arange(len(x)), labels(x)].mean(),
    ),
    *[
        line(
            f"nll_loss {how}, pixels, weight, ignore",
            each_label(
                lambda m, x, t, how=how: m.nll_loss(
                    x, some_ignored(m, t), class_weights(m, x), reduction=how
                ),
                pixels,
            ),
            real,
            PIXELS,
        )
        for how in HOW
    ],
    *[
        line(
            f"cross_entropy {how}, pixels",
            each_label(lambda m, x, t, how=how: m.cross_entropy(x, t, reduction=how), pixels),
            real,
            PIXELS,
        )
        for how in HOW
    ],
    *[
        line(
            f"cross_entropy {how}, pixels, weight, smooth, ignore",
            each_label(
                lambda m, x, t, how=how: m.cross_entropy(
                    x, some_ignored(m, t), class_weights(m, x), reduction=how, label_smoothing=0.23
                ),
                pixels,
            ),
            real,
            PIXELS,
        )
        for how in HOW
    ],
    line(
        "cross_entropy, one row",
        lambda m, x: m.cross_entropy(x, m.tensor(len(x) // 2)),
        real,
        one((1,), (5,)),
    ),
    *[
        line(
            f"cross_entropy {how}, probabilities",
            lambda m, x, y, how=how: m.cross_entropy(x, y, reduction=how),
            mixed(real, positive),
            DISTRIBUTIONS,
        )
        for how in HOW
    ],
    line(
        "cross_entropy, probabilities, weight, smooth",
        lambda m, x, y: m.cross_entropy(x, y, class_weights(m, x), label_smoothing=0.37),
        mixed(real, positive),
        DISTRIBUTIONS[1:],
    ),
]
