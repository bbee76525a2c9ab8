"""Two-dimensional convolution and pooling over images whose channels lie side by side.

Images are (n, h, w, c) in memory, one image a block. An image is first copied with its padding into
scratch memory; the pixels under a window, of a row of it, then lie side by side, kw * c numbers,
so that a convolution is a matrix product whose rows overlap: no column matrix is built. With

    out[y, x, o] = bias[o] + sum over u, v, c of
                   weight[u, v, c, o] * padded[y * sh + u * dh, x * sw + v * dw, c]

rows of the product are output pixels of one line, columns are o, and the sum runs over u in
segments of (v, c). Where neighbours in v are not side by side (dw > 1, or groups) each (u, v) is a
product of its own.

geometry = [h, w, c, out_h, out_w, o, kh, kw, sh, sw, ph, pw, dh, dw, groups]
"""

import numpy as np

from . import _simd
from ._gemm import NO_BIAS
from ._jit import kernel, scalar
from ._native import flatten, values
from ._simd import tile, tile_shape
from .formulas import relu
from .matmul import with_relu
from .norm import fast

H, W, C, OUT_H, OUT_W, O, KH, KW, SH, SW, PH, PW, DH, DW, GROUPS = range(15)  # noqa: E741
GEOMETRY = "geometry:int64[15]"


def padded_words(args):
    """Numbers that an image with its padding takes, for the arguments of a kernel."""
    g = next(a for a in args if getattr(a, "shape", None) == (15,) and a.dtype == np.int64)
    return int((g[H] + 2 * g[PH]) * (g[W] + 2 * g[PW]) * g[C])


HOW = {
    "split": "n",
    "block": 1,
    "needs": (_simd,),
    "scratch": padded_words,
    "grain": 1 << 22,  # multiply-adds, as in `matmul.py`
}


@scalar
def _pad(image, h, w, c, ph, pw, padded):
    """Copy an image into a frame of zeros."""
    line = (w + 2 * pw) * c
    for i in range(ph * line):
        padded[i] = 0
    below = padded[(ph + h) * line : (2 * ph + h) * line]
    for i in range(below.size):
        below[i] = 0
    for y in range(h):
        row = padded[(ph + y) * line : (ph + y + 1) * line]
        for i in range(pw * c):
            row[i] = 0
        source, target = image[y * w * c : (y + 1) * w * c], row[pw * c : (pw + w) * c]
        for i in range(source.size):
            target[i] = source[i]
        rest = row[(pw + w) * c :]
        for i in range(rest.size):
            rest[i] = 0


@kernel(
    f"scratch[threads,words] x[n,m] weight[k,cols] bias[o] {GEOMETRY} -> out[n,q]; "
    "ending:int64 tid",
    counts=("n", "q", "k"),
    **HOW,
)
def conv2d(scratch, x, weight, bias, geometry, out, ending, tid):
    """out = x * weight + bias; weight is (kh * kw * c / groups, o), `ending` as in `_gemm.py`."""
    h, w, c, out_h, out_w, o, kh, kw, sh, sw, ph, pw, dh, dw, groups = values(geometry, 15)
    height, _, width = tile_shape(out)
    padded, numbers = scratch[tid], flatten(weight)
    line = (w + 2 * pw) * c
    c_in, c_out = c // groups, o // groups
    joined = dw == 1 and groups == 1
    depth = kw * c if joined else c_in
    taps = 1 if joined else kh * kw
    tiles = -(-out_w // height)
    for image in range(x.shape[0]):
        source, target = x[image], out[image]
        _pad(source, h, w, c, ph, pw, padded)
        for y in range(out_h):
            for t in range(tiles):
                first = t * out_w // tiles
                rows = (t + 1) * out_w // tiles - first
                at = y * sh * line + first * sw * c
                for group in range(groups):
                    for j in range(0, c_out, width):
                        columns = min(width, c_out - j)
                        c_at = (y * out_w + first) * o + group * c_out + j
                        b_at = group * c_out + j
                        for tap in range(taps):
                            u, v = tap // kw, tap % kw
                            segments = kh if joined else 1
                            tile(
                                rows, columns, depth, segments,
                                padded, at + u * dh * line + v * dw * c + group * c_in,
                                sw * c, 1, dh * line,
                                numbers, b_at + tap * c_in * o, o, kw * c * o,
                                target, c_at, o, tap,
                                bias, b_at, ending if tap == taps - 1 else NO_BIAS,
                            )  # fmt: skip


conv2d.fuses = {relu: with_relu}


@kernel(
    f"scratch[threads,words] x[n,m] g[n,q] {GEOMETRY} -> partial[blocks,k,cols]; tid",
    counts=("n", "q", "k"),
    **(HOW | {"block": 1 << 17}),
)
def conv2d_weight(scratch, x, g, geometry, partial, tid):
    """partial[b] = the sum over the images of block b of padded^T g: (kh * kw * c / groups, o)."""
    h, w, c, out_h, out_w, o, kh, kw, sh, sw, ph, pw, dh, dw, groups = values(geometry, 15)
    height, _, width = tile_shape(g)
    padded = scratch[tid]
    line = (w + 2 * pw) * c
    c_in, c_out = c // groups, o // groups
    joined = dw == 1 and groups == 1
    depth = kw * c if joined else c_in
    taps = kh if joined else kh * kw
    total = flatten(partial[0])
    tiles = -(-depth // height)
    for image in range(x.shape[0]):
        source, along = x[image], g[image]
        _pad(source, h, w, c, ph, pw, padded)
        for tap in range(taps):
            u, v = (tap, 0) if joined else (tap // kw, tap % kw)
            for group in range(groups):
                at = u * dh * line + v * dw * c + group * c_in
                for t in range(tiles):
                    first = t * depth // tiles
                    rows = (t + 1) * depth // tiles - first
                    for j in range(0, c_out, width):
                        columns = min(width, c_out - j)
                        b_at = group * c_out + j
                        tile(
                            rows, columns, out_w, out_h,
                            padded, at + first, 1, sw * c, sh * line,
                            along, b_at, o, out_w * o,
                            total, (tap * depth + first) * o + b_at, o, image,
                            total, 0, NO_BIAS,
                        )  # fmt: skip


@kernel(
    f"x[n,h,w,c] {GEOMETRY} -> out[n,oh,ow,c] place:int32[n,oh,ow,c]",
    split="n",
    block=1,
    short=True,
)
def max_pool2d(x, geometry, out, place):
    """The largest entry under each window and which one it is, u * kw + v; the first at a tie.

    NaN counts as larger than everything. Places outside the image are left out; a window that lies
    outside as a whole gives -inf, from nowhere.
    """
    h, w, _, out_h, out_w, _, kh, kw, sh, sw, ph, pw, dh, dw, _ = values(geometry, 15)
    square = kh == 2 and kw == 2
    for image in range(x.shape[0]):
        for i in range(out_h):
            for j in range(out_w):
                best, where = out[image, i, j], place[image, i, j]
                y, z = i * sh - ph, j * sw - pw
                if square and y >= 0 and z >= 0 and y + dh < h and z + dw < w:
                    top, bottom = x[image, y], x[image, y + dh]
                    _largest_of_four(
                        top[z], top[z + dw], bottom[z], bottom[z + dw], best, where
                    )  # fmt: skip
                else:
                    fresh = 1
                    for u in range(kh):
                        for v in range(kw):
                            if 0 <= y + u * dh < h and 0 <= z + v * dw < w:
                                pixel = x[image, y + u * dh, z + v * dw]
                                _larger(pixel, best, where, u * kw + v, fresh)
                                fresh = 0
                    if fresh == 1:
                        for k in range(best.size):
                            best[k] = -np.inf
                            where[k] = -1


@scalar
def _better(value, old):
    """Whether a value takes the place of the best so far."""
    return value > old or (value != value and old == old)


@fast
def _largest_of_four(a, b, c, d, best, where):
    """The commonest window, at once."""
    for k in range(best.size):
        top, bottom = _better(b[k], a[k]), _better(d[k], c[k])
        high, low = (b[k] if top else a[k]), (d[k] if bottom else c[k])
        below = _better(low, high)
        best[k] = low if below else high
        first, second = (1 if top else 0), (3 if bottom else 2)
        where[k] = second if below else first


@fast
def _larger(pixel, best, where, k, fresh):
    """Let `pixel` be the best where it is larger, or where there is none yet."""
    number = where.dtype.type(k)
    if fresh == 1:
        for c in range(pixel.size):
            best[c] = pixel[c]
            where[c] = number
    else:
        for c in range(pixel.size):
            better = _better(pixel[c], best[c])
            best[c] = pixel[c] if better else best[c]
            where[c] = number if better else where[c]


@kernel(
    f"g[n,oh,ow,c] place:int32[n,oh,ow,c] {GEOMETRY} -> dx[n,h,w,c]",
    split="n",
    block=1,
    short=True,
)
def max_pool2d_backward(g, place, geometry, dx):
    """Each output's gradient goes to the entry it came from; overlapping windows add up."""
    h, w, _, out_h, out_w, _, kh, kw, sh, sw, ph, pw, dh, dw, _ = values(geometry, 15)
    exact = kh * kw == 4 and sh * sw == 4 and dh * dw == 1 and ph + pw == 0
    square = exact and kh == sh == 2 and h == 2 * out_h and w == 2 * out_w
    for image in range(dx.shape[0]):
        if square:
            for i in range(out_h):
                top, bottom = dx[image, 2 * i], dx[image, 2 * i + 1]
                for j in range(out_w):
                    along, where = g[image, i, j], place[image, i, j]
                    _set(along, where, 0, top[2 * j])
                    _set(along, where, 1, top[2 * j + 1])
                    _set(along, where, 2, bottom[2 * j])
                    _set(along, where, 3, bottom[2 * j + 1])
            continue
        for y in range(h):
            for z in range(w):
                pixel = dx[image, y, z]
                for c in range(pixel.size):
                    pixel[c] = 0
        for i in range(out_h):
            for j in range(out_w):
                along, where = g[image, i, j], place[image, i, j]
                for u in range(kh):
                    y = i * sh + u * dh - ph
                    for v in range(kw):
                        z = j * sw + v * dw - pw
                        if 0 <= y < h and 0 <= z < w:
                            _give(along, where, u * kw + v, dx[image, y, z])


@fast
def _set(along, where, k, target):
    """What came from position k of a window that shares no entry with others."""
    number = where.dtype.type(k)
    for c in range(target.size):
        target[c] = along[c] if where[c] == number else type(along[c])(0)


@fast
def _give(along, where, k, target):
    """Add to `target` what came from position k of a window."""
    number = where.dtype.type(k)
    for c in range(target.size):
        target[c] += along[c] if where[c] == number else type(along[c])(0)


@kernel(
    "x[n,h,w,c] rows:int64[oh,2] columns:int64[ow,2] scale[oh,ow] -> out[n,oh,ow,c]",
    split="n",
    block=1,
    short=True,
)
def avg_pool2d(x, rows, columns, scale, out):
    """The sum over rows[i, 0] <= y < rows[i, 1] and columns alike, times scale[i, j]."""
    for image in range(x.shape[0]):
        for i in range(rows.shape[0]):
            for j in range(columns.shape[0]):
                total = out[image, i, j]
                for c in range(total.size):
                    total[c] = 0
                for y in range(rows[i, 0], rows[i, 1]):
                    for z in range(columns[j, 0], columns[j, 1]):
                        _add(x[image, y, z], type(scale[i, j])(1), total)
                for c in range(total.size):
                    total[c] *= scale[i, j]


@kernel(
    "g[n,oh,ow,c] rows:int64[oh,2] columns:int64[ow,2] scale[oh,ow] -> dx[n,h,w,c]",
    split="n",
    block=1,
    short=True,
)
def avg_pool2d_backward(g, rows, columns, scale, dx):
    """Each output's gradient, times its scale, to every entry that it sums over."""
    for image in range(dx.shape[0]):
        for y in range(dx.shape[1]):
            for z in range(dx.shape[2]):
                pixel = dx[image, y, z]
                for c in range(pixel.size):
                    pixel[c] = 0
        for i in range(rows.shape[0]):
            for j in range(columns.shape[0]):
                for y in range(rows[i, 0], rows[i, 1]):
                    for z in range(columns[j, 0], columns[j, 1]):
                        _add(g[image, i, j], scale[i, j], dx[image, y, z])


@fast
def _add(source, factor, target):
    """target += factor * source."""
    for c in range(target.size):
        target[c] += factor * source[c]
