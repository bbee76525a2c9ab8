"""The registry's lines of penalties and of optimizers."""

import numpy as np

from microreg.kernels import group, lift, lines, spectral, update, variation
from microreg.kernels.update_rows import update_rows
from microreg.penalties import L1

from .entries import entry
from .entries_elementwise import SIZES

PROXES = {  # function of a line: the numbers that one weight needs beside itself
    lines.shrink_norm: 1,
    lines.limit_norm: 1,
    lines.limit_sum: 1,
    lines.to_simplex: 1,
    variation.fuse: variation.ROOM,
}
VALUES = [
    *(lines.norm_value, lines.norm_within, lines.sum_within, lines.on_simplex),
    variation.variation,
]
SLOPES = [lines.norm_slope, variation.variation_slope]


def separable():
    l1 = L1(0.3)
    yield entry(
        lift.map_kernel(l1.grad_1d, 1), lambda d, n: (d.real(n), d.numbers(0.3), d.new(n)), *SIZES
    )
    yield entry(
        lift.step_kernel(l1.prox_1d, 1),
        lambda d, n: (d.real(n), d.positive(n), d.numbers(0.3), d.new(n)),
        *SIZES,
    )
    total = lift.sum_kernel(l1.value_1d, 1)
    yield entry(
        total,
        lambda d, n: (d.real(n), d.numbers(0.3), d.new(total.blocks({"n": n}), dtype=np.float64)),
        *SIZES,
    )


def grouped():
    for line, room in PROXES.items():
        kernel = group.prox_groups(line, room)
        yield entry(
            kernel,
            lambda d, g: (JOINT, d.positive(n_of(g)), *groups(d, g), d.real(n_of(g))),
            5,
            300,
        )
    for line in VALUES:
        kernel = group.sum_groups(line)
        yield entry(
            kernel,
            lambda d, g: (JOINT, d.real(n_of(g)), *groups(d, g), d.new(g, dtype=np.float64)),
            5,
            300,
        )
    for line in SLOPES:
        kernel = group.slope_groups(line)
        yield entry(
            kernel, lambda d, g: (JOINT, d.real(n_of(g)), *groups(d, g), d.new(n_of(g))), 5, 300
        )


JOINT = np.array([0.1, 0.05, 0.4])


def n_of(g):
    """The members of g groups of 1, 2, 3, 1, 2, ..."""
    return int((1 + np.arange(g) % 3).sum())


def groups(d, g):
    """g such groups whose members lie anywhere."""
    sizes = 1 + np.arange(g) % 3
    return (
        d.rng.permutation(n_of(g)),
        np.cumsum(sizes) - sizes,
        sizes,
        d.positive(g, dtype=np.float64),
    )


def matrices():
    """Functions of singular values: one thread."""
    l1 = L1(0.3)
    yield entry(
        spectral.spectral_map(l1.grad_1d, 1), lambda d, n: (JOINT, d.real(n, 5), d.new(n, 5)), 4, 23
    )
    yield entry(
        spectral.spectral_prox(l1.prox_1d, 1),
        lambda d, n: (JOINT, d.positive(n, 5), d.real(n, 5), d.real(n, 5)),
        4,
        23,
    )
    yield entry(
        spectral.spectral_sum(l1.value_1d, 1),
        lambda d, n: (JOINT, d.real(n, 5), d.new(1, dtype=np.float64)),
        4,
        23,
    )


def updates():
    """Every rule, with and without keeping the steps, with a prox of rows; and the ticks."""
    chosen = [
        update.update_kernel(rule, prox, count, keep)
        for rule in update.RULES
        for prox, count, keep in ((L1.prox_1d, 1, False), (update.no_prox, 0, True))
    ]
    ticks = [k for name, k in vars(update).items() if name.startswith("tick_")]
    for kernel in [*chosen, *ticks, update.shrink]:
        yield entry(kernel, lambda d, n, kernel=kernel: positives(kernel, d, n), *SIZES)
    for rule in update.RULES:
        kernel = update_rows(rule, L1.prox_1d, 1, lines.limit_norm)
        yield entry(kernel, lambda d, n, kernel=kernel: positives(kernel, d, n), 2, 300)
    wide = update_rows("sgd", update.no_prox, 0, variation.fuse, variation.ROOM, True)
    yield entry(wide, lambda d, n: positives(wide, d, n), 2, 300)


def positives(kernel, d, n):
    """Positive numbers for every array of a signature but scratch: n of the dimension that is
    split, 1, or 16.

    A running mean is so small that a variance stays positive.
    """
    arrays = []
    for spec in kernel.signature.arrays[kernel.scratch is not None :]:
        shape = [{kernel.split or "n": n, "1": 1}.get(dim, 16) for dim in spec.dims]
        if spec.dtype == "int64":
            arrays.append(d.integers(1, 5, *shape))
        else:
            kind = d.dtype if spec.dtype == "T" else spec.dtype
            small = spec.name == "mean" or (kernel.name.startswith("centered") and spec.name == "b")
            arrays.append(d.positive(*shape, dtype=kind) / (30 if small else 3))
    return tuple(arrays)
