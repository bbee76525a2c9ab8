"""The registry's lines of elementwise kernels."""

import numpy as np

from microreg.kernels import lift, move, random

from .entries import Draw, entry
from .test_elementwise import BINARY, BITS, MAPS, POSITIVE, TESTS, TRIPLES, formula, kind

SIZES = (37, 3 * 8192 + 5)  # of one axis: one block, three and a bit


def lifted():
    for name in MAPS:
        first = Draw.positive if name in POSITIVE else Draw.real
        yield entry(lift.maps(formula(name)), lambda d, n, f=first: (f(d, n), d.new(n)), *SIZES)
    for name in BINARY:
        yield from of_two(name)
    for name in BITS:
        yield entry(
            lift.pairs(formula(name), ":int64"),
            lambda d, n: (*(d.integers(-9, 9, n) for _ in "ab"), d.new(n, dtype=np.int64)),
            *SIZES,
        )
    for name in TRIPLES:
        yield entry(
            lift.triples(formula(name)),
            lambda d, n: (d.integers(0, 2, n, dtype=d.dtype), d.real(n), d.real(n), d.new(n)),
            *SIZES,
        )


def of_two(name):
    """The kernels of a formula of two numbers; the base of a power is positive."""
    base = Draw.positive if name in POSITIVE else Draw.real
    what, result = formula(name), kind(name)

    def out(d, *shape):
        return d.new(*shape, dtype=np.bool_ if name in TESTS else None)

    yield entry(lift.pairs(what, result), lambda d, n: (base(d, n), d.real(n), out(d, n)), *SIZES)
    for flipped in (False, True):
        first, second = (Draw.real, base) if flipped else (base, Draw.real)
        yield entry(
            lift.numbers(what, flipped, result),
            lambda d, n, first=first: (first(d, n), out(d, n), 0.7),
            *SIZES,
        )
        for q, r, many in ((5, 7, 700), (6, 1, 4000)):
            yield entry(
                lift.middles(what, flipped, result),
                lambda d, p, q=q, r=r, first=first, second=second: (
                    first(d, p, q, r), second(d, q), out(d, p, q, r)
                ),
                3, many, f"{q}x{r}",
            )  # fmt: skip


def moved():
    def lines(d, n):
        """n lines of 21 entries in three planes: every second entry, backwards."""
        nc = n // 3 + 1
        return d.real(3 * nc * 60), d.new(n, 21), (3, nc, 0, nc * 60, 60, -2, 50)

    def pack(d, n):
        x, out, numbers = lines(d, n)
        return x, out, *numbers

    def unpack(d, n):
        out, _, numbers = lines(d, n)
        return d.real(n, 21), out, *numbers

    yield entry(move.pack, pack, 4, 1700)
    yield entry(move.unpack, unpack, 4, 1700)
    yield entry(move.turn, lambda d, n: (d.real(n, 37, 21), d.new(n, 21, 37)), 2, 9)
    yield entry(move.fill, lambda d, n: (d.new(n), 0.7), *SIZES)
    for source, target in (("float32", "float64"), ("float64", "float32"), ("int64", "bool")):
        yield entry(
            move.cast(source, target),
            lambda d, n, a=source, b=target: (d.integers(-2, 3, n, dtype=a), d.new(n, dtype=b)),
            *SIZES,
        )
    yield entry(
        move.take_along_rows,
        lambda d, n: (d.real(n, 17), d.integers(-19, 19, n, 5), d.new(n, 5)),
        9, 3000,
    )  # fmt: skip
    yield entry(
        move.add_along_rows,
        lambda d, n: (d.real(n, 40), d.integers(-19, 19, n, 40), d.new(n, 17)),
        9, 3000,
    )  # fmt: skip
    yield entry(
        move.take_rows,
        lambda d, n: (d.real(50, 17), d.integers(-52, 52, n), d.new(n, 17)),
        9, 3000,
    )  # fmt: skip
    yield entry(
        move.add_rows_at,
        lambda d, m: (d.real(2 * m, 17), d.integers(-m - 2, m + 2, 2 * m), d.new(m, 17)),
        9, 900,
    )  # fmt: skip


def drawn():
    def state():
        return np.array([7, 2**33 - 2])

    yield entry(random.draw_bits, lambda d, n: (state(), d.new(n, dtype=np.uint32)), *SIZES)
    yield entry(random.keep_mask, lambda d, n: (state(), d.new(n, dtype=np.uint8), 0.3), *SIZES)
    yield entry(
        random.apply_mask,
        lambda d, n: (d.real(n), d.integers(0, 2, n, dtype=np.uint8), d.new(n), 1.25),
        *SIZES,
    )
    yield entry(random.take, lambda d, n: (state(), d.new(2, dtype=np.int64), n), 9, 100_000)
    yield entry(random.normal, lambda d, n: (state(), d.new(n)), *SIZES)
    yield entry(random.logistic, lambda d, n: (state(), d.new(n)), *SIZES)
    for a in (0.3, 2.5):
        yield entry(random.beta, lambda d, n, a=a: (state(), d.new(1), a), 1, 1, f"a={a}")
    yield entry(random.shuffle, lambda d, n: (state(), d.new(n, dtype=np.int64)), 70, 1000)
