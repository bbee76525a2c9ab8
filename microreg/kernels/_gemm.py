"""The product behind every kernel of `matmul.py`, in blocks that fit the caches.

    out[i, j] = sum over p of a(i, p) * b(p, j)

The sum over p is cut into equal parts of at most DEPTH; within a part p ascends, and the parts are
added in order. The parts depend on k alone, so neither the number of threads nor the way a and b
are read changes a bit.

A tile of `out` is summed in registers (`_simd.py`). Small and narrow products read a and b in
place. Others pack them first: a block of b, which stays in the second-level cache, as panels one
tile wide, and of a the rows of one tile, which stay in the first level. A transposed b is always
packed: a tile needs its columns side by side.
"""

import functools

from . import _simd
from ._jit import kernel, scalar
from ._native import address
from ._simd import copy, tile, tile_shape, transpose

DEPTH = 320  # longest part of the sum
PANELS = 24  # panels in a block of b: 24 * 2 vectors * 320 elements are 1 MB with AVX-512
CHUNK = 24  # tiles of rows that are finished before the next ones, when a is read in place
SMALL = 300**3  # multiply-adds up to which a and b are read in place
NARROW = 160  # and rows or columns up to which they are
SHALLOW = 64  # and depth
NO_BIAS, BIAS, BIAS_RELU = -1, 0, 1  # what follows the sums
LINE = 64  # bytes to which packed blocks are aligned


def scratch_words(args):
    """How many elements of scratch memory each thread needs."""
    return _words(args[0].itemsize)


@functools.cache
def _words(item_bytes):
    rows, lanes, columns = _simd.shape_of(item_bytes)
    return DEPTH * (columns * PANELS + _up(rows, lanes)) + LINE


@scalar
def _up(count, unit):
    """`count` rounded up to a multiple of `unit`."""
    return -(-count // unit) * unit


@scalar
def _pack(count, depth, source, at, step, across, lanes, target, target_at, target_step):
    """target[p, i] = source(i, p) for i < count, p < depth.

    Neighbours in i lie `step` apart and those in p side by side, or, where `across` is 0, the other
    way round.
    """
    for i in range(0, count, lanes):
        some = min(lanes, count - i)
        if across == 1:
            transpose(some, depth, source, at + i * step, step, target, target_at + i, target_step)
        else:
            copy(depth, some, source, at + i, step, target, target_at + i, target_step)


@kernel(
    "a[an] b[bn] bias[biases] -> out[outs] scratch[words]; m:int64 k:int64 n:int64 a_row:int64 "
    "a_step:int64 b_row:int64 b_flipped:int64 out_row:int64 adds:int64 ending:int64 tid nt",
    split="threads",
    needs=(_simd,),
)
def gemm(
    a, b, bias, out, scratch, m, k, n,
    a_row, a_step, b_row, b_flipped, out_row, adds, ending, tid, nt,
):  # fmt: skip
    """Thread tid's part of out (m, n): see above.

    a(i, p) = a[i * a_row + p * a_step], where one of the steps is 1; b(p, j) = b[p * b_row + j], or
    b[j * b_row + p] where b_flipped is 1; row i of out begins at i * out_row. Where `adds` is 1 the
    sums are added to out. `ending` says what follows them.
    """
    height, lanes, width = tile_shape(out)
    parts = max(1, -(-k // DEPTH))
    depth = _up(-(-k // parts), 16)
    packs_a = m * k * n > SMALL and min(m, n) > NARROW and k > SHALLOW
    packs_b = packs_a or b_flipped == 1
    a_across = 1 if a_step == 1 else 0
    a_line = _up(height, lanes)
    a_pack = (-address(scratch) % LINE) // scratch.itemsize
    b_pack = a_pack + a_line * DEPTH

    # this thread's part: columns, in vectors, or rows, in tiles. Packing b is the greater effort,
    # and with its columns divided nothing of it is done twice
    tiles, vectors = -(-m // height), -(-n // lanes)
    top, bottom, left, right = 0, tiles, 0, n
    if tiles < nt or (vectors >= 2 * nt and (packs_b or n >= m)):
        left, right = vectors * tid // nt * lanes, min(n, vectors * (tid + 1) // nt * lanes)
    else:
        top, bottom = tiles * tid // nt, tiles * (tid + 1) // nt

    chunk = max(1, tiles if packs_b else CHUNK)
    for start in range(top, bottom, chunk):
        for first in range(left, right, PANELS * width):
            last = min(right, first + PANELS * width)
            for part in range(parts):
                p = part * depth
                deep = min(depth, k - p)
                last_ending = ending if part == parts - 1 else NO_BIAS
                if packs_b:
                    for j in range(first, last, width):
                        at = j * b_row + p if b_flipped == 1 else p * b_row + j
                        _pack(
                            min(width, last - j), deep, b, at, b_row, b_flipped,
                            lanes, scratch, b_pack + (j - first) * depth, width,
                        )  # fmt: skip
                for t in range(start, min(bottom, start + chunk)):
                    i = t * m // tiles
                    rows = (t + 1) * m // tiles - i
                    a_at = i * a_row + p * a_step
                    if packs_a:
                        _pack(
                            rows, deep, a, a_at, a_row if a_across == 1 else a_step,
                            a_across, lanes, scratch, a_pack, a_line,
                        )  # fmt: skip
                    for j in range(first, last, width):
                        columns = min(width, last - j)
                        c_at = i * out_row + j
                        if packs_a:
                            tile(
                                rows, columns, deep, 1, scratch, a_pack, 1, a_line, 0,
                                scratch, b_pack + (j - first) * depth, width, 0,
                                out, c_at, out_row, part + adds, bias, j, last_ending,
                            )  # fmt: skip
                        elif packs_b:
                            tile(
                                rows, columns, deep, 1, a, a_at, a_row, a_step, 0,
                                scratch, b_pack + (j - first) * depth, width, 0,
                                out, c_at, out_row, part + adds, bias, j, last_ending,
                            )  # fmt: skip
                        else:
                            tile(
                                rows, columns, deep, 1, a, a_at, a_row, a_step, 0,
                                b, p * b_row + j, b_row, 0,
                                out, c_at, out_row, part + adds, bias, j, last_ending,
                            )  # fmt: skip
