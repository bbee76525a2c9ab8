"""Two-dimensional convolution as a product, and max pooling, over images with channels last.

A convolution is the product of pixels and weights: row i of a is the window under output pixel i,
p runs over its (u, v, c), and what lies beside the image is 0. For the gradient of the weights the
roles are turned: rows are (u, v, c), and p runs over the output pixels of some images, the CPU's
blocks. Groups are products of their own. See `../conv.py` for what `geometry` holds.
"""

import functools

import numpy as np

from .. import conv as cpu
from .._spec import Signature
from ..conv import GROUPS, OUT_H, OUT_W, C, O
from . import _gemm
from ._words import block, blocks, divide, helper, load4, offset, thread, threads
from .matmul import divided, merged
from .plan import ALIGNED, GRID, THREADS, TWINS, Code, Part, address, numbers, three

NUMBERS = (
    "h:int64 w:int64 c:int64 oh:int64 ow:int64 o:int64 kh:int64 kw:int64 sh:int64 sw:int64 "
    "ph:int64 pw:int64 dh:int64 dw:int64 groups:int64"
)
FORWARD = Signature(f"x[] weight[] bias[] -> out[]; {NUMBERS} pixels:int64 ending:int64")
WEIGHT = Signature(
    f"x[] g[] -> partial[]; {NUMBERS} images:int64 rows:int64 pieces:int64 length:int64"
)
SIDE = 64


@functools.cache
def windows(vector):
    """(prepare, fetch) for windows: i is a pixel of the result, p a number in its window."""

    @helper
    def prepare(shape, i, last):
        h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, width = shape
        image, rest = divide(min(i, last), oh * ow)
        y, x = divide(rest, ow)
        top, left = y * sh - ph, x * sw - pw
        return ((image * h + top) * w + left) * c, top, left, h, w, c, kw, dh, dw, width

    @helper
    def number(source, prepared, p, stop):
        """The place of number p of the window, or -1 beside the image."""
        base, top, left, h, w, c, kw, dh, dw, width = prepared
        tap, channel = divide(p, width)
        u, v = divide(tap, kw)
        y, x = top + u * dh, left + v * dw
        inside = p < stop and y >= 0 and y < h and x >= 0 and x < w
        return base + (u * dh * w + v * dw) * c + channel if inside else -1

    @helper
    def one(source, prepared, p, stop):
        at = number(source, prepared, p, stop)
        return source[at] if at >= 0 else type(source[0])(0)

    @helper
    def fetch(source, prepared, p, stop):
        if vector:
            zero, at = type(source[0])(0), number(source, prepared, p, stop)
            return load4(source, at) if at >= 0 else (zero, zero, zero, zero)
        return (
            one(source, prepared, p, stop),
            one(source, prepared, p + 1, stop),
            one(source, prepared, p + 2, stop),
            one(source, prepared, p + 3, stop),
        )

    return prepare, fetch


@functools.cache
def taps(vector):
    """(prepare, fetch) for the gradient of weights: i is a number in a window, p a pixel."""

    @helper
    def place(i, shape):
        """Where number i of a window lies from its first pixel: rows, columns, channel."""
        _, _, _, _, _, kw, _, _, ph, pw, dh, dw, width = shape
        tap, channel = divide(i, width)
        u, v = divide(tap, kw)
        return u * dh - ph, v * dw - pw, channel

    @helper
    def prepare(shape, i, last):
        h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, width = shape
        first = min(i, last - 3) if vector else i
        up, along, channel = place(min(first, last), shape)
        return first, last, up, along, channel, h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, width

    @helper
    def one(source, shape, i, image, y, x):
        h, w, c, _, _, _, sh, sw, _, _, _, _, _ = shape
        up, along, channel = place(i, shape)
        row, column = y * sh + up, x * sw + along
        inside = row >= 0 and row < h and column >= 0 and column < w
        at = ((image * h + row) * w + column) * c + channel
        return source[at] if inside else type(source[0])(0)

    @helper
    def fetch(source, prepared, p, stop):
        first, last, up, along, channel, h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, width = (
            prepared
        )
        zero = type(source[0])(0)
        if p >= stop:
            return zero, zero, zero, zero
        image, rest = divide(p, oh * ow)
        y, x = divide(rest, ow)
        if vector:
            row, column = y * sh + up, x * sw + along
            if row >= 0 and row < h and column >= 0 and column < w:
                return load4(source, ((image * h + row) * w + column) * c + channel)
            return zero, zero, zero, zero
        shape = h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, width
        return (
            one(source, shape, min(first, last), image, y, x),
            one(source, shape, min(first + 1, last), image, y, x),
            one(source, shape, min(first + 2, last), image, y, x),
            one(source, shape, min(first + 3, last), image, y, x),
        )

    return prepare, fetch


@functools.cache
def forward(vector):
    tile = _gemm.tile(4, windows(vector), True, _gemm.lines(False, vector), False, vector)

    def conv2d(
        x, weight, bias, out, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw, groups, pixels,
        ending,
    ):  # fmt: skip
        group, c_in, c_out = block(2), c // groups, o // groups
        shape = h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, c_in
        at = group * c_out
        tile(
            offset(x, group * c_in), shape, offset(weight, at), (o,), offset(bias, at),
            offset(out, at), pixels, c_out, 0, kh * kw * c_in, o, ending,
        )  # fmt: skip

    return Code(conv2d, FORWARD, name=f"conv2d{'_vector' if vector else ''}")


@functools.cache
def weight_gradient(vector):
    tile = _gemm.tile(4, taps(vector), False, _gemm.lines(False, vector), False, vector)

    def conv2d_weight(
        x, g, partial, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw, groups, images, rows,
        pieces, length,
    ):  # fmt: skip
        part, group = divide(block(2), groups)
        part, piece = divide(part, pieces)
        c_in, c_out = c // groups, o // groups
        shape = h, w, c, oh, ow, kw, sh, sw, ph, pw, dh, dw, c_in
        depth, at, area = kh * kw * c_in, group * c_out, oh * ow
        first = part * rows * area + piece * length
        last = min(first + length, min(images, (part + 1) * rows) * area)
        tile(
            offset(x, group * c_in), shape, offset(g, at), (o,), partial,
            offset(partial, (part * pieces + piece) * depth * o + at), depth, c_out, first, last,
            o, _gemm.NONE,
        )  # fmt: skip

    return Code(conv2d_weight, WEIGHT, name=f"conv2d_weight{'_vector' if vector else ''}")


def _vector(g, *arrays):
    """Whether channels can be taken four at a time."""
    counts = g[C], g[O], g[C] // g[GROUPS], g[O] // g[GROUPS]
    return all(n % 4 == 0 for n in counts) and all(address(x) % ALIGNED == 0 for x in arrays)


def _forward(kernel, args, device):
    x, weight, bias, geometry, out, ending = args
    g = [int(v) for v in numbers(geometry)]
    code, pixels = forward(_vector(g, x, weight, out)), len(x) * g[OUT_H] * g[OUT_W]
    grid = -(-pixels // SIDE), -(-(g[O] // g[GROUPS]) // SIDE), g[GROUPS]
    yield Part(code, grid, _gemm.THREADS, (x, weight, bias, out, *g, pixels, ending))


def _weight(kernel, args, device):
    x, along, geometry, partial = args
    g = [int(v) for v in numbers(geometry)]
    code = weight_gradient(_vector(g, x, along, partial))
    rows, (many, depth, _) = kernel.rows({"m": x.shape[1]}), partial.shape
    tiles = -(-depth // SIDE), -(-(g[O] // g[GROUPS]) // SIDE)
    area = g[OUT_H] * g[OUT_W]
    pieces, length = divided(
        min(rows, len(x)) * area, tiles[0] * tiles[1] * many * g[GROUPS], device
    )
    target = partial if pieces == 1 else device.empty((many * pieces, depth, g[O]), x.dtype)
    grid = (*tiles, many * pieces * g[GROUPS])
    yield Part(code, grid, _gemm.THREADS, (x, along, target, *g, len(x), rows, pieces, length))
    if pieces > 1:
        yield merged(target, partial, partial, many, pieces, _gemm.NONE)


TWINS[cpu.conv2d], TWINS[cpu.conv2d_weight] = _forward, _weight

POOL = Signature(f"x[] -> out[] place:int32[]; {NUMBERS} size:int64")
UNPOOL = Signature(f"g[] place:int32[] -> dx[]; {NUMBERS} size:int64")


def max_pool2d(
    x, out, place, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw, groups, size
):  # fmt: skip
    """The largest entry under each window and which one it is, one thread an output."""
    at = block(0) * threads() + thread()
    while at < size:
        rest, channel = divide(at, c)
        rest, j = divide(rest, ow)
        image, i = divide(rest, oh)
        best, where = -type(x[0])(np.inf), -1
        for u in range(kh):
            y = i * sh - ph + u * dh
            for v in range(kw):
                z = j * sw - pw + v * dw
                if y >= 0 and y < h and z >= 0 and z < w:
                    value = x[((image * h + y) * w + z) * c + channel]
                    if where < 0 or cpu._better(value, best):
                        best, where = value, u * kw + v
        out[at] = best
        place[at] = where
        at += blocks(0) * threads()


def max_pool2d_backward(
    g, place, dx, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw, groups, size
):  # fmt: skip
    """Each entry takes the gradients of the windows that chose it, one thread an entry."""
    at = block(0) * threads() + thread()
    while at < size:
        rest, channel = divide(at, c)
        rest, z = divide(rest, w)
        image, y = divide(rest, h)
        total = type(g[0])(0)
        for i in range(
            max(0, (y + ph - (kh - 1) * dh + sh - 1) // sh), min(oh, (y + ph) // sh + 1)
        ):
            u = y + ph - i * sh
            if u % dh == 0:
                for j in range(
                    max(0, (z + pw - (kw - 1) * dw + sw - 1) // sw), min(ow, (z + pw) // sw + 1)
                ):
                    v = z + pw - j * sw
                    if v % dw == 0:
                        source = ((image * oh + i) * ow + j) * c + channel
                        if place[source] == u // dh * kw + v // dw:
                            total += g[source]
        dx[at] = total
        at += blocks(0) * threads()


POOLED, UNPOOLED = Code(max_pool2d, POOL), Code(max_pool2d_backward, UNPOOL)


def _pool(kernel, args, device):
    x, geometry, out, place = args
    return [_each(POOLED, (x, out, place), geometry, out.size)]


def _unpool(kernel, args, device):
    g, place, geometry, dx = args
    return [_each(UNPOOLED, (g, place, dx), geometry, dx.size)]


def _each(code, arrays, geometry, size):
    blocks_now = min(GRID, -(-size // THREADS))
    return Part(code, three(blocks_now), THREADS, (*arrays, *map(int, numbers(geometry)), size))


TWINS[cpu.max_pool2d], TWINS[cpu.max_pool2d_backward] = _pool, _unpool
