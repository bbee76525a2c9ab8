"""Batch norm kernels against float64 NumPy: columns (n, c) and images (n, c, s)."""

import numpy as np
import pytest

from microreg.kernels import batch_norm

from .running import garbage, run
from .test_norm import ENTRY, HEADS, VARIANCE, normal

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
GRIDS = [
    *[(2, 1), (3, 1), (7, 5), (8, 3), (9, 3), (64, 17), (65, 16), (300, 64), (5000, 33)],
    *[(30_000, 10), (2, 3, 1), (1, 3, 2), (7, 5, 3), (9, 4, 35), (3, 2, 9000), (60, 3, 900)],
]


def kernel(name, x):
    return getattr(batch_norm, f"{'column' if x.ndim == 2 else 'image'}_{name}")


def measured(stats, x):
    """(blocks, values of a channel in a block) into which a grid is divided."""
    sizes = dict(zip("ncs", x.shape, strict=False))
    return stats.blocks(sizes), stats.rows(sizes) * int(np.prod(x.shape[2:]))


def values_of(x):
    """The grid with a row for each value of a channel, (values, c), in float64."""
    return np.moveaxis(x.astype(np.float64), 1, -1).reshape(-1, x.shape[1])


def block_stats(x):
    """The mean, and the sum of squared deviations, of each channel in each block."""
    stats, c = kernel("stats", x), x.shape[1]
    blocks, _ = measured(stats, x)
    partial = garbage((blocks, 2, c), np.float64)
    run(stats, x, partial, *([garbage((blocks, 3, c), x.dtype)] if x.ndim == 2 else []))
    return partial


def merged(
    partial, dtype, weight, bias, per_block, count, eps, running=(), tracked=(), momentum=0.1
):
    """mean, rstd, scale, shift; running statistics are moved in place."""
    made = [garbage(partial.shape[2], dtype) for _ in range(4)]
    running = running or [np.empty(0, dtype)] * 2
    tracked = np.empty(0, np.int64) if len(tracked) == 0 else tracked
    run(
        batch_norm.merge_stats, weight, bias, partial.copy(), *made, *running, tracked,
        per_block, count, eps, momentum,
    )  # fmt: skip
    return made


def statistics(x, weight, bias, eps, **options):
    _, per_block = measured(kernel("stats", x), x)
    count = x.size // x.shape[1]
    return merged(block_stats(x), x.dtype.type, weight, bias, per_block, count, eps, **options)


def forward(x, weight, bias, eps):
    mean, rstd, scale, shift = statistics(x, weight, bias, eps)
    out = garbage(x.shape, x.dtype)
    run(kernel("apply", x), x, mean, scale, shift, out)
    return out, mean, rstd


def backward(g, x, mean, rstd, weight):
    """dx, dweight, dbias."""
    sums, c = kernel("sums", x), x.shape[1]
    blocks, _ = measured(sums, x)
    partial = garbage((blocks, 2, c), np.float64)
    work = [garbage((blocks, 2, c), x.dtype)] if x.ndim == 2 else []
    run(sums, g, x, mean, partial, *work)
    dweight, dbias, scale, slope, shift = (garbage(c, x.dtype) for _ in range(5))
    numbers = dweight, dbias, scale, slope, shift, x.size // c
    run(batch_norm.merge_sums, rstd, weight, partial, *numbers)
    dx = garbage(x.shape, x.dtype)
    run(kernel("backward", x), g, x, mean, scale, slope, shift, dx)
    return dx, dweight, dbias


def close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("eps", [1e-5, 0.3, 7.0])
@pytest.mark.parametrize("shape", GRIDS, ids=str)
def test_channels_are_normalized_and_gradients_come_back(shape, eps, dtype):
    c = shape[1]
    x, g = normal(shape, dtype, 1, 3.0, 2.0), normal(shape, dtype, 2)
    weight, bias = normal(c, dtype, 3), normal(c, dtype, 4)
    out, mean, rstd = forward(x, weight, bias, eps)
    rows, h = values_of(x), values_of(g)
    want_mean = rows.mean(0)
    want_rstd = 1 / np.sqrt(rows.var(0) + eps)
    x_hat = (rows - want_mean) * want_rstd
    scale, count = max(1.0, want_rstd.max()), len(rows)
    close(mean, want_mean, dtype)
    close(rstd, want_rstd, dtype, scale)
    close(values_of(out).astype(dtype), x_hat * weight + bias, dtype, 4 * scale)
    dx, dweight, dbias = backward(g, x, mean, rstd, weight)
    want = weight * want_rstd * (h - h.mean(0) - x_hat * (h * x_hat).mean(0))
    close(values_of(dx).astype(dtype), want, dtype, 20 * scale)
    close(dweight, (h * x_hat).sum(0), dtype, 20 * scale * count**0.5)
    close(dbias, h.sum(0), dtype, 20 * count**0.5)


@pytest.mark.parametrize("shape", [(9, 3), (3, 2, 5)], ids=str)
def test_a_gradient_is_that_of_the_value(shape, rng):
    """Against central differences along a random direction, with a random cotangent."""
    x, g, way = rng.normal(size=(3, *shape))
    weight, bias, weight_way = rng.normal(size=(3, shape[1]))
    eps, h = 0.1, 1e-6

    def value(step):
        return (g * forward(x + step * way, weight + step * weight_way, bias, eps)[0]).sum()

    _, mean, rstd = forward(x, weight, bias, eps)
    dx, dweight, _ = backward(g, x, mean, rstd, weight)
    got = (dx * way).sum() + (dweight * weight_way).sum()
    assert abs(got - (value(h) - value(-h)) / (2 * h)) <= 1e-8 * np.abs(g).sum()


LARGE = [(50, 3), (500, 3), (5000, 70), (400_000, 3), (77, 5, 91), (2, 7, 20_000), (500, 3, 900)]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("mean", VARIANCE)
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_a_variance_survives_a_large_mean(shape, mean, head):
    """Also where the first rows, from which the mean is guessed, lie elsewhere."""
    x = normal(shape, np.float32, 5, mean)
    value = HEADS[head](mean)
    if value is not None:
        x[:8] = value + 0.25 * x[:8] / max(1.0, abs(mean))
        x[:, 0] = normal(shape[:1] + shape[2:], np.float32, 6, mean)  # one channel is like itself
    blocks, per_block = measured(kernel("stats", x), x)
    rows, partial = values_of(x), block_stats(x)
    for b in range(blocks):
        part = rows[b * per_block : (b + 1) * per_block]
        np.testing.assert_allclose(partial[b, 0], part.mean(0), rtol=1e-7, atol=1e-6)
        np.testing.assert_allclose(partial[b, 1], part.var(0) * len(part), rtol=VARIANCE[mean])
    one, zero = np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)
    rstd = statistics(x, one, zero, 0.0)[1].astype(np.float64)
    np.testing.assert_allclose(rstd**-2, rows.var(0), rtol=VARIANCE[mean])


@pytest.mark.parametrize("shift", [0.0, 1.5, 2.5, 5.0, 50.0, 1e4])
@pytest.mark.parametrize("n", [9, 20, 50, 1000])
def test_a_bad_first_guess_costs_few_digits(n, shift):
    """The error grows with the square of the guess's distance from the mean, in deviations, until
    that is above 4 and a second pass is taken."""
    x = normal((n, 4), np.float32, 7, 1000.0)
    x[:8] += np.float32(shift)
    rows = x.astype(float)
    ratio = np.square(rows[:8].mean(0) - rows.mean(0)) / rows.var(0)
    error = block_stats(x)[0, 1] / (n * rows.var(0)) - 1
    assert (abs(error) <= np.where(ratio < 4.1, 0.6 * (1 + ratio), 1) * VARIANCE[1000.0]).all()


@pytest.mark.parametrize("mean", VARIANCE)
@pytest.mark.parametrize("shape", LARGE[:5], ids=str)
def test_entries_beside_a_large_mean_are_right_to_rounding(shape, mean):
    """Though the mean itself, as it is kept, is rounded to float32."""
    x = normal(shape, np.float32, 6, mean)
    one, zero = np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)
    rows = values_of(x)
    want = (rows - rows.mean(0)) / rows.std(0)
    np.testing.assert_allclose(values_of(forward(x, one, zero, 0.0)[0]), want, rtol=0, atol=ENTRY)


@pytest.mark.parametrize("value", [0.0, 0.1, -1000.3, 1e6])
@pytest.mark.parametrize("shape", [(2, 3), (1001, 3), (7, 3, 143)], ids=str)
def test_equal_entries_have_no_variance(shape, value, dtype):
    x = np.full(shape, value, dtype)
    one, zero = np.ones(3, dtype), np.zeros(3, dtype)
    out, mean, rstd = forward(x, one, zero, 1e-5)
    assert (mean == dtype(value)).all()
    np.testing.assert_allclose(rstd, 1e-5**-0.5, rtol=1e-6)
    assert (np.abs(out) <= np.finfo(dtype).eps * abs(value) * 1e3).all()


BLOCKS = [(5, 1, 5), (5, 2, 10), (5, 3, 11), (7, 40, 277)]  # values in a block, blocks, all values


@pytest.mark.parametrize("per_block, blocks, count", BLOCKS)
def test_blocks_are_merged_whatever_their_means(per_block, blocks, count, dtype, rng):
    """The last block may be shorter; running statistics follow the batch."""
    rows = rng.normal(size=(count, 4)) * [1, 3, 0.01, 100] + [0, 1000, -5, 3]
    parts = [rows[i : i + per_block] for i in range(0, count, per_block)]
    partial = np.array([[p.mean(0), p.var(0) * len(p)] for p in parts])
    assert len(partial) == blocks
    weight, bias = (rng.normal(size=4).astype(dtype) for _ in range(2))
    running = [np.array([1, 2, 3, 4], dtype), np.array([5, 6, 7, 8], dtype)]
    before = [r.astype(float) for r in running]
    mean, rstd, scale, shift = merged(
        partial, dtype, weight, bias, per_block, count, 0.3, running, momentum=0.7
    )
    close(mean, rows.mean(0), dtype, 1000)
    want = 1 / np.sqrt(rows.var(0) + 0.3)
    close(rstd, want, dtype)
    # what becomes of an entry, exactly: mean is rounded, shift makes up for it
    applied = (rows - mean.astype(float)) * scale.astype(float) + shift.astype(float)
    close(applied.astype(dtype), (rows - rows.mean(0)) * want * weight + bias, dtype, 20)
    for got, old, new in zip(running, before, (rows.mean(0), rows.var(0, ddof=1)), strict=True):
        np.testing.assert_allclose(got, old + 0.7 * (new - old), rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.37, 1.0, -1.0])
def test_running_statistics_over_several_batches(momentum, dtype, rng):
    """A momentum below 0 stands for the mean of all batches so far."""
    running, tracked = [np.zeros(3, dtype), np.ones(3, dtype)], np.array([0])
    want, one = [np.zeros(3), np.ones(3)], np.ones(3, dtype)
    for step in range(1, 6):
        x = rng.normal(size=(9, 3)).astype(dtype) * dtype(step) + dtype(step)
        statistics(x, one, one, 1e-5, running=running, tracked=tracked, momentum=momentum)
        rows, share = x.astype(float), 1 / step if momentum < 0 else momentum
        for old, new in zip(want, (rows.mean(0), rows.var(0, ddof=1)), strict=True):
            old += share * (new - old)
        assert tracked.tolist() == [step]
        for got, right in zip(running, want, strict=True):
            np.testing.assert_allclose(got, right, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("momentum", [0.3, -1.0])
def test_counting_goes_on_and_can_be_left_out(momentum, dtype, rng):
    x, one = rng.normal(size=(9, 3)).astype(dtype), np.ones(3, dtype)
    tracked, running = np.array([41]), [np.zeros(3, dtype), np.ones(3, dtype)]
    statistics(x, one, one, 1e-5, running=running, tracked=tracked, momentum=momentum)
    share = 1 / 42 if momentum < 0 else momentum
    assert tracked.tolist() == [42]
    np.testing.assert_allclose(running[0], share * values_of(x).mean(0), rtol=TOLERANCE[dtype])
    plain = statistics(x, one, one, 1e-5, momentum=momentum)
    np.testing.assert_array_equal(plain, statistics(x, one, one, 1e-5, tracked=tracked))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(40, 4), (6, 4, 9)], ids=str)
def test_what_is_not_finite_spoils_its_channel_alone(shape, bad, dtype):
    for place in (0, 5):
        x = normal(shape, dtype)
        x[place, 1] = bad
        one, zero = np.ones(4, dtype), np.zeros(4, dtype)
        out, mean, rstd = forward(x, one, zero, 1e-5)
        assert np.isnan(out[:, 1]).all() and np.isfinite(np.delete(out, 1, 1)).all()
        dx, _, _ = backward(normal(shape, dtype, 1), x, mean, rstd, one)
        assert np.isnan(dx[:, 1]).all() and np.isfinite(np.delete(dx, 1, 1)).all()
