"""Matrix products against float64 NumPy."""

import numpy as np
import pytest

from microreg.kernels import matmul as products
from microreg.kernels._gemm import BIAS, BIAS_RELU, NO_BIAS

from .running import garbage, run

FORMS = {
    "nn": (lambda m, k, n: ((m, k), (k, n)), lambda a, b: a @ b),
    "nt": (lambda m, k, n: ((m, k), (n, k)), lambda a, b: a @ b.swapaxes(-1, -2)),
    "tn": (lambda m, k, n: ((k, m), (k, n)), lambda a, b: a.swapaxes(-1, -2) @ b),
}
SHAPES = [
    (0, 4, 3), (3, 0, 4), (3, 4, 0), (1, 1, 1), (1, 9, 1), (3, 5, 7), (14, 16, 32), (15, 33, 31),
    (16, 16, 16), (29, 100, 65), (100, 257, 37), (29, 513, 130), (7, 700, 10), (200, 3, 300),
    (2, 320, 3), (2, 321, 3), (1, 641, 33), (33, 64, 1),
]  # fmt: skip
LARGE = [(461, 600, 333), (300, 401, 801), (333, 320, 530), (170, 1000, 165)]
BATCHES = [1, 2, 7]
# the relative error of a sum of products, in units of sum |a| |b|
TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 2e-15}


def operands(rng, form, size, dtype, batch=()):
    shapes, _ = FORMS[form]
    return [rng.normal(size=batch + shape).astype(dtype) for shape in shapes(*size)]


def product(kernel, *args, shape, extra=()):
    out = garbage(shape, args[0].dtype)
    run(kernel, *args, out, *extra)
    return out


def multiply(form, a, b, batch=()):
    """By the kernel for this form."""
    prefix = "batch_" if batch else ""
    shape = FORMS[form][1](a, b).shape
    return product(getattr(products, f"{prefix}matmul_{form}"), a, b, shape=shape)


def check(got, form, a, b):
    """`got` is the product of a and b, up to the rounding of a sum of |a| |b| in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    of = FORMS[form][1]
    error = np.abs(got - of(a, b))
    assert got.shape == error.shape
    assert np.all(error <= TOLERANCE[got.dtype] * of(np.abs(a), np.abs(b)))


@pytest.mark.parametrize("size", SHAPES + LARGE, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_a_product_is_that_of_float64(form, size, dtype, rng):
    a, b = operands(rng, form, size, dtype)
    check(multiply(form, a, b), form, a, b)


@pytest.mark.parametrize("size", [*SHAPES, LARGE[-1]], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_a_batch_has_the_bits_of_its_products(form, size, dtype, rng):
    for count in BATCHES:
        a, b = operands(rng, form, size, dtype, (count,))
        got = multiply(form, a, b, (count,))
        for one, x, y in zip(got, a, b, strict=True):
            np.testing.assert_array_equal(one, multiply(form, x, y))
        check(got, form, a, b)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_of_nothing(form, dtype, rng):
    a, b = operands(rng, form, (3, 4, 5), dtype, (0,))
    assert multiply(form, a, b, (0,)).shape == (0, 3, 5)


ENDINGS = {
    NO_BIAS: lambda sums, bias: sums,
    BIAS: lambda sums, bias: sums + bias,
    BIAS_RELU: lambda sums, bias: np.maximum(sums + bias, 0),
}


def linear(x, weight, bias, ending):
    shape = len(x), len(weight)
    return product(products.linear, x, weight, bias, shape=shape, extra=(ending,))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("size", SHAPES + LARGE, ids=str)
def test_linear_adds_the_bias_and_cuts_at_zero(size, ending, dtype, rng):
    x, weight = operands(rng, "nt", size, dtype)
    bias = rng.normal(size=size[2]).astype(dtype)
    got = linear(x, weight, bias, ending)
    wide, other = x.astype(np.float64), weight.astype(np.float64).T
    want = ENDINGS[ending](wide @ other, bias.astype(np.float64))
    scale = abs(wide) @ abs(other) + abs(bias)
    assert np.all(np.abs(got - want) <= TOLERANCE[got.dtype] * scale)
    if ending == BIAS_RELU:
        assert not np.signbit(got).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [(5, 9, 7), (29, 513, 40), LARGE[-1]], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_finite_spoils_its_row_or_column_alone(form, size, bad, dtype, rng):
    a, b = operands(rng, form, size, dtype)
    (a.T if form == "tn" else a)[2, size[1] // 2] = bad
    got = multiply(form, a, b)
    assert not np.isfinite(got[2]).any() and np.isfinite(np.delete(got, 2, 0)).all()
    a, b = operands(rng, form, size, dtype)
    (b.T if form == "nt" else b)[size[1] - 1, 3] = bad
    got = multiply(form, a, b)
    assert not np.isfinite(got[:, 3]).any() and np.isfinite(np.delete(got, 3, 1)).all()


@pytest.mark.parametrize("ending", [BIAS, BIAS_RELU])
@pytest.mark.parametrize("size", [(5, 9, 7), (29, 513, 40), LARGE[-1]], ids=str)
def test_nan_survives_the_end_of_a_product(size, ending, dtype, rng):
    x, weight = operands(rng, "nt", size, dtype)
    bias = rng.normal(size=size[2]).astype(dtype)
    x[2, 1], bias[4] = np.nan, np.nan
    spoilt = np.isnan(linear(x, weight, bias, ending))
    want = np.zeros(spoilt.shape, bool)
    want[2], want[:, 4] = True, True
    np.testing.assert_array_equal(spoilt, want)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_beside_a_product(form, dtype, rng):
    """Whole vectors are written within the scratch memory alone."""
    for size in [(15, 33, 31), (7, 10, 1), (14, 20, 33), (170, 70, 165)]:
        a, b = operands(rng, form, size, dtype)
        memory = garbage(size[0] * size[2] + 200, dtype)
        out = memory[100:-100].reshape(size[0], size[2])
        run(getattr(products, f"matmul_{form}"), a, b, out)
        check(out, form, a, b)
        assert np.isnan(memory[:100]).all() and np.isnan(memory[-100:]).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_row_of_a_product_does_not_depend_on_the_others(form, dtype, rng):
    """Read in place or packed, in a tile of any height: the sums run in one order."""
    size = (170, 650, 165)
    a, b = operands(rng, form, size, dtype)
    whole = multiply(form, a, b)
    for rows in (1, 3, 14, 100):
        part = np.ascontiguousarray(a[:, :rows] if form == "tn" else a[:rows])
        np.testing.assert_array_equal(multiply(form, part, b), whole[:rows])
