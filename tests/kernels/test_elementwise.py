"""Elementwise kernels and their gradients against float64 NumPy."""

import math

import numpy as np
import pytest

from microreg.kernels import elementwise
from microreg.runtime import get_num_threads, launch, set_num_threads

DTYPES = [np.float32, np.float64]
RTOL = {np.float32: 1e-6, np.float64: 1e-14}
SIZES = [0, 1, 15, 16, 17, 1000, 8191, 8192, 8193, 30_001]
MAPS = ("relu", "exp", "log", "tanh", "sigmoid", "erf", "gelu")
ZIPS = ("relu_backward", "tanh_backward", "sigmoid_backward", "gelu_backward")


def _normal_cdf(x):
    return 0.5 * np.array([math.erfc(-v * math.sqrt(0.5)) for v in x])


VALUE = {
    "relu": lambda x: np.maximum(x, 0),
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": lambda x: np.array([math.erf(v) for v in x]),
    "gelu": lambda x: x * _normal_cdf(x),
}
GRADIENT = {
    "relu_backward": lambda g, out: g * (out > 0),
    "tanh_backward": lambda g, out: g * (1 - out**2),
    "sigmoid_backward": lambda g, out: g * out * (1 - out),
    "gelu_backward": lambda g, x: (
        g * (_normal_cdf(x) + x * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi))
    ),
}


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


def _inputs(name, size, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=size) * 2
    return (np.abs(x) + 0.01 if name == "log" else x).astype(dtype)


def _run(name, *arrays):
    """The kernel's output; the arrays must come out as they went in."""
    before = [a.copy() for a in arrays]
    out = np.full_like(arrays[0], 7)
    launch(getattr(elementwise, name), *arrays, out)
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MAPS)
def test_values(name, dtype):
    for size in SIZES:
        x = _inputs(name, size, dtype, size)
        rtol = RTOL[dtype]
        np.testing.assert_allclose(
            _run(name, x), VALUE[name](x.astype(np.float64)), rtol=rtol, atol=rtol
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ZIPS)
def test_gradients(name, dtype):
    for size in SIZES:
        g, y = _inputs(name, size, dtype, 1), _inputs(name, size, dtype, 2)
        y = np.tanh(y) if name == "tanh_backward" else y
        want = GRADIENT[name](g.astype(np.float64), y.astype(np.float64))
        np.testing.assert_allclose(_run(name, g, y), want, rtol=RTOL[dtype], atol=4 * RTOL[dtype])


@pytest.mark.parametrize("forward", ["relu", "tanh", "sigmoid", "gelu"])
def test_gradients_are_those_of_the_values(forward):
    """Against central differences, with a random cotangent."""
    x, g, h = _inputs(forward, 300, np.float64, 4), _inputs(forward, 300, np.float64, 5), 1e-6
    x = x[np.abs(x) > 1e-4]
    g = g[: x.size]
    kept = x if forward == "gelu" else _run(forward, x)
    want = g * (_run(forward, x + h) - _run(forward, x - h)) / (2 * h)
    np.testing.assert_allclose(_run(f"{forward}_backward", g, kept), want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MAPS)
def test_nan_survives(name, dtype):
    x = np.ones(100, dtype)
    x[[0, 17, 99]] = np.nan
    assert np.flatnonzero(np.isnan(_run(name, x))).tolist() == [0, 17, 99]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ZIPS)
def test_nan_survives_in_gradients(name, dtype):
    g = np.ones(100, dtype)
    g[17] = np.nan
    assert np.isnan(_run(name, g, np.full_like(g, 0.25))[17])
    assert np.isnan(_run(name, np.ones_like(g), g)[17]) or name == "relu_backward"


def test_relu_at_its_edges():
    x = np.array([-np.inf, -1.0, -0.0, 0.0, 5e-324, np.inf])
    out = _run("relu", x)
    assert out.tolist() == [0, 0, 0, 0, 5e-324, np.inf]
    assert _run("relu_backward", np.full(6, 3.0), out).tolist() == [0, 0, 0, 0, 3, 3]


@pytest.mark.parametrize("name", MAPS)
def test_same_bits_for_any_number_of_threads(name, threads, monkeypatch):
    monkeypatch.setattr(getattr(elementwise, name), "grain", 1)
    x = _inputs(name, 50_001, np.float32)
    results = []
    for count in (1, 2, 4):
        threads(count)
        results.append(_run(name, x).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("name", MAPS)
def test_a_value_does_not_depend_on_its_place(name):
    """The end of an array, where fewer lanes are left, has the same bits as the middle."""
    x = _inputs(name, 45, np.float32)
    whole = _run(name, x)
    for size in (1, 2, 3, 7, 31, 44):
        np.testing.assert_array_equal(_run(name, x[:size].copy()), whole[:size])
