"""Arguments of kernels whose rows lie so that four numbers are taken at once, and long rows, which
a whole block shares; beside the shapes of `tests/kernels/registry.py`, which fit nothing."""

import numpy as np

from microreg.kernels import batch_norm, conv, lift, matmul, norm, reduce, softmax
from microreg.kernels import formulas as f
from microreg.kernels._gemm import BIAS, BIAS_RELU, NO_BIAS

from ..kernels.entries import entry
from ..kernels.entries_products import geometry

ROWS = {"short": (21, 64), "long": (5, 1028), "odd and long": (3, 1031)}


def rows():
    for note, (n, d) in ROWS.items():
        for kernel in (reduce.sum_rows, reduce.max_rows, reduce.min_rows):
            yield kernel, lambda a, n=n, d=d: (a.real(n, d), a.new(n)), note
        yield (
            reduce.argmax_rows,
            lambda a, n=n, d=d: (a.integers(-9, 9, n, d, dtype=a.dtype), a.new(n, dtype=np.int64)),
            note,
        )
        for kernel in (softmax.softmax_rows, softmax.log_softmax_rows):
            yield kernel, lambda a, n=n, d=d: (a.real(n, d), a.new(n, d)), note
        for kernel in (softmax.softmax_rows_backward, softmax.log_softmax_rows_backward):
            yield kernel, lambda a, n=n, d=d: (a.real(n, d), a.real(n, d), a.new(n, d)), note
        yield (
            softmax.cross_entropy,
            lambda a, n=n, d=d: (a.real(n, d), a.integers(0, d, n), a.new(n), a.new(n, d), 3),
            note,
        )
        yield (
            softmax.cross_entropy_mean_backward,
            lambda a, n=n, d=d: (
                a.positive(n, d), a.integers(0, d, n), a.real(1), a.numbers(5), a.new(n, d), 3
            ),
            note,
        )  # fmt: skip
        yield (
            norm.layer_norm,
            lambda a, n=n, d=d: (
                a.real(n, d, mean=3), a.real(d), a.real(d), a.new(n, d), a.new(n), a.new(n), 1e-5
            ),
            note,
        )  # fmt: skip

        def backward(a, n=n, d=d):
            blocks = norm.layer_norm_backward.blocks({"n": n, "d": d})
            given = a.real(n, d), a.real(n, d, mean=3), a.real(n, mean=3), a.positive(n), a.real(d)
            return *given, a.new(n, d), a.new(blocks, d), a.new(blocks, d)

        yield norm.layer_norm_backward, backward, note
        yield (
            lift.middles(f.sub),
            lambda a, n=n, d=d: (a.real(1, n, d), a.real(n), a.new(1, n, d)),
            f"rows {note}",
        )
        yield (
            lift.middles(f.less, True, ":bool"),
            lambda a, n=n, d=d: (a.real(n, d, 1), a.real(d), a.new(n, d, 1, dtype=bool)),
            f"columns {note}",
        )


def columns():
    for n, c in ((300, 4), (70, 64), (9, 132)):
        yield (
            reduce.sum_columns_partial,
            lambda a, n=n, c=c: (
                a.real(n, c), a.new(reduce.sum_columns_partial.blocks({"n": n, "d": c}), c)
            ),
            f"{n}x{c}",
        )  # fmt: skip
        yield (
            batch_norm.column_stats,
            lambda a, n=n, c=c: (
                a.real(n, c, mean=3), a.new(1, 2, c, dtype=np.float64), a.new(1, 3, c)
            ),
            f"{n}x{c}",
        )  # fmt: skip
        yield (
            batch_norm.column_sums,
            lambda a, n=n, c=c: (
                a.real(n, c), a.real(n, c), a.real(c), a.new(1, 2, c, dtype=np.float64),
                a.new(1, 2, c),
            ),
            f"{n}x{c}",
        )  # fmt: skip
        for after in ((), (36,)):
            name = "image" if after else "column"
            yield (
                getattr(batch_norm, f"{name}_apply"),
                lambda a, n=n, c=c, after=after: (
                    a.real(n, c, *after), a.real(c), a.real(c), a.real(c), a.new(n, c, *after)
                ),
                f"{n}x{c}",
            )  # fmt: skip
            yield (
                getattr(batch_norm, f"{name}_backward"),
                lambda a, n=n, c=c, after=after: (
                    a.real(n, c, *after), a.real(n, c, *after), *(a.real(c) for _ in range(4)),
                    a.new(n, c, *after),
                ),
                f"{n}x{c}",
            )  # fmt: skip


def products():
    for form in ("nn", "nt", "tn"):
        for m, k, n in ((64, 20, 68), (132, 24, 136), (516, 16, 520), (8, 1100, 12)):

            def operands(d, form=form, m=m, k=k, n=n):
                a = (k, m) if form == "tn" else (m, k)
                b = (n, k) if form == "nt" else (k, n)
                return d.real(*a), d.real(*b), d.new(m, n)

            yield getattr(matmul, f"matmul_{form}"), operands, f"{m}x{k}x{n}"
    for ending in (NO_BIAS, BIAS, BIAS_RELU):
        yield (
            matmul.linear,
            lambda d, ending=ending: (
                d.real(130, 28), d.real(132, 28), d.real(132), d.new(130, 132), ending
            ),
            f"ending {ending}",
        )  # fmt: skip


def images():
    cases = {
        "4 channels": ((6, 5, 4), 8, (3, 3), (1, 1), (1, 1)),
        "strided": ((7, 7, 8), 12, (3, 2), (2, 2), (1, 0)),
        "2 groups, dilated": ((8, 6, 8), 8, (2, 2), (1, 1), (1, 1), (2, 1), 2),
    }
    for note, case in cases.items():
        numbers, out = geometry(*case)
        (h, w, c), o, (kh, kw) = case[:3]
        depth = kh * kw * c // numbers[-1]

        def forward(d, numbers=numbers, out=out, h=h, w=w, c=c, o=o, depth=depth):
            x, taps = d.real(3, h * w * c), d.real(depth, o)
            return x, taps, d.real(o), numbers, d.new(3, out[0] * out[1] * o), BIAS_RELU

        def backward(d, numbers=numbers, out=out, h=h, w=w, c=c, o=o, depth=depth):
            x, g = d.real(30, h * w * c), d.real(30, out[0] * out[1] * o)
            return x, g, numbers, d.new(1, depth, o)

        yield conv.conv2d, forward, note
        yield conv.conv2d_weight, backward, note


ENTRIES = [
    entry(kernel, lambda draw, _, make=make: make(draw), 0, 0, f"aligned {note}")
    for part in (rows, columns, products, images)
    for kernel, make, note in part()
]
