"""Softmax, its logarithm and cross-entropy against float64 NumPy."""

import numpy as np
import pytest

from microreg.kernels import softmax as kernels
from microreg.runtime import get_num_threads, launch, set_num_threads

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-6, np.float64: 4e-15}
SHAPES = [(0, 5), (1, 1), (4, 1), (3, 2), (7, 10), (9, 17), (130, 64), (5, 1000), (2, 9001)]


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


def _logits(shape, dtype, scale=3.0, shift=0.0):
    return (np.random.default_rng(2).normal(size=shape) * scale + shift).astype(dtype)


def _labels(shape):
    return np.random.default_rng(3).integers(0, shape[1], shape[0])


def _log_softmax(x):
    x = x.astype(np.float64)
    z = x - x.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def _run(kernel, *arrays):
    out = np.full_like(arrays[0], np.nan)
    launch(kernel, *arrays, out)
    return out


def _cross_entropy(x, labels):
    loss, probs = np.full(len(x), np.nan, x.dtype), np.full_like(x, np.nan)
    launch(kernels.cross_entropy, x, labels, loss, probs)
    return loss, probs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale, shift", [(3.0, 0.0), (0.01, 1000.0), (40.0, -200.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(shape, scale, shift, dtype):
    x = _logits(shape, dtype, scale, shift)
    labels = _labels(shape)
    want = _log_softmax(x)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(_run(kernels.softmax_rows, x), np.exp(want), **close)
    np.testing.assert_allclose(_run(kernels.log_softmax_rows, x), want, **close)
    loss, probs = _cross_entropy(x, labels)
    np.testing.assert_allclose(probs, np.exp(want), **close)
    np.testing.assert_allclose(loss, -want[np.arange(len(x)), labels], **close)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_small_probabilities_keep_their_digits(shape, dtype):
    x = _logits(shape, dtype, 8.0)
    np.testing.assert_allclose(
        _run(kernels.softmax_rows, x), np.exp(_log_softmax(x)), rtol=5 * TOLERANCE[dtype]
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward(shape, dtype):
    x, g = _logits(shape, dtype), _logits(shape, dtype)[::-1].copy()
    labels, scale = _labels(shape), _logits(shape[:1], dtype, 0.5, 2.0)
    p = np.exp(_log_softmax(x))
    wide = g.astype(np.float64)
    tol = TOLERANCE[dtype]
    want = p * (wide - (wide * p).sum(axis=1, keepdims=True))
    out = _run(kernels.softmax_rows, x)
    np.testing.assert_allclose(
        _run(kernels.softmax_rows_backward, g, out), want, rtol=tol, atol=4 * tol
    )
    bound = tol * np.abs(wide).sum(axis=1, keepdims=True)
    want = wide - p * wide.sum(axis=1, keepdims=True)
    out = _run(kernels.log_softmax_rows, x)
    got = _run(kernels.log_softmax_rows_backward, g, out)
    assert np.all(np.abs(got - want) <= bound + tol)
    want = p.copy()
    want[np.arange(len(x)), labels] -= 1
    got = np.full_like(x, np.nan)
    launch(kernels.cross_entropy_backward, p.astype(dtype), labels, scale, got)
    np.testing.assert_allclose(got, want * scale[:, None], rtol=tol, atol=tol)


@pytest.mark.parametrize("width", [3, 16, 37])
def test_gradients_are_those_of_the_values(width):
    """Against central differences along a random direction, with a random cotangent."""
    x, g, way = (np.random.default_rng(i).normal(size=(4, width)) for i in range(3))
    for forward, backward in (
        (kernels.softmax_rows, kernels.softmax_rows_backward),
        (kernels.log_softmax_rows, kernels.log_softmax_rows_backward),
    ):
        h = 1e-6
        slope = (g * (_run(forward, x + h * way) - _run(forward, x - h * way))).sum() / (2 * h)
        got = (_run(backward, g, _run(forward, x)) * way).sum()
        assert abs(got - slope) <= 1e-8 * np.abs(g * way).sum()


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_entries(dtype):
    inf, nan = np.inf, np.nan
    x = np.array(
        [[0, -inf, 0], [-inf, -inf, -inf], [inf, 0, 1], [inf, inf, 0], [nan, 0, 1], [-inf, 2, nan]],
        dtype,
    )
    p, logp = _run(kernels.softmax_rows, x), _run(kernels.log_softmax_rows, x)
    loss, probs = _cross_entropy(x, np.array([1, 0, 1, 2, 1, 0]))
    assert p[0].tolist() == [0.5, 0, 0.5] and probs[0].tolist() == [0.5, 0, 0.5]
    assert logp[0, 1] == -inf and abs(logp[0, 0] + np.log(2)) < 1e-6 and loss[0] == inf
    for rest in (p[1:], probs[1:], logp[1:], loss[1:]):
        assert np.all(np.isnan(rest))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_class(dtype):
    x = _logits((5, 1), dtype, 100.0)
    loss, probs = _cross_entropy(x, np.zeros(5, np.int64))
    assert loss.tolist() == [0] * 5 and probs.ravel().tolist() == [1] * 5
    assert _run(kernels.log_softmax_rows, x).ravel().tolist() == [0] * 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(dtype, threads, monkeypatch):
    names = ("softmax_rows", "log_softmax_rows", "cross_entropy", "softmax_rows_backward")
    for name in names:
        monkeypatch.setattr(getattr(kernels, name), "grain", 1)
    x = _logits((900, 64), dtype)
    labels = _labels(x.shape)
    results = set()
    for count in (1, 2, 4):
        threads(count)
        out = _run(kernels.softmax_rows, x)
        parts = [out, _run(kernels.log_softmax_rows, x), *_cross_entropy(x, labels)]
        parts.append(_run(kernels.softmax_rows_backward, x, out))
        results.add(b"".join(p.tobytes() for p in parts))
    assert len(results) == 1
