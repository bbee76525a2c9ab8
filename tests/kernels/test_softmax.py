"""Softmax, its logarithm and cross-entropy against float64 NumPy."""

import numpy as np
import pytest

from microreg.kernels import softmax as kernels

from .running import garbage, run

TOLERANCE = {np.float32: 2e-6, np.float64: 4e-15}
SHAPES = [(0, 5), (1, 1), (4, 1), (3, 2), (7, 10), (9, 17), (130, 64), (5, 1000), (2, 9001)]
OUTSIDE = [-1, 10, 11, -101, 1 << 40, -(1 << 63), (1 << 63) - 1]  # no label of ten classes
IGNORED = -100


def _logits(shape, dtype, scale=3.0, shift=0.0):
    return (np.random.default_rng(2).normal(size=shape) * scale + shift).astype(dtype)


def _labels(shape):
    return np.random.default_rng(3).integers(0, shape[1], shape[0])


def _log_softmax(x):
    x = x.astype(np.float64)
    z = x - x.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def _run(kernel, *arrays):
    out = garbage(arrays[0].shape, arrays[0].dtype)
    run(kernel, *arrays, out)
    return out


def _cross_entropy(x, labels, ignored=IGNORED):
    loss, probs = garbage(len(x), x.dtype), garbage(x.shape, x.dtype)
    run(kernels.cross_entropy, x, labels, loss, probs, ignored)
    return loss, probs


def _mean(loss, labels, ignored=IGNORED):
    mean, count = garbage(1, loss.dtype), garbage(1, loss.dtype)
    run(kernels.mean_counted, loss, labels, mean, count, ignored)
    return mean, count


def _gradient(probs, labels, g, ignored=IGNORED):
    dx = garbage(probs.shape, probs.dtype)
    run(kernels.cross_entropy_backward, probs, labels, g, dx, ignored)
    return dx


def _mean_gradient(probs, labels, g, count, ignored=IGNORED):
    dx = garbage(probs.shape, probs.dtype)
    run(kernels.cross_entropy_mean_backward, probs, labels, g, count, dx, ignored)
    return dx


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


@pytest.mark.parametrize("shape", SHAPES)
def test_small_probabilities_keep_their_digits(shape, dtype):
    x = _logits(shape, dtype, 8.0)
    np.testing.assert_allclose(
        _run(kernels.softmax_rows, x), np.exp(_log_softmax(x)), rtol=5 * TOLERANCE[dtype]
    )


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
    want = p - (np.arange(shape[1]) == labels[:, None])
    close = {"rtol": tol, "atol": tol}
    got = _gradient(p.astype(dtype), labels, scale)
    np.testing.assert_allclose(got, want * scale[:, None], **close)
    for g in (1.0, -0.7, 3.0):
        numbers = np.array([g], dtype), np.array([len(x)], dtype)
        got = _mean_gradient(p.astype(dtype), labels, *numbers)
        np.testing.assert_allclose(got, want * (g / max(1, len(x))), **close)


@pytest.mark.parametrize("ignored", [IGNORED, 0, 3, 9, 12])
@pytest.mark.parametrize("shape", [(1, 10), (9, 10), (130, 64), (900, 20)])
def test_rows_that_are_ignored_do_not_count(shape, ignored, dtype):
    x, labels = _logits(shape, dtype), _labels(shape)
    labels[::3] = ignored
    counts = labels != ignored
    x[0] = np.nan  # in a row that does not count: it goes nowhere
    log_p = _log_softmax(x)
    loss, probs = _cross_entropy(x, labels, ignored)
    tol = TOLERANCE[dtype]
    want = -log_p[np.arange(len(x)), np.where(counts, labels, 0)]
    np.testing.assert_allclose(loss[counts], want[counts], rtol=tol, atol=tol)
    assert (loss[~counts] == 0).all()
    mean, count = _mean(loss, labels, ignored)
    assert count[0] == counts.sum()
    if counts.any():
        np.testing.assert_allclose(mean[0], want[counts].mean(), rtol=tol)
    else:
        assert np.isnan(mean[0])  # as in PyTorch
    slope = np.exp(log_p) - (np.arange(shape[1]) == labels[:, None])
    g = _logits(shape[:1], dtype, 0.5, 2.0)
    dx = _gradient(probs, labels, g, ignored)
    assert (dx[~counts] == 0).all()
    want = (slope * g[:, None])[counts]
    np.testing.assert_allclose(dx[counts], want, rtol=tol, atol=4 * tol)
    dx = _mean_gradient(probs, labels, g[:1], count, ignored)
    assert (dx[~counts] == 0).all()
    want = (slope * g[0])[counts] / max(1, counts.sum())
    np.testing.assert_allclose(dx[counts], want, rtol=tol, atol=tol)


@pytest.mark.parametrize("label", OUTSIDE)
def test_a_label_that_is_no_class_gives_nan(label, dtype):
    x, labels = _logits((4, 10), dtype), np.array([3, label, 0, 9])
    loss, probs = _cross_entropy(x, labels)
    assert np.isnan(loss).tolist() == [False, True, False, False]
    mean, count = _mean(loss, labels)
    assert np.isnan(mean[0]) and count[0] == 4
    ones = np.ones(4, dtype)
    for dx in (_gradient(probs, labels, ones), _mean_gradient(probs, labels, 4 * ones[:1], count)):
        want = probs - (np.arange(10) == labels[:, None])
        np.testing.assert_allclose(dx, want, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("size", [1, 2, 8191, 100_003])
def test_the_mean_of_many_losses(size, dtype):
    loss = np.abs(_logits(size, dtype, 1.0, 5.0))
    labels = np.arange(size) % 7
    for ignored in (-100, 0, 6):
        counts = labels != ignored
        mean, count = _mean(np.where(counts, loss, dtype(0)), labels, ignored)
        assert count[0] == counts.sum()
        if counts.any():
            want = loss[counts].astype(float).mean()
            np.testing.assert_allclose(mean[0], want, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("width", [3, 16, 37])
def test_gradients_are_those_of_the_values(width):
    """Against central differences along a random direction, with a random cotangent."""
    x, g, way = (np.random.default_rng(i).normal(size=(4, width)) for i in range(3))
    labels = _labels((4, width))
    h = 1e-6
    for forward, backward in (
        (kernels.softmax_rows, kernels.softmax_rows_backward),
        (kernels.log_softmax_rows, kernels.log_softmax_rows_backward),
    ):
        slope = (g * (_run(forward, x + h * way) - _run(forward, x - h * way))).sum() / (2 * h)
        got = (_run(backward, g, _run(forward, x)) * way).sum()
        assert abs(got - slope) <= 1e-8 * np.abs(g * way).sum()
    slope = g[:, 0] @ (
        _cross_entropy(x + h * way, labels)[0] - _cross_entropy(x - h * way, labels)[0]
    )
    got = (_gradient(_cross_entropy(x, labels)[1], labels, g[:, 0].copy()) * way).sum()
    assert abs(got - slope / (2 * h)) <= 1e-8 * np.abs(g[:, :1] * way).sum()


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


def test_one_class(dtype):
    x = _logits((5, 1), dtype, 100.0)
    loss, probs = _cross_entropy(x, np.zeros(5, np.int64))
    assert loss.tolist() == [0] * 5 and probs.ravel().tolist() == [1] * 5
    assert _run(kernels.log_softmax_rows, x).ravel().tolist() == [0] * 5
