"""Lines of the table of ops: convolutions and pools."""

import itertools
import warnings

from .naive import naive_avg_pool2d, naive_conv1d
from .table import (
    IMAGES,
    apart,
    line,
    one,
    real,
)

SEQUENCES = [((1, 1, 6), (1, 1, 3)), ((2, 3, 9), (4, 3, 2)), ((3, 9), (2, 3, 4))]
CONV1D = {
    "": {},
    "stride 2": {"stride": 2},
    "padding 2 dilation 2": {"padding": 2, "dilation": 2},
    "all": {"stride": 3, "padding": 1, "dilation": 2},
}
ROWS_1D = one((1, 1, 6), (2, 3, 9), (3, 7))
SAMES = [((1, 2, 5, 6), (3, 2, 3, 2)), ((2, 5, 4), (4, 2, 2, 4))]
AVERAGES = [(2,), ((3, 2), 1), (3, (2, 1), (1, 0)), ((1, 3), (3, 2))]
CEILED = one((1, 1, 5, 5), (2, 3, 7, 6), (2, 6, 8))


def padded_alike(m, x, weight):
    with warnings.catch_warnings():  # of torch, about the copy that uneven padding costs
        warnings.simplefilter("ignore", UserWarning)
        return m.conv2d(x, weight, padding="same", dilation=(1, 2))


WINDOWS = [
    *[
        line(
            f"conv1d {n}",
            lambda m, x, w, k=k: m.conv1d(x, w, **k),
            real,
            SEQUENCES,
            naive_conv1d(**k),
        )
        for n, k in CONV1D.items()
    ],
    line(
        "conv1d + b, groups",
        lambda m, x, w, b: m.conv1d(x, w, b, groups=2),
        real,
        [((2, 4, 7), (6, 2, 3), (6,))],
    ),
    line("conv1d same", lambda m, x, w: m.conv1d(x, w, padding="same"), real, SEQUENCES[:1]),
    line("max_pool1d", lambda m, x: m.max_pool1d(x, 3, 2, 1), apart, ROWS_1D),
    line("max_pool1d 2", lambda m, x: m.max_pool1d(x, [2], dilation=2), apart, ROWS_1D),
    line("avg_pool1d", lambda m, x: m.avg_pool1d(x, 3, 2, 1, True, False), real, ROWS_1D),
    line("adaptive_avg_pool1d", lambda m, x: m.adaptive_avg_pool1d(x, 3), real, ROWS_1D),
    line("conv2d same", padded_alike, real, SAMES),
    line("conv2d valid", lambda m, x, w: m.conv2d(x, w, padding="valid"), real, SAMES[:1]),
    line("conv2d, one image", lambda m, x, w: m.conv2d(x, w), real, [((2, 5, 6), (3, 2, 3, 2))]),
    line("max_pool2d, one image", lambda m, x: m.max_pool2d(x, 2), apart, one((2, 5, 6))),
    *[
        line(
            f"max_pool2d ceil {p}",
            lambda m, x, p=p: m.max_pool2d(x, *p, ceil_mode=True),
            apart,
            CEILED,
        )
        for p in ((2,), (3, 2), (3, 2, 1), (2, 3, 1))
    ],
    *[
        line(
            f"avg_pool2d {p}",
            lambda m, x, p=p: m.avg_pool2d(x, *p),
            real,
            IMAGES,
            naive_avg_pool2d(*p),
        )
        for p in AVERAGES
    ],
    *[
        line(
            f"avg_pool2d ceil {p}, {whole}, {divisor}",
            lambda m, x, p=p, w=whole, d=divisor: m.avg_pool2d(
                x, *p, ceil_mode=True, count_include_pad=w, divisor_override=d
            ),
            real,
            CEILED,
        )
        for p, whole, divisor in itertools.product(
            [(2,), (3, 2, 1), (2, 3, 1)], [True, False], [None, 7]
        )
    ],
    *[
        line(
            f"adaptive_avg_pool2d {n}", lambda m, x, n=n: m.adaptive_avg_pool2d(x, n), real, CEILED
        )
        for n in (1, 2, (3, 4), (None, 2), 7)
    ],
]
