"""Matrix products against float64 NumPy."""

import numpy as np
import pytest

from microreg.kernels import matmul as products
from microreg.runtime import get_num_threads, launch, set_num_threads

FORMS = {
    "nn": (lambda m, k, n: ((m, k), (k, n)), lambda a, b: a @ b),
    "nt": (lambda m, k, n: ((m, k), (n, k)), lambda a, b: a @ b.swapaxes(-1, -2)),
    "tn": (lambda m, k, n: ((k, m), (k, n)), lambda a, b: a.swapaxes(-1, -2) @ b),
}
SHAPES = [
    (0, 4, 3), (3, 0, 4), (3, 4, 0), (1, 1, 1), (1, 9, 1), (3, 5, 7), (14, 16, 32), (15, 33, 31),
    (16, 16, 16), (29, 100, 65), (100, 257, 37), (29, 513, 130), (7, 700, 10), (200, 3, 300),
]  # fmt: skip
LARGE = [(461, 600, 333), (300, 401, 801), (333, 320, 530)]
# the relative error of a sum of products, in units of sum |a| |b|
TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 2e-15}
DTYPES = [np.float32, np.float64]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


def product(kernel, *args, shape, extra=()):
    dtype = args[0].dtype
    out = np.full(shape, np.nan, dtype)
    launch(kernel, *args, out, *extra)
    return out


def check(got, a, b):
    """`got` is the product of float64 a and b up to the rounding of a sum of |a| |b|."""
    error = np.abs(got - a @ b)
    assert got.shape == error.shape
    assert np.all(error <= TOLERANCE[got.dtype] * (np.abs(a) @ np.abs(b)))


def operands(rng, form, size, dtype, batch=()):
    shapes, _ = FORMS[form]
    m, k, n = size
    return [rng.normal(size=batch + shape).astype(dtype) for shape in shapes(m, k, n)]


def as_plain(form, a, b):
    """The operands of a plain product, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    a = a.swapaxes(-1, -2) if form[0] == "t" else a
    return a, (b.swapaxes(-1, -2) if form[1] == "t" else b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SHAPES + LARGE, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_product_equals_the_float64_product(form, size, dtype, rng):
    a, b = operands(rng, form, size, dtype)
    got = product(getattr(products, f"matmul_{form}"), a, b, shape=(size[0], size[2]))
    check(got, *as_plain(form, a, b))
