"""Normalization kernels against float64 NumPy, through the ops that allocate for them."""

import numpy as np
import pytest

from microreg.kernels import norm
from microreg.ops import normalization
from microreg.runtime import get_num_threads, launch, set_num_threads
from microreg.tensor import Node

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
ROWS = [(1, 5), (3, 1), (7, 33), (130, 64), (9, 9000), (700, 70), (0, 4)]
GRIDS = [(2, 3, 1), (7, 5, 3), (300, 64, 1), (3, 2, 9000), (9, 4, 35), (1, 3, 2)]


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


def normal(shape, dtype, seed=0, mean=0.0, std=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * std + mean).astype(dtype)


def naive(x, axes, eps):
    """x_hat, mean and 1/std in float64."""
    x = x.astype(np.float64)
    mean = x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(np.square(x - mean).mean(axes, keepdims=True) + eps)
    return (x - mean) * rstd, mean, rstd


def naive_backward(g, x_hat, rstd, weight, axes):
    h = g.astype(np.float64) * weight
    return rstd * (h - h.mean(axes, keepdims=True) - x_hat * (h * x_hat).mean(axes, keepdims=True))


def close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * scale)


def backward(op, inputs, saved, g, **attrs):
    node = Node(op, inputs, [True] * 3, inputs, None, saved, attrs)
    return op.vjp(g, node)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", ROWS, ids=str)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_and_its_gradient(shape, dtype, eps):
    x, g = normal(shape, dtype, 1, 3.0, 2.0), normal(shape, dtype, 2)
    weight, bias = normal(shape[1], dtype, 3), normal(shape[1], dtype, 4)
    out, saved = normalization.layer_norm.forward(x, weight, bias, eps=eps)
    x_hat, mean, rstd = naive(x, (1,), eps)
    close(out, x_hat * weight + bias, dtype, 4)
    close(saved[0], mean[:, 0], dtype)
    close(saved[1], rstd[:, 0], dtype, max(1.0, rstd.max(initial=0)))
    dx, dweight, dbias = backward(normalization.layer_norm, (x, weight, bias), saved, g, eps=eps)
    scale = max(1.0, rstd.max(initial=0))
    close(dx, naive_backward(g, x_hat, rstd, weight, (1,)), dtype, 10 * scale)
    close(dweight, (g * x_hat).sum(0), dtype, 10 * max(1, shape[0]) ** 0.5)
    close(dbias, g.astype(np.float64).sum(0), dtype, 10 * max(1, shape[0]) ** 0.5)


def batch(shape, dtype, eps, mean=3.0):
    c = shape[1]
    x, g = normal(shape, dtype, 1, mean, 2.0), normal(shape, dtype, 2)
    weight, bias = normal(c, dtype, 3), normal(c, dtype, 4)
    attrs = {"eps": eps, "momentum": 0.1, "running_mean": None, "running_var": None}
    out, saved = normalization.batch_norm.forward(x, weight, bias, **attrs)
    gradients = backward(normalization.batch_norm, (x, weight, bias), saved, g, **attrs)
    return x, g, weight, bias, out, saved, gradients


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", GRIDS, ids=str)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_batch_norm_and_its_gradient(shape, dtype, eps):
    x, g, weight, bias, out, saved, (dx, dweight, dbias) = batch(shape, dtype, eps)
    along = (1, -1, 1)
    x_hat, mean, rstd = naive(x, (0, 2), eps)
    close(out, x_hat * weight.reshape(along) + bias.reshape(along), dtype, 4 * rstd.max() + 4)
    close(saved[0], mean.reshape(-1), dtype)
    scale = 20 * max(1.0, rstd.max()) * (shape[0] * shape[2]) ** 0.5
    want = naive_backward(g, x_hat, rstd, weight.reshape(along), (0, 2))
    close(dx, want, dtype, 20 * max(1.0, rstd.max()))
    close(dweight, (g * x_hat).sum((0, 2)), dtype, scale)
    close(dbias, g.astype(np.float64).sum((0, 2)), dtype, scale)


@pytest.mark.parametrize("mean", [0.0, 37.0, 1000.0, -20000.0])
@pytest.mark.parametrize("shape", [(5000, 3, 1), (77, 5, 91), (2, 7, 20_000)], ids=str)
def test_batch_variance_survives_a_large_mean(shape, mean):
    n, c, s = shape
    x = normal(shape, np.float32, 5, mean)
    sizes = {"n": n, "c": c, "s": s}
    partial = np.empty((norm.batch_norm_stats.blocks(sizes), c, 2))
    got_mean, var, rstd = np.empty((3, c), np.float32)
    launch(norm.batch_norm_stats, x, partial)
    per_block = norm.batch_norm_stats.rows(sizes) * s
    launch(norm.merge_stats, partial, got_mean, var, rstd, per_block, n * s, 0.0)
    want = x.astype(np.float64).var((0, 2))
    np.testing.assert_allclose(var, want, rtol=1e-6)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(want), rtol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 37.0, 1000.0, -20000.0])
@pytest.mark.parametrize("d", [7, 512, 9001])
def test_row_variance_survives_a_large_mean(d, mean):
    x = normal((5, d), np.float32, 6, mean)
    one, zero = np.ones(d, np.float32), np.zeros(d, np.float32)
    rstd = normalization.layer_norm.forward(x, one, zero, eps=0.0)[1][1]
    np.testing.assert_allclose(
        rstd.astype(np.float64) ** -2, x.astype(np.float64).var(1), rtol=1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_row_or_channel_alone(bad):
    x = normal((6, 4), np.float32)
    x[2, 1] = bad
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    rows, _ = normalization.layer_norm.forward(x, one, zero, eps=1e-5)
    assert np.isnan(rows[2]).all()
    assert np.isfinite(np.delete(rows, 2, 0)).all()
    attrs = {"eps": 1e-5, "momentum": 0.1, "running_mean": None, "running_var": None}
    columns, _ = normalization.batch_norm.forward(x, one, zero, **attrs)
    assert np.isnan(columns[:, 1]).all()
    assert np.isfinite(np.delete(columns, 1, 1)).all()


def test_bits_do_not_depend_on_the_threads(threads, monkeypatch):
    names = [n for n, k in vars(norm).items() if hasattr(k, "grain")]
    for name in names:
        monkeypatch.setattr(getattr(norm, name), "grain", 1)

    def everything():
        _, _, _, _, out, saved, gradients = batch((700, 40, 3), np.float32, 1e-5)
        x, g = normal((700, 90), np.float32, 1), normal((700, 90), np.float32, 2)
        inputs = (x, normal(90, np.float32, 3), normal(90, np.float32, 4))
        rows, kept = normalization.layer_norm.forward(*inputs, eps=1e-5)
        more = backward(normalization.layer_norm, inputs, kept, g, eps=1e-5)
        return [a.tobytes() for a in (out, *saved, *gradients, rows, *kept, *more)]

    threads(1)
    want = everything()
    for count in (2, 4):
        threads(count)
        assert everything() == want
