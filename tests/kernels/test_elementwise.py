"""Array kernels made of every formula in formulas.py, against NumPy in float64."""

import inspect
import math

import numpy as np
import pytest

from microreg.kernels import formulas, lift
from microreg.kernels._jit import SCALARS

from .running import garbage, run

TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}  # of the value, and of the largest one
SIZES = [0, 1, 2, 15, 16, 17, 33, 1000, 8191, 8192, 8193, 30_001]
CUBES = [
    *[(1, 1, 1), (3, 5, 1), (1, 7, 1), (1, 1, 9), (2, 3, 4), (5, 1, 8), (4, 17, 33)],
    *[(0, 2, 3), (2, 0, 3), (2, 3, 0), (1, 8193, 1), (8193, 2, 1), (3, 2, 5000), (700, 40, 1)],
]
NUMBERS = [0.7, -1.3, 3.0]
STRANGE = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.5, -1e-30, 1e30]


def normal_cdf(x):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v * math.sqrt(0.5)), otypes=[float])(x)


def gelu_slope(g, x):
    bell = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return g * (normal_cdf(x) + np.where(bell == 0, 0.0, x * bell))


def silu_slope(g, x):
    s = 1 / (1 + np.exp(-x))
    return g * s * (1 + x * (1 - s))


def hardswish_slope(g, x):
    return np.where(x <= -3, 0.0, np.where(x < 3, g * (x / 3 + 0.5), g))


def bce(p, y):
    return -y * np.maximum(np.log(p), -100) - (1 - y) * np.maximum(np.log1p(-p), -100)


def share(better):
    return lambda a, b: np.where(better(a, b) | np.isnan(a), 1.0, np.where(a == b, 0.5, 0.0))


MAPS = {
    "neg": np.negative,
    "absolute": np.abs,
    "sqrt": np.sqrt,
    "sign": np.sign,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "log2": np.log2,
    "log10": np.log10,
    "reciprocal": np.reciprocal,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round_even": np.rint,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "relu": lambda x: np.where(x <= 0, 0.0, x),
    "gelu": lambda x: x * normal_cdf(x),
    "softplus": lambda x: np.logaddexp(x, 0),
}
PAIRS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "power": np.power,
    "remainder": np.remainder,
    "floor_divide": np.floor_divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "share_above": share(np.greater),
    "share_below": share(np.less),
    "at_least": lambda a, b: (a >= b) * 1.0,
    "at_most": lambda a, b: (a <= b) * 1.0,
    "same": lambda a, b: ((a == b) | (np.isnan(a) & np.isnan(b))) * 1.0,
    "relu_slope": lambda g, out: np.where(out <= 0, 0.0, g),
    "tanh_slope": lambda g, out: g * (1 - out**2),
    "sigmoid_slope": lambda g, out: g * out * (1 - out),
    "silu_slope": silu_slope,
    "elu_slope": lambda g, out: np.where(out <= 0, g * (out + 1), g),
    "hardswish_slope": hardswish_slope,
    "gelu_slope": gelu_slope,
    "binary_cross_entropy": bce,
}
TESTS = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
BITS = {"bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor}  # integers
TRIPLES = {"choose": lambda c, a, b: np.where(c != 0, a, b)}
# one rounding or none: the bits are those of NumPy in the same dtype
EXACT = {"neg", "absolute", "sqrt", "sign", "relu", "add", "sub", "mul", "div", "maximum"}
EXACT |= {"minimum", "share_above", "share_below", "at_least", "at_most", "same", "relu_slope"}
EXACT |= {"floor", "ceil", "round_even", "reciprocal", "remainder", "floor_divide"}
# whose first argument is positive here
POSITIVE = {"sqrt", "log", "log1p", "log2", "log10", "rsqrt", "power"}
DIVIDING = {"div", "remainder", "floor_divide", "reciprocal"}

REFERENCE = MAPS | PAIRS | TESTS | TRIPLES
BINARY = [*PAIRS, *TESTS]


def kind(name):
    return ":bool" if name in TESTS else ""


def formula(name):
    return getattr(formulas, name)


def draw(rng, name, *shapes, dtype):
    """An array for each shape, with ties between them and with zeros."""
    arrays = [np.round(rng.normal(size=shape) * 2, 1) + 0.0 for shape in shapes]
    if name in DIVIDING:
        arrays = [np.where(x == 0, 0.1, x) for x in arrays]
    if name in POSITIVE:
        arrays[0] = np.abs(arrays[0]) + 0.05
    if name == "binary_cross_entropy":
        arrays[0] = np.clip(np.abs(arrays[0]) / 5, 0, 1)
    return [x.astype(dtype) for x in arrays]


def result(name, shape, dtype):
    return garbage(shape, np.bool_ if name in TESTS else dtype)


def agree(name, got, *args):
    """`got` is the formula of the arguments, arrays or numbers: to the bit, or as in float64."""
    dtype = next(x.dtype for x in args if isinstance(x, np.ndarray))
    wider = dtype if name in EXACT | set(TESTS) else float
    with np.errstate(all="ignore"):
        want = REFERENCE[name](*(np.asarray(x, dtype).astype(wider) for x in args))
    if wider is dtype:
        np.testing.assert_array_equal(got, want.astype(got.dtype))
    else:
        tolerance = TOLERANCE[dtype.type]
        largest = np.abs(want).max(initial=1.0)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * largest)


def test_every_formula_is_here():
    known = {function for function, _, _ in SCALARS}
    named = {n: f for n, f in vars(formulas).items() if callable(f) and f in known}
    assert sorted(named) == sorted(REFERENCE | BITS)
    arity = {n: len(inspect.signature(f).parameters) for n, f in named.items()}
    for count, names in ((1, MAPS), (2, [*BINARY, *BITS]), (3, TRIPLES)):
        assert {arity[name] for name in names} == {count}


@pytest.mark.parametrize("name", MAPS)
def test_a_function_of_one_array(name, dtype, rng):
    for size in SIZES:
        (x,) = draw(rng, name, size, dtype=dtype)
        out = result(name, size, dtype)
        run(lift.maps(formula(name)), x, out)
        agree(name, out, x)


@pytest.mark.parametrize("name", BINARY)
def test_a_function_of_two_arrays(name, dtype, rng):
    for size in SIZES:
        arrays = draw(rng, name, size, size, dtype=dtype)
        out = result(name, size, dtype)
        run(lift.pairs(formula(name), kind(name)), *arrays, out)
        agree(name, out, *arrays)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("name", BINARY)
def test_a_function_of_an_array_and_a_number(name, flipped, dtype, rng):
    kernel = lift.numbers(formula(name), flipped, kind(name))
    for number in NUMBERS:
        for size in SIZES:
            (x,) = draw(rng, "" if flipped and name == "power" else name, size, dtype=dtype)
            s = abs(number) if flipped and name == "power" else number
            out = result(name, size, dtype)
            run(kernel, x, out, s)
            agree(name, out, *((s, x) if flipped else (x, s)))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("name", BINARY)
def test_a_function_of_an_array_and_a_middle_axis(name, flipped, dtype, rng):
    kernel = lift.middles(formula(name), flipped, kind(name))
    for shape in CUBES:
        shapes = [(1, shape[1], 1), shape] if flipped else [shape, (1, shape[1], 1)]
        arrays = draw(rng, name, *shapes, dtype=dtype)
        out = result(name, shape, dtype)
        whole, part = arrays[::-1] if flipped else arrays
        run(kernel, whole, part.reshape(-1), out)
        agree(name, out, *arrays)


@pytest.mark.parametrize("name", TRIPLES)
def test_a_function_of_three_arrays(name, dtype, rng):
    for size in SIZES:
        arrays = draw(rng, name, size, size, size, dtype=dtype)
        out = result(name, size, dtype)
        run(lift.triples(formula(name)), *arrays, out)
        np.testing.assert_array_equal(out, REFERENCE[name](*arrays))


@pytest.mark.parametrize("name", REFERENCE)
def test_what_is_not_finite_is_as_in_numpy(name, dtype):
    count = len(inspect.signature(formula(name)).parameters)
    arrays = [grid.ravel() for grid in np.meshgrid(*[np.array(STRANGE, dtype)] * count)]
    if name == "gelu_slope":  # of an infinite x: inf * 0 in the formula, 0 or 1 in the limit
        arrays = [x[np.abs(arrays[1]) < np.inf] for x in arrays]
    out = result(name, arrays[0].size, dtype)
    made = {1: lift.maps, 2: lift.pairs, 3: lift.triples}[count]
    run(made(formula(name), *[kind(name)] * (name in TESTS)), *arrays, out)
    with np.errstate(all="ignore"):
        want = REFERENCE[name](*arrays).astype(dtype)
    np.testing.assert_allclose(out, want, rtol=4 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", MAPS)
def test_a_value_does_not_depend_on_its_place(name, dtype, rng):
    """The end of an array, where fewer lanes are left, has the same bits as the middle."""
    kernel, (x,) = lift.maps(formula(name)), draw(rng, name, 45, dtype=dtype)
    whole = garbage(x.shape, dtype)
    run(kernel, x, whole)
    for size in (1, 2, 3, 7, 31, 44):
        part = garbage(size, dtype)
        run(kernel, x[:size].copy(), part)
        np.testing.assert_array_equal(part, whole[:size])


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "silu", "hardswish", "elu"])
def test_a_slope_is_that_of_the_value(name, rng):
    """Against central differences, with a random cotangent."""
    x, g, h = rng.normal(size=300) * 2, rng.normal(size=300), 1e-6

    def value(x):
        out = np.empty_like(x)
        run(lift.maps(formula(name)), x, out)
        return out

    dx = np.empty_like(x)
    saved = x if name in ("gelu", "silu", "hardswish") else value(x)
    run(lift.pairs(formula(f"{name}_slope")), g, saved, dx)
    want = g * (value(x + h) - value(x - h)) / (2 * h)
    np.testing.assert_allclose(dx, want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("integer", [np.int64, np.int16, np.bool_])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum", *BITS, *TESTS])
def test_integers_beside_integers(name, integer, rng):
    """Labels, counters and masks are added up and compared inside a step, too."""
    a, b = (rng.integers(-3, 4, 50).astype(integer) for _ in range(2))
    out = result(name, 50, integer)
    if name in ("add", "sub", "mul") and integer == np.bool_:
        a, b, out = a.astype(int), b.astype(int), out.astype(int)
    run(lift.pairs(formula(name), kind(name)), a, b, out)
    reference = (REFERENCE | BITS)[name]
    np.testing.assert_array_equal(out, reference(a, b))
    for number in (-2, 0, 1, 3):
        for flipped in (False, True):
            run(lift.numbers(formula(name), flipped, kind(name)), a, out, number)
            s = a.dtype.type(number)
            np.testing.assert_array_equal(out, reference(s, a) if flipped else reference(a, s))
