"""Convolution and pooling kernels against loops that follow the definition, in float64."""

import itertools

import numpy as np
import pytest

from microreg.kernels import conv
from microreg.kernels._gemm import BIAS, BIAS_RELU, NO_BIAS
from microreg.ops.conv import output_size

from .running import garbage, run

# of a sum of products, in units of the sum of their sizes
TOLERANCE = {np.float32: 1e-6, np.float64: 2e-15}
PLACE = conv.max_pool2d.signature.arrays[-1].dtype

# images (n, h, w, c), channels of the result, window; then stride, padding, dilation, groups
CONVOLUTIONS = [
    ((1, 1, 1, 1), 1, (1, 1)),
    ((2, 5, 7, 3), 16, (1, 1)),
    ((2, 5, 7, 3), 4, (3, 3)),
    ((1, 9, 8, 1), 33, (3, 2)),
    ((2, 6, 20, 16), 17, (3, 3), (1, 1), (1, 1)),
    ((2, 6, 35, 17), 16, (2, 5), (1, 1), (0, 2)),
    ((1, 7, 6, 33), 3, (3, 2), (1, 1), (1, 0)),
    ((1, 3, 40, 33), 33, (3, 3), (1, 1), (1, 1)),
    ((2, 8, 9, 3), 5, (3, 2), (2, 2)),  # the last pixels are left out
    ((2, 8, 9, 3), 5, (2, 3), (3, 2), (1, 1)),
    ((2, 8, 9, 16), 1, (1, 1), (2, 3)),
    ((2, 5, 4, 3), 4, (2, 2), (1, 1), (3, 4)),  # windows of padding alone
    ((2, 9, 8, 3), 17, (3, 2), (1, 1), (1, 0), (2, 3)),
    ((1, 9, 11, 16), 3, (2, 3), (2, 1), (2, 2), (3, 2)),
    ((2, 9, 8, 3), 17, (3, 2), (1, 1), (1, 0), (2, 1)),
    ((2, 9, 8, 3), 4, (2, 3), (2, 1), (1, 0), (3, 1)),
    ((2, 9, 8, 3), 4, (2, 3), (1, 1), (1, 0), (1, 2)),
    ((2, 6, 7, 4), 6, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((2, 6, 7, 3), 3, (3, 2), (2, 1), (1, 1), (1, 1), 3),  # depthwise
    ((1, 6, 7, 3), 9, (2, 2), (1, 1), (0, 0), (2, 2), 3),
    ((1, 5, 33, 34), 34, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((1, 5, 6, 33), 33, (3, 3), (1, 2), (1, 1), (1, 1), 33),
    ((0, 4, 4, 2), 3, (2, 2)),
]


class Window:
    """How a window lies in an image: named, and as the kernels take it."""

    def __init__(
        self, images, channels, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1
    ):
        self.n, *image, self.c = images
        self.channels, self.kernel, self.groups = channels, kernel, groups
        self.stride, self.padding, self.dilation = stride, padding, dilation
        each = zip(image, kernel, stride, padding, dilation, strict=True)
        self.out = tuple(output_size(*one) for one in each)
        self.depth = kernel[0] * kernel[1] * self.c // groups
        self.numbers = np.array(
            [*image, self.c, *self.out, channels, *kernel, *stride, *padding, *dilation, groups]
        )

    def under(self, x, u, v, fill=0.0):
        """What lies under position (u, v) of every window of x (n, h, w, c)."""
        (ph, pw), (dh, dw), (sh, sw) = self.padding, self.dilation, self.stride
        padded = np.pad(x, [(0, 0), (ph, ph), (pw, pw), (0, 0)], constant_values=fill)
        rows = slice(u * dh, u * dh + (self.out[0] - 1) * sh + 1, sh)
        columns = slice(v * dw, v * dw + (self.out[1] - 1) * sw + 1, sw)
        return padded[:, rows, columns]

    def positions(self):
        return itertools.product(*map(range, self.kernel))

    def parts(self):
        """For each group its channels of x and of the result."""
        c, o = self.c // self.groups, self.channels // self.groups
        for group in range(self.groups):
            yield slice(group * c, (group + 1) * c), slice(group * o, (group + 1) * o)


def naive_conv2d(window, x, weight):
    out = np.zeros((window.n, *window.out, window.channels))
    taps = weight.reshape(*window.kernel, -1, window.channels)
    for u, v in window.positions():
        under = window.under(x, u, v)
        for own, made in window.parts():
            out[..., made] += under[..., own] @ taps[u, v][:, made]
    return out


def naive_weight(window, x, g):
    dweight = np.zeros((*window.kernel, window.c // window.groups, window.channels))
    for u, v in window.positions():
        under = window.under(x, u, v)
        for own, made in window.parts():
            pairs = np.einsum("nyxc,nyxo->co", under[..., own], g[..., made])
            dweight[u, v][:, made] = pairs
    return dweight.reshape(window.depth, window.channels)


def convolve(window, x, weight, bias, ending):
    out = garbage((window.n, *window.out, window.channels), x.dtype)
    target = out.reshape(window.n, np.prod(out.shape[1:]))
    flat = x.reshape(window.n, np.prod(x.shape[1:]))
    run(conv.conv2d, flat, weight, bias, window.numbers, target, ending)
    return out


def weight_gradient(window, x, g):
    m = int(np.prod(x.shape[1:]))
    blocks = conv.conv2d_weight.blocks({"n": window.n, "m": m})
    partial = garbage((blocks, window.depth, window.channels), x.dtype)
    flat = g.reshape(window.n, np.prod(g.shape[1:]))
    run(conv.conv2d_weight, x.reshape(window.n, m), flat, window.numbers, partial)
    return partial


def normal(shape, dtype, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def operands(window, case, dtype):
    x, weight = normal(case[0], dtype, 0), normal((window.depth, window.channels), dtype, 1)
    return x, weight, normal(window.channels, dtype, 2)


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_a_convolution_follows_its_definition(case, dtype):
    window = Window(*case)
    x, weight, bias = operands(window, case, dtype)
    wide = [a.astype(float) for a in (x, weight)]
    want = naive_conv2d(window, *wide)
    error = TOLERANCE[dtype] * (naive_conv2d(window, *map(abs, wide)) + np.abs(bias))
    assert (abs(convolve(window, x, weight, bias, NO_BIAS) - want) <= error).all()
    want += bias
    assert (abs(convolve(window, x, weight, bias, BIAS) - want) <= error).all()
    want = np.maximum(want, 0)
    assert (abs(convolve(window, x, weight, bias, BIAS_RELU) - want) <= error).all()


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_the_gradient_of_a_weight_follows_its_definition(case, dtype):
    window = Window(*case)
    x, g = normal(case[0], dtype, 3), normal((window.n, *window.out, window.channels), dtype, 4)
    wide = [a.astype(float) for a in (x, g)]
    got = weight_gradient(window, x, g).sum(0)
    error = 2 * TOLERANCE[dtype] * naive_weight(window, *map(abs, wide))
    assert (abs(got - naive_weight(window, *wide)) <= error).all()


def test_the_gradient_of_a_weight_is_summed_in_blocks_of_images(dtype):
    case = ((90, 17, 16, 17), 3, (3, 3), (2, 2), (1, 1))
    window = Window(*case)
    x, g = normal(case[0], dtype, 3), normal((90, *window.out, 3), dtype, 4)
    partial = weight_gradient(window, x, g)
    rows = conv.conv2d_weight.rows({"n": 90, "m": 17 * 16 * 17})
    assert len(partial) == -(-90 // rows) > 2
    for b, got in enumerate(partial):
        part = slice(b * rows, (b + 1) * rows)
        one = Window((len(x[part]), *case[0][1:]), *case[1:])
        wide = [a[part].astype(float) for a in (x, g)]
        error = 2 * TOLERANCE[dtype] * naive_weight(one, *map(abs, wide))
        assert (abs(got - naive_weight(one, *wide)) <= error).all()


@pytest.mark.parametrize("ending", [NO_BIAS, BIAS, BIAS_RELU])
def test_nan_spoils_the_pixels_whose_window_it_is_in(ending, dtype):
    window = Window((1, 5, 6, 3), 17, (3, 3), (1, 1), (1, 1))
    x, weight, bias = operands(window, ((1, 5, 6, 3),), dtype)
    x[0, 2, 3, 1] = np.nan
    spoilt = np.isnan(convolve(window, x, weight, bias, ending))[0]
    want = np.zeros((5, 6), bool)
    want[1:4, 2:5] = True
    assert (spoilt == want[..., None]).all()
    bias[5] = np.nan
    if ending != NO_BIAS:
        assert np.isnan(convolve(window, x, weight, bias, ending))[..., 5].all()


# images (n, h, w, c), window, stride, padding, dilation
POOLS = [
    ((1, 1, 1, 1), (1, 1), (1, 1)),
    ((2, 6, 8, 3), (2, 2), (2, 2)),  # of four, each entry under one window
    ((2, 7, 9, 3), (2, 2), (2, 2)),  # the last row and column are left out
    ((2, 7, 9, 16), (2, 2), (1, 1)),  # overlapping
    ((2, 6, 6, 3), (2, 2), (2, 2), (1, 1)),
    ((2, 6, 6, 3), (2, 2), (2, 2), (0, 1)),
    ((2, 9, 8, 3), (2, 2), (2, 2), (0, 0), (2, 3)),
    ((1, 6, 8, 3), (4, 1), (2, 2)),
    ((1, 6, 8, 3), (1, 4), (2, 2)),
    ((3, 5, 7, 17), (3, 3), (1, 1), (1, 1)),
    ((3, 9, 8, 33), (3, 2), (2, 1), (1, 0), (1, 2)),
    ((2, 7, 11, 1), (2, 5), (3, 2), (0, 2), (2, 1)),
    ((1, 9, 9, 4), (9, 9), (1, 1)),
    ((0, 4, 4, 2), (2, 2), (2, 2)),
]


def naive_pool(window, x):
    """(the largest entry, its position in the window), the first at a tie, NaN above all."""
    best = np.full((window.n, *window.out, window.c), -np.inf)
    place = np.full(best.shape, -1)
    inside = np.ones(x.shape)
    for k, (u, v) in enumerate(window.positions()):
        under, real = window.under(x, u, v), window.under(inside, u, v) == 1
        better = (under > best) | (np.isnan(under) & ~np.isnan(best)) | (place == -1)
        best = np.where(better & real, under, best)
        place = np.where(better & real, k, place)
    return best, place


def naive_pool_backward(window, shape, place, g):
    """Each output's gradient at the entry of x that `place` names."""
    dx = np.zeros(shape)
    for n, i, j, c in np.ndindex(place.shape):
        k = place[n, i, j, c]
        if k >= 0:
            u, v = divmod(k, window.kernel[1])
            row = i * window.stride[0] + u * window.dilation[0] - window.padding[0]
            column = j * window.stride[1] + v * window.dilation[1] - window.padding[1]
            dx[n, row, column, c] += g[n, i, j, c]
    return dx


def pool(window, x):
    out = garbage((window.n, *window.out, window.c), x.dtype)
    place = garbage(out.shape, PLACE)
    run(conv.max_pool2d, x, window.numbers, out, place)
    return out, place


def pool_backward(window, x, place, g):
    dx = garbage(x.shape, x.dtype)
    run(conv.max_pool2d_backward, g, place, window.numbers, dx)
    return dx


def strange(x):
    """x with NaN and infinities at some places."""
    x.reshape(-1)[::7] = np.nan
    x.reshape(-1)[3::11] = -np.inf
    x.reshape(-1)[5::13] = np.inf
    return x


@pytest.mark.parametrize("odd", [False, True], ids=["", "strange"])
@pytest.mark.parametrize("case", POOLS, ids=str)
def test_pooling_takes_the_first_largest_and_sends_back(case, odd, dtype):
    images, *rest = case
    window = Window(images, images[-1], *rest)
    x = np.random.default_rng(5).integers(-3, 4, images).astype(dtype)  # with ties
    x = strange(x) if odd else x
    want, where = naive_pool(window, x)
    out, place = pool(window, x)
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(place, where)
    g = normal(out.shape, dtype, 6)
    want = naive_pool_backward(window, x.shape, where, g.astype(float))
    error = 10 * TOLERANCE[dtype] * np.abs(g).max(initial=0.0)
    np.testing.assert_allclose(pool_backward(window, x, place, g), want, rtol=0, atol=error)


@pytest.mark.parametrize("width, gap", [(1, 2), (2, 3), (5, 6), (3, 3)])
def test_a_window_outside_the_image_gives_minus_infinity(width, gap, dtype):
    """As in PyTorch: with a gap wider than the image both entries fall on padding."""
    window = Window((2, 1, width, 3), 3, (1, 2), (1, 1), (0, 1), (1, gap))
    x = normal((2, 1, width, 3), dtype, 7) - 100
    out, place = pool(window, x)
    want, where = naive_pool(window, x)
    np.testing.assert_array_equal(out, want)
    outside = where == -1
    assert outside.all() == outside.any() == (gap > width)
    g = np.ones_like(out)
    dx = pool_backward(window, x, place, g)
    assert dx.sum() == g[~outside].sum()


def test_a_window_of_many_places(dtype):
    """More than 2^16 of them: their numbers need room."""
    window = Window((1, 300, 300, 2), 2, (300, 300))
    x = np.zeros((1, 300, 300, 2), dtype)
    x[0, 299, 298, 0], x[0, 1, 2, 1] = 5, 7
    out, place = pool(window, x)
    assert out.reshape(-1).tolist() == [5, 7]
    dx = pool_backward(window, x, place, np.array([2, 3], dtype).reshape(1, 1, 1, 2))
    assert dx[0, 299, 298, 0] == 2 and dx[0, 1, 2, 1] == 3 and np.count_nonzero(dx) == 2


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 4, 4, 1), (3, 9, 2, 17), (0, 4, 4, 2)])
def test_averages_of_rectangles_and_their_gradients(shape, dtype, rng):
    """Also of overlapping ones, of rows left out, and of nothing."""
    x, h, w = normal(shape, dtype, 8), *shape[1:3]
    rows = np.array([[0, 2], [1, h], [2, 2], [0, h]])
    columns = np.array([[0, w], [1, 2], [0, 1]])
    scale = np.abs(normal((4, 3), dtype, 9))
    got, dx = garbage((shape[0], 4, 3, shape[3]), dtype), garbage(shape, dtype)
    run(conv.avg_pool2d, x, rows, columns, scale, got)
    g = normal(got.shape, dtype, 10)
    run(conv.avg_pool2d_backward, g, rows, columns, scale, dx)
    want, back = np.zeros(got.shape), np.zeros(shape)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            part = slice(None), slice(top, bottom), slice(left, right)
            want[:, i, j] = x[part].sum((1, 2), float) * scale[i, j]
            back[part] += (g[:, i, j] * scale[i, j])[:, None, None]
    np.testing.assert_allclose(got, want, rtol=0, atol=99 * TOLERANCE[dtype])
    np.testing.assert_allclose(dx, back, rtol=0, atol=99 * TOLERANCE[dtype])
