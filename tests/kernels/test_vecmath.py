"""The formulas of vecmath against references of more precision, in units in the last place."""

import math

import numpy as np
import pytest

from microreg.kernels import formulas, lift, vecmath
from microreg.runtime import launch

NAMES = ("exp", "log", "tanh", "erf", "sigmoid")
ULPS = {
    "exp": 0.95,
    "log": 0.95,
    "erf": 1.3,
    "tanh": 2.7,
    "sigmoid": 2.4,
}  # units in the last place
WIDE = np.longdouble
EXACT = np.finfo(WIDE).eps < 1e-18  # else float64 is checked against float64 functions
SLACK = {np.float32: 0.0, np.float64: 0.0 if EXACT else 1.5}
CPU = {name: lift.maps(getattr(vecmath, name)) for name in NAMES}


def _erf(x):
    return np.array([math.erf(v) for v in x.astype(np.float64).tolist()])


REFERENCE = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": _erf,
}


def _apply(name, x):
    out = np.full_like(x, 7)
    launch(CPU[name], x, out)
    return out


def _errors(name, x):
    """The distance from the true value, in units in the last place of x's dtype."""
    want = np.asarray(REFERENCE[name](x.astype(WIDE)), WIDE)
    unit = np.spacing(np.abs(want).astype(x.dtype)).astype(WIDE)
    return np.abs(_apply(name, x).astype(WIDE) - want) / unit


def _inputs(name, dtype):
    """Arguments over the whole range where the result is neither 0 nor inf, dense near 0 and 1."""
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    top = float(np.log(info.max)) * 0.999
    size = 40_000
    if name == "log":
        bottom = np.log10(float(info.smallest_subnormal)) + 1
        wide = 10 ** rng.uniform(bottom, np.log10(float(info.max)) * 0.999, size)
        parts = [wide, rng.uniform(0.5, 2, size), 1 + rng.normal(size=size) * 1e-3]
    else:
        limit = {"exp": top, "sigmoid": top * 0.98, "tanh": 25.0, "erf": 6.5}[name]
        parts = [
            rng.uniform(-limit, limit, size),
            rng.normal(size=size),
            rng.normal(size=size) / 50,
        ]
        if name in ("tanh", "erf"):
            parts.append(10 ** rng.uniform(np.log10(float(info.tiny)) + 1, 0, size))
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_error_in_units_in_the_last_place(name, dtype):
    x = _inputs(name, dtype)
    errors = _errors(name, x)
    # math.erf itself is a float64 function, wrong by up to one unit
    allowed = ULPS[name] + SLACK[dtype] + (1.0 if (name, dtype) == ("erf", np.float64) else 0.0)
    worst = int(np.argmax(errors))
    assert errors[worst] <= allowed, f"{name}({x[worst]!r}) is {errors[worst]:.2f} units off"


INF, NAN = np.inf, np.nan
SPECIAL = {  # arguments, then their values
    "exp": ([0.0, -0.0, INF, -INF, 1e4, -1e4], [1, 1, INF, 0, INF, 0]),
    "log": ([0.0, -0.0, 1, INF, -INF, -1, -1e-40], [-INF, -INF, 0, INF, NAN, NAN, NAN]),
    "tanh": ([0.0, -0.0, INF, -INF, 30, -1e30], [0.0, -0.0, 1, -1, 1, -1]),
    "erf": ([0.0, -0.0, INF, -INF, 7, -1e30], [0.0, -0.0, 1, -1, 1, -1]),
    "sigmoid": ([0.0, -0.0, INF, -INF, 1e4, -1e4], [0.5, 0.5, 1, 0, 1, 0]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_special_values_are_exact(name, dtype):
    arguments, values = SPECIAL[name]
    x = np.array([*arguments, NAN, -NAN], dtype)
    want = np.array([*values, NAN, NAN], dtype)
    got = _apply(name, x)
    np.testing.assert_array_equal(got, want)
    number = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(want[number]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_denormal_numbers_go_in_and_come_out(dtype):
    info = np.finfo(dtype)
    smallest = info.smallest_subnormal
    got = _apply("log", np.array([smallest, 3 * smallest, info.tiny / 2], dtype))
    want = np.log(np.array([smallest, 3 * smallest, info.tiny / 2], WIDE)).astype(dtype)
    np.testing.assert_allclose(got, want, rtol=4 * info.eps)
    x = np.linspace(np.log(info.tiny), np.log(float(smallest)) - 0.5, 50).astype(dtype)
    got = _apply("exp", x)
    assert np.all(np.abs(got - np.exp(x.astype(WIDE))) <= smallest) and np.all(got[:-1] > 0)
    for name in ("tanh", "erf"):
        assert _apply(name, np.array([smallest, -smallest], dtype)).tolist() == [
            smallest,
            -smallest,
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_at_the_ends_of_its_range(dtype):
    top = np.log(np.finfo(dtype).max)
    eps = np.finfo(dtype).eps
    got = _apply("exp", np.array([top * (1 - 2 * eps), top * (1 + 2 * eps)], dtype))
    assert np.isfinite(got[0]) and np.isinf(got[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ("tanh", "erf"))
def test_odd_functions_are_odd_to_the_bit(name, dtype):
    x = _inputs(name, dtype)
    np.testing.assert_array_equal(_apply(name, -x), -_apply(name, x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_distribution_function_and_the_slope_of_gelu(dtype):
    x = np.concatenate([np.linspace(-9, 9, 4001), [0, -0.0, 50, -50, 1e30, -1e30]]).astype(dtype)
    cdf = 0.5 * np.array([math.erfc(-v * math.sqrt(0.5)) for v in x.tolist()])
    slope = cdf + x * np.exp(-0.5 * np.minimum(np.abs(x.astype(float)), 60) ** 2) / math.sqrt(
        2 * math.pi
    )
    atol = {np.float32: 6e-7, np.float64: 5e-16}[dtype]
    gelu, dx = np.empty_like(x), np.empty_like(x)
    launch(lift.maps(formulas.gelu), x, gelu)
    launch(lift.pairs(formulas.gelu_slope), np.ones_like(x), x, dx)
    np.testing.assert_allclose(gelu, x * cdf, rtol=atol, atol=9 * atol)
    np.testing.assert_allclose(dx, slope, rtol=0, atol=2 * atol)
    np.testing.assert_allclose(dx[-4:], [1, 0, 1, 0], rtol=0, atol=2e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_interpreted_and_compiled_agree(name, dtype):
    """In Python fma rounds twice, so the last digits may differ; the dtype may not."""
    x = np.array([0.1, 0.7, 1.3, 2.9, 8.5], dtype)
    formula = getattr(vecmath, name)
    got = [formula(v) for v in x]
    assert all(type(v) is dtype for v in got)
    np.testing.assert_allclose(got, _apply(name, x), rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype, lanes", [(np.float32, 4), (np.float64, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_loops_are_vectorised(name, dtype, lanes):
    lower = pytest.importorskip("microreg.kernels._lower")
    text = str(lower.module(CPU[name], np.dtype(dtype)))
    kind = {np.float32: "float", np.float64: "double"}[dtype]
    assert any(
        f"fmul <{n} x {kind}>" in text or f"call <{n} x {kind}> @llvm.fma" in text
        for n in (lanes, 2 * lanes, 4 * lanes)
    )
