"""Window kernels against loops that follow the definition."""

import itertools

import numpy as np
import pytest

from microreg.kernels import conv
from microreg.ops.conv import output_size
from microreg.runtime import get_num_threads, launch, set_num_threads

# image, kernel, stride, padding, dilation
CASES = [
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    ((2, 3, 5, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((3, 2, 9, 8), (3, 2), (2, 1), (1, 0), (1, 2)),
    ((2, 1, 7, 11), (2, 5), (3, 2), (0, 2), (2, 1)),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
]


def sizes(image, kernel, stride, padding, dilation):
    return tuple(
        output_size(*geometry)
        for geometry in zip(image[2:], kernel, stride, padding, dilation, strict=True)
    )


def places(image, kernel, stride, padding, dilation):
    """(output place, window position, row, column, inside?) of every read of one plane."""
    out = sizes(image, kernel, stride, padding, dilation)
    for i, j in itertools.product(*map(range, out)):
        for u, v in itertools.product(*map(range, kernel)):
            row = i * stride[0] + u * dilation[0] - padding[0]
            column = j * stride[1] + v * dilation[1] - padding[1]
            inside = 0 <= row < image[2] and 0 <= column < image[3]
            yield (i, j), (u, v), row, column, inside


def numbers(kernel, stride, padding, dilation):
    return (*kernel, *stride, *padding, *dilation)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_im2col_reads_and_col2im_is_its_adjoint(case, dtype):
    image, kernel, *rest = case
    height, width = sizes(*case)
    n, c = image[:2]
    rng = np.random.default_rng(0)
    x = rng.normal(size=image).astype(dtype)
    columns = np.full((n, c * kernel[0] * kernel[1], height * width), np.nan, dtype)
    launch(conv.im2col, x, columns, *numbers(kernel, *rest), width)
    grid = columns.reshape(n, c, *kernel, height, width)
    g = rng.normal(size=columns.shape).astype(dtype)
    want = np.zeros(image)
    for (i, j), (u, v), row, column, inside in places(*case):
        expected = x[:, :, row, column] if inside else np.zeros((n, c))
        np.testing.assert_array_equal(grid[:, :, u, v, i, j], expected)
        if inside:
            want[:, :, row, column] += g.reshape(grid.shape)[:, :, u, v, i, j]
    dx = np.full(image, np.nan, dtype)
    launch(conv.col2im, g, dx, *numbers(kernel, *rest), width)
    np.testing.assert_allclose(dx, want, atol=30 * np.finfo(dtype).eps)


def pool(x, case):
    _, kernel, *rest = case
    out = np.full((*x.shape[:2], *sizes(*case)), np.nan, x.dtype)
    index = np.full(out.shape, -7, np.int64)
    launch(conv.max_pool2d, x, out, index, *numbers(kernel, *rest))
    return out, index


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_pooling_takes_the_first_largest_and_sends_back(case, dtype):
    image = case[0]
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 3, image).astype(dtype)  # with ties
    out, index = pool(x, case)
    best = np.full(out.shape, -np.inf)
    first = np.full(out.shape, -1)
    for (i, j), _, row, column, inside in places(*case):
        if inside:
            better = x[:, :, row, column] > best[:, :, i, j]
            best[:, :, i, j] = np.where(better, x[:, :, row, column], best[:, :, i, j])
            first[:, :, i, j] = np.where(better, row * image[3] + column, first[:, :, i, j])
    np.testing.assert_array_equal(out, best)
    np.testing.assert_array_equal(index, first)
    g, dx = rng.normal(size=out.shape).astype(dtype), np.full(image, np.nan, dtype)
    launch(conv.max_pool2d_backward, g, index, dx)
    want = np.zeros((*image[:2], image[2] * image[3]))
    for n, c in itertools.product(*map(range, image[:2])):
        np.add.at(want[n, c], index[n, c].ravel(), g[n, c].ravel())
    np.testing.assert_allclose(dx.reshape(want.shape), want, atol=30 * np.finfo(dtype).eps)


def test_pooling_lets_nan_win():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    x[0, 0, 0, 1] = np.nan
    out, index = pool(x, ((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)))
    assert np.isnan(out[0, 0, 0, 0])
    assert index[0, 0, 0, 0] == 1
    assert np.isfinite(out.ravel()[1:]).all()


def test_bits_do_not_depend_on_the_threads(monkeypatch):
    case = ((6, 3, 9, 8), (3, 3), (1, 1), (1, 1), (1, 1))
    x = np.random.default_rng(2).normal(size=case[0]).astype(np.float32)
    for kernel in (conv.im2col, conv.col2im, conv.max_pool2d, conv.max_pool2d_backward):
        monkeypatch.setattr(kernel, "grain", 1)
    before, results = get_num_threads(), []
    try:
        for count in (1, 2, 4):
            set_num_threads(count)
            columns, dx = np.empty((6, 27, 72), np.float32), np.empty_like(x)
            launch(conv.im2col, x, columns, *numbers(*case[1:]), 8)
            launch(conv.col2im, columns, dx, *numbers(*case[1:]), 8)
            results.append((columns.tobytes(), dx.tobytes(), *(a.tobytes() for a in pool(x, case))))
    finally:
        set_num_threads(before)
    assert results[0] == results[1] == results[2]
