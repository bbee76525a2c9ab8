"""The registry's lines of reductions, softmax, norms and recurrent steps."""

import numpy as np

from microreg.kernels import batch, batch_norm, norm, recurrent, reduce, softmax

from .entries import entry
from .entries_elementwise import SIZES

IGNORED = 3


def reductions():
    for kernel in (reduce.sum_all, reduce.sum_squares, reduce.count_zeros):
        yield entry(
            kernel,
            lambda d, n, kernel=kernel: (
                d.integers(-2, 3, n) * d.real(n),
                d.new(kernel.blocks({"n": n}), dtype=np.float64),
            ),
            *SIZES,
        )
    yield entry(reduce.merge, lambda d, n: (d.real(n, dtype=np.float64), d.new(1)), 3, 1000)
    yield entry(reduce.merge_columns, lambda d, n: (d.real(n, 70), d.new(70)), 19, 1000)
    for kernel in (reduce.sum_rows, reduce.max_rows, reduce.min_rows):
        yield entry(kernel, lambda d, n: (d.real(n, 70), d.new(n)), 3, 700)
    yield entry(reduce.prod_rows, lambda d, n: (d.positive(n, 70), d.new(n)), 3, 700)
    yield entry(
        reduce.prod_rows_backward,
        lambda d, n: (d.real(n), d.positive(n, 70), d.new(n, 70)),
        3, 700,
    )  # fmt: skip
    yield entry(reduce.cumsum_rows, lambda d, n: (d.real(n, 70), d.new(n, 70)), 3, 700)
    yield entry(reduce.argmax_rows, lambda d, n: (d.real(n, 70), d.new(n, dtype=np.int64)), 3, 700)
    columns = reduce.sum_columns_partial
    yield entry(
        columns,
        lambda d, n: (d.real(n, 70), d.new(columns.blocks({"n": n, "d": 70}), 70)),
        11, 5000,
    )  # fmt: skip


def losses():
    def rows(count):
        return lambda d, n: (*(d.real(n, 21) for _ in range(count)), d.new(n, 21))

    def labels(d, n):
        return d.integers(-1, 22, n)  # some no class, some ignored

    def probabilities(d, n):
        p = d.positive(n, 21)
        return p / p.sum(1, keepdims=True)

    makers = {
        softmax.softmax_rows: rows(1),
        softmax.log_softmax_rows: rows(1),
        softmax.softmax_rows_backward: rows(2),
        softmax.log_softmax_rows_backward: rows(2),
        softmax.cross_entropy: lambda d, n: (
            d.real(n, 21), labels(d, n), d.new(n), d.new(n, 21), IGNORED
        ),
        softmax.mean_counted: lambda d, n: (d.real(n), labels(d, n), d.new(1), d.new(1), IGNORED),
        softmax.cross_entropy_backward: lambda d, n: (
            probabilities(d, n), labels(d, n), d.real(n), d.new(n, 21), IGNORED
        ),
        softmax.cross_entropy_mean_backward: lambda d, n: (
            probabilities(d, n), labels(d, n), d.real(1), d.numbers(5), d.new(n, 21), IGNORED
        ),
    }  # fmt: skip
    for kernel, make in makers.items():
        yield entry(kernel, make, 9, 2000)


def norms():
    def backward(d, n):
        count = norm.layer_norm_backward.blocks({"n": n, "d": 70})
        statistics = d.real(n, mean=3), d.positive(n)
        results = d.new(n, 70), d.new(count, 70), d.new(count, 70)
        return d.real(n, 70), d.real(n, 70, mean=3), *statistics, d.real(70), *results

    def merged_stats(d, c):
        partial = d.positive(4, 2, c, dtype=np.float64)
        made = (d.new(c) for _ in range(4))
        running = d.real(c), d.positive(c), np.array([6])
        return d.real(c), d.real(c), partial, *made, *running, 9, 31, 1e-5, 0.3

    def merged_sums(d, c):
        made = (d.new(c) for _ in range(5))
        return d.positive(c), d.real(c), d.real(4, 2, c, dtype=np.float64), *made, 31

    yield entry(
        norm.layer_norm,
        lambda d, n: (
            d.real(n, 70, mean=3), d.real(70), d.real(70), d.new(n, 70), d.new(n), d.new(n), 1e-5
        ),
        3, 700,
    )  # fmt: skip
    yield entry(norm.layer_norm_backward, backward, 3, 3000)
    yield entry(
        norm.rms_norm,
        lambda d, n: (d.real(n, 70), d.real(70), d.new(n, 70), d.new(n), 1e-5),
        3, 700,
    )  # fmt: skip

    def rms_backward(d, n):
        count = norm.rms_norm_backward.blocks({"n": n, "d": 70})
        results = d.new(n, 70), d.new(count, 70)
        return d.real(n, 70), d.real(n, 70), d.positive(n), d.real(70), *results

    yield entry(norm.rms_norm_backward, rms_backward, 3, 3000)
    yield from of_channels(())
    yield from of_channels((30,))

    def untracked(d, c):
        """Without running statistics, a momentum below 0 has nothing to count."""
        args = merged_stats(d, c)
        nothing = d.real(0), d.real(0), d.integers(0, 1, 0)
        return *args[:7], *nothing, 9, 31, 1e-5, -1.0

    yield entry(batch_norm.merge_stats, merged_stats, 5, 90)
    yield entry(batch_norm.merge_stats, untracked, 5, 90, "untracked")
    yield entry(batch_norm.merge_sums, merged_sums, 5, 90)


def of_channels(after):
    """The kernels of batch norm over (n, 7, *after)."""
    c, dims = 7, {"s": after[0]} if after else {}
    part = {
        name: getattr(batch_norm, f"{'image' if after else 'column'}_{name}")
        for name in ("stats", "sums", "apply", "backward")
    }

    def x(d, n, mean=3):
        return d.real(n, c, *after, mean=mean)

    def partial(d, n, rows, kernel):
        count = kernel.blocks({"n": n, "c": c, **dims})
        work = () if after else (d.new(count, rows, c),)
        return d.new(count, 2, c, dtype=np.float64), *work

    def backward(d, n):
        numbers = d.real(c, mean=3), d.positive(c), d.real(c), d.real(c)
        return x(d, n, 0), x(d, n), *numbers, d.new(n, c, *after)

    small, large = (5, 3000) if after else (70, 60_000)
    yield entry(
        part["stats"], lambda d, n: (x(d, n), *partial(d, n, 3, part["stats"])), small, large
    )
    yield entry(
        part["sums"],
        lambda d, n: (x(d, n, 0), x(d, n), d.real(c, mean=3), *partial(d, n, 2, part["sums"])),
        small, large,
    )  # fmt: skip
    yield entry(
        part["apply"],
        lambda d, n: (x(d, n), d.real(c, mean=3), d.positive(c), d.real(c), d.new(n, c, *after)),
        3, 3000,
    )  # fmt: skip
    yield entry(part["backward"], backward, 3, 3000)


def batches():
    def some(d, n):
        order = d.rng.permutation(2 * n)
        out = d.new(n, 40, dtype=np.uint8)
        return d.integers(0, 256, 2 * n, 40, dtype=np.uint8), order, np.array([n - 1]), out

    yield entry(batch.take_batch, some, 9, 3000)
    for kernel in (batch.right_labels, batch.right_signs):
        yield entry(
            kernel,
            lambda d, n, kernel=kernel: (
                d.real(n, 7),
                d.integers(0, 7, n)
                if kernel is batch.right_labels
                else d.integers(0, 2, n, 7, dtype=d.dtype),
                d.new(kernel.blocks({"n": n, "d": 7}), dtype=np.float64),
            ),
            9, 3000,
        )  # fmt: skip
    yield entry(
        batch.tally,
        lambda d, b: (
            d.real(1), d.integers(0, 9, b, dtype=np.float64), np.zeros(3), np.zeros(1, np.int64),
            np.zeros(1, np.int64), 8,
        ),
        3, 1000,
    )  # fmt: skip


def cells():
    def reals(*widths):
        return lambda d, n: [d.real(n, width) for width in widths]

    def news(*widths):
        return lambda d, n: [d.new(n, width) for width in widths]

    h = 37
    for kernel, given, made in (
        (recurrent.lstm_cell, reals(4 * h, h), news(h, h)),
        (recurrent.lstm_cell_backward, reals(h, h, 4 * h, h, h), news(4 * h, h)),
        (recurrent.gru_cell, reals(3 * h, 3 * h, h), news(h)),
        (recurrent.gru_cell_backward, reals(h, 3 * h, 3 * h, h), news(3 * h, 3 * h, h)),
    ):
        yield entry(
            kernel, lambda d, n, given=given, made=made: (*given(d, n), *made(d, n)), 3, 1000
        )
