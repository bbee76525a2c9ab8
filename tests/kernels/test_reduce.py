"""Reductions against float64 NumPy."""

import math

import numpy as np
import pytest

from microreg.kernels import reduce

from .running import garbage, run

TOLERANCE = {np.float32: 3e-7, np.float64: 1e-15}  # of the sum of absolute values
SIZES = [0, 1, 17, 8191, 8192, 8193, 100_003]
SHAPES = [(0, 3), (1, 1), (3, 1), (1, 7), (7, 33), (130, 64), (1000, 10), (5, 20_000), (3000, 70)]


def total(kernel, x):
    """A whole-array reduction: partial results of fixed blocks, then the merge."""
    partial = garbage(kernel.blocks({"n": x.size}), np.float64)
    out = garbage(1, x.dtype)
    run(kernel, x, partial)
    run(reduce.merge, partial, out)
    return out[0]


def rows(kernel, x):
    out = garbage(len(x), x.dtype)
    run(kernel, x, out)
    return out


def columns(x):
    n, d = x.shape
    partial = garbage((reduce.sum_columns_partial.blocks({"n": n, "d": d}), d), x.dtype)
    out = garbage(d, x.dtype)
    run(reduce.sum_columns_partial, x, partial)
    run(reduce.merge_columns, partial, out)
    return out


def normal(shape, dtype, mean=0.0):
    return (np.random.default_rng(1).normal(size=shape) + mean).astype(dtype)


@pytest.mark.parametrize("mean", [0.0, 3.0, -1000.0])
def test_sums_of_everything(dtype, mean):
    for size in SIZES:
        x = normal(size, dtype, mean)
        exact = x.astype(np.float64).tolist()
        scale = TOLERANCE[dtype]
        bound = scale * math.fsum(map(abs, exact))
        assert abs(total(reduce.sum_all, x) - math.fsum(exact)) <= bound
        squares = math.fsum(v * v for v in exact)
        assert abs(total(reduce.sum_squares, x) - squares) <= scale * squares


def test_zeros_are_counted(dtype):
    for size in SIZES:
        x = normal(size, dtype)
        x[::3] = 0
        x[1::7] = -0.0
        x[2::9] = np.nan
        x[5::11] = np.finfo(dtype).smallest_subnormal
        assert total(reduce.count_zeros, x) == np.count_nonzero(x == 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_rows_and_columns(shape, dtype):
    x = normal(shape, dtype, 0.5)
    wide = x.astype(np.float64)
    scale = TOLERANCE[dtype]
    assert np.all(abs(rows(reduce.sum_rows, x) - wide.sum(1)) <= scale * abs(wide).sum(1))
    assert np.all(abs(columns(x) - wide.sum(0)) <= 4 * scale * abs(wide).sum(0))


def test_a_long_sum_keeps_its_digits(dtype):
    x = np.full((1, 3_000_001), 0.1, dtype)
    want = float(x[0, 0]) * x.size
    sums = [total(reduce.sum_all, x.ravel()), rows(reduce.sum_rows, x)[0]]
    assert max(abs(np.array(sums) - want)) <= {np.float32: 1e-7, np.float64: 5e-12}[dtype] * want
    x = np.full((300_001, 10), 0.1, dtype)
    want = float(x[0, 0]) * len(x)
    assert np.all(abs(columns(x) - want) <= {np.float32: 5e-6, np.float64: 1e-13}[dtype] * want)


@pytest.mark.parametrize("shape", SHAPES)
def test_extremes_of_rows(shape, dtype):
    x = normal(shape, dtype)
    np.testing.assert_array_equal(rows(reduce.max_rows, x), x.max(1))
    np.testing.assert_array_equal(rows(reduce.min_rows, x), x.min(1))


@pytest.mark.parametrize("place", [0, 1, 20, 36])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nan_and_infinity_survive(place, sign, dtype):
    x = normal((3, 37), dtype)
    x[1, place] = np.copysign(np.nan, sign)
    for kernel in (reduce.max_rows, reduce.min_rows, reduce.sum_rows):
        assert np.isnan(rows(kernel, x)).tolist() == [False, True, False]
    assert np.isnan(total(reduce.sum_all, x.ravel())) and np.isnan(columns(x)[place])
    x[1, place] = sign * np.inf
    extreme = reduce.max_rows if sign > 0 else reduce.min_rows
    assert rows(extreme, x)[1] == sign * np.inf
    assert total(reduce.sum_all, x.ravel()) == sign * np.inf


def test_empty_rows():
    x = np.zeros((4, 0), np.float32)
    assert rows(reduce.sum_rows, x).tolist() == [0] * 4
    assert rows(reduce.max_rows, x).tolist() == [-np.inf] * 4
    assert rows(reduce.min_rows, x).tolist() == [np.inf] * 4


def places(x):
    out = garbage(len(x), np.int64)
    run(reduce.argmax_rows, x, out)
    return out


@pytest.mark.parametrize("shape", [*SHAPES[1:], (3, 2), (40, 3)])
def test_the_place_of_the_largest(shape, dtype):
    np.testing.assert_array_equal(places(normal(shape, dtype)), normal(shape, dtype).argmax(1))
    ties = np.round(normal(shape, dtype))
    np.testing.assert_array_equal(places(ties), ties.argmax(1))


@pytest.mark.parametrize("place", [0, 1, 20, 36])
def test_the_first_nan_is_the_largest(place, dtype):
    x = normal((4, 37), dtype)
    x[1, place:] = np.nan
    x[2, place] = -np.nan
    x[2, 5] = np.inf
    x[3] = np.nan
    assert places(x).tolist() == x.argmax(1).tolist()
    assert places(x)[1:].tolist() == [place, place, 0]


def test_infinities_have_places(dtype):
    inf = np.inf
    x = np.array([[-inf, -inf, -inf], [-inf, 0, inf], [inf, 1, inf], [-inf, -3, -inf]], dtype)
    assert places(x).tolist() == [0, 2, 0, 1]
    assert places(np.zeros((3, 0), dtype)).tolist() == [0, 0, 0]
    assert places(np.zeros((0, 3), dtype)).tolist() == []


def test_products_of_rows_and_of_the_others(dtype):
    """Also with one zero in a row, or two, and in rows of one."""
    for shape in [(1, 1), (3, 1), (7, 33), (130, 64), (4, 0)]:
        x, g = 1 + normal(shape, dtype) / 9, normal(shape[0], dtype)
        if x.size > 9:
            x[1, 4] = x[2, 0] = x[2, 5] = 0
        out, dx = garbage(len(x), dtype), garbage(shape, dtype)
        run(reduce.prod_rows, x, out)
        run(reduce.prod_rows_backward, g, x, dx)
        wide = x.astype(float)
        close = {"rtol": 40 * TOLERANCE[dtype], "atol": 1e-300}
        np.testing.assert_allclose(out, wide.prod(1), **close)
        for j in range(shape[1]):
            np.testing.assert_allclose(dx[:, j], g * np.delete(wide, j, 1).prod(1), **close)


def test_sums_up_to_each_entry(dtype):
    for shape in [(0, 3), (1, 1), (7, 33), (3, 9000), (4, 0)]:
        x, out = normal(shape, dtype), garbage(shape, dtype)
        run(reduce.cumsum_rows, x, out)
        bound = TOLERANCE[dtype] * np.cumsum(np.abs(x.astype(float)), 1)
        assert np.all(np.abs(out - np.cumsum(x.astype(float), 1)) <= bound)
