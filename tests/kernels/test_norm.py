"""Layer norm kernels against float64 NumPy."""

import numpy as np
import pytest

from microreg.kernels import norm

from .running import garbage, run

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
# The largest relative error of a variance in float32. Beyond a mean of 10^4 deviations the entries
# lie on so coarse a grid that their squares are rounded one way.
VARIANCE = {0.0: 1e-6, 37.0: 1e-6, 1000.0: 1e-6, -20000.0: 2e-6}
ENTRY = 3e-6  # the largest error of a normalized entry in float32
ROWS = [(1, 1), (1, 5), (3, 1), (7, 33), (130, 64), (9, 9000), (700, 70), (2, 4096), (2, 4097)]
EMPTY = [(0, 4), (3, 0)]


def normal(shape, dtype, seed=0, mean=0.0, std=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * std + mean).astype(dtype)


def naive(x, eps):
    """x_hat, mean and 1/std of each row, in float64."""
    x = x.astype(np.float64)
    mean = x.mean(1, keepdims=True)
    rstd = 1 / np.sqrt(np.square(x - mean).mean(1, keepdims=True) + eps)
    return (x - mean) * rstd, mean, rstd


def forward(x, weight, bias, eps):
    out, mean, rstd = (garbage(shape, x.dtype) for shape in (x.shape, len(x), len(x)))
    run(norm.layer_norm, x, weight, bias, out, mean, rstd, eps)
    return out, mean, rstd


def backward(g, x, mean, rstd, weight):
    """dx, dweight, dbias; each block gives its own sums."""
    n, d = x.shape
    blocks = norm.layer_norm_backward.blocks({"n": n, "d": d})
    dx, *partial = (garbage(shape, x.dtype) for shape in (x.shape, (blocks, d), (blocks, d)))
    run(norm.layer_norm_backward, g, x, mean, rstd, weight, dx, *partial)
    return dx, *(p.sum(0) for p in partial)


def close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("eps", [1e-5, 0.3, 7.0])
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_rows_are_normalized_and_gradients_come_back(shape, eps, dtype):
    x, g = normal(shape, dtype, 1, 3.0, 2.0), normal(shape, dtype, 2)
    weight, bias = normal(shape[1], dtype, 3), normal(shape[1], dtype, 4)
    out, mean, rstd = forward(x, weight, bias, eps)
    x_hat, want_mean, want_rstd = naive(x, eps)
    scale = max(1.0, want_rstd.max())
    close(out, x_hat * weight + bias, dtype, 4)
    close(mean, want_mean[:, 0], dtype)
    close(rstd, want_rstd[:, 0], dtype, scale)
    dx, dweight, dbias = backward(g, x, mean, rstd, weight)
    h = g.astype(np.float64) * weight
    want = h - h.mean(1, keepdims=True) - x_hat * (h * x_hat).mean(1, keepdims=True)
    close(dx, want_rstd * want, dtype, 10 * scale)
    close(dweight, (g * x_hat).sum(0), dtype, 10 * shape[0] ** 0.5)
    close(dbias, g.astype(np.float64).sum(0), dtype, 10 * shape[0] ** 0.5)


@pytest.mark.parametrize("shape", EMPTY, ids=str)
def test_empty_rows_and_no_rows(shape, dtype):
    x, weight = np.zeros(shape, dtype), np.ones(shape[1], dtype)
    out, mean, rstd = forward(x, weight, weight, 1e-5)
    assert out.shape == shape and np.isnan(mean).all() and np.isnan(rstd).all()
    _, dweight, dbias = backward(x, x, mean, rstd, weight)
    assert (dweight == 0).all() and (dbias == 0).all()


def test_a_gradient_is_that_of_the_value(rng):
    """Against central differences along a random direction, with a random cotangent."""
    x, g, way = rng.normal(size=(3, 5, 9))
    weight, bias, weight_way = rng.normal(size=(3, 9))
    eps, h = 0.1, 1e-6

    def value(step):
        return (g * forward(x + step * way, weight + step * weight_way, bias, eps)[0]).sum()

    _, mean, rstd = forward(x, weight, bias, eps)
    dx, dweight, _ = backward(g, x, mean, rstd, weight)
    got = (dx * way).sum() + (dweight * weight_way).sum()
    assert abs(got - (value(h) - value(-h)) / (2 * h)) <= 1e-8 * np.abs(g).sum()


HEADS = {  # what the first entries of a row are, where the others have mean `m`
    "alike": lambda m: None,
    "zero": lambda m: 0.0,
    "far above": lambda m: m + 300,
    "a little below": lambda m: m - 2.5,
}


def variances(x):
    one, zero = np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    return forward(x, one, zero, 0.0)[2].astype(np.float64) ** -2


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("mean", VARIANCE)
@pytest.mark.parametrize("d", [24, 512, 9001, 300_000])
def test_a_variance_survives_a_large_mean(d, mean, head):
    x = normal((5, d), np.float32, 6, mean)
    value = HEADS[head](mean)
    if value is not None:
        x[:, :8] = value
    np.testing.assert_allclose(variances(x), x.astype(np.float64).var(1), rtol=VARIANCE[mean])


@pytest.mark.parametrize("mean", VARIANCE)
@pytest.mark.parametrize("d", [24, 512, 9001])
def test_entries_beside_a_large_mean_are_right_to_rounding(d, mean):
    """Though the mean itself, as it is kept, is rounded to float32."""
    x = normal((5, d), np.float32, 6, mean)
    one, zero = np.ones(d, np.float32), np.zeros(d, np.float32)
    out = forward(x, one, zero, 0.0)[0]
    np.testing.assert_allclose(out, naive(x, 0.0)[0], rtol=0, atol=ENTRY)


@pytest.mark.parametrize("value", [0.0, 0.1, -1000.3, 1e6])
def test_equal_entries_have_no_variance(value, dtype):
    x = np.full((3, 1001), value, dtype)
    one, zero = np.ones(1001, dtype), np.zeros(1001, dtype)
    out, mean, rstd = forward(x, one, zero, 1e-5)
    assert (mean == dtype(value)).all()
    np.testing.assert_allclose(rstd, 1e-5**-0.5, rtol=1e-6)
    assert (np.abs(out) <= np.finfo(dtype).eps * abs(value) * 1e3).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_row_alone(bad, dtype):
    x = normal((6, 40), dtype)
    x[2, 17] = bad
    one, zero = np.ones(40, dtype), np.zeros(40, dtype)
    out, mean, rstd = forward(x, one, zero, 1e-5)
    assert np.isnan(out[2]).all() and np.isfinite(np.delete(out, 2, 0)).all()
    dx, _, _ = backward(normal((6, 40), dtype, 1), x, mean, rstd, one)
    assert np.isnan(dx[2]).all() and np.isfinite(np.delete(dx, 2, 0)).all()


@pytest.mark.parametrize("eps", [1e-5, 0.3, 7.0])
@pytest.mark.parametrize("shape", [*ROWS, *EMPTY], ids=str)
def test_rows_are_divided_by_their_root_mean_square(shape, eps, dtype):
    n, d = shape
    x, g = normal(shape, dtype, 1, 1.0, 2.0), normal(shape, dtype, 2)
    weight = normal(d, dtype, 3)
    out, rstd, dx = garbage(shape, dtype), garbage(n, dtype), garbage(shape, dtype)
    partial = garbage((norm.rms_norm_backward.blocks({"n": n, "d": d}), d), dtype)
    run(norm.rms_norm, x, weight, out, rstd, eps)
    run(norm.rms_norm_backward, g, x, rstd, weight, dx, partial)
    if not d:
        return
    wide, h = x.astype(np.float64), g.astype(np.float64) * weight
    r = 1 / np.sqrt(np.square(wide).mean(1, keepdims=True) + eps)
    scale = max(1.0, r.max(initial=0.0))
    close(out, wide * r * weight, dtype, 4)
    close(rstd, r[:, 0], dtype, scale)
    close(dx, r * (h - wide * r**2 * (h * wide).mean(1, keepdims=True)), dtype, 8 * scale)
    close(partial.sum(0), (g * wide * r).sum(0), dtype, 4 * max(1.0, n))
