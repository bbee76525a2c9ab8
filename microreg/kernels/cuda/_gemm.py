"""The product behind every kernel of `matmul.py` and `conv.py`: a block sums a tile of the result.

    out[i, j] = sum over p of a(i, p) * b(p, j),   then  + bias[j],  then  max(0, .)

The 256 threads of a block stand in 16 lines of 16; each sums `each` x `each` numbers in registers:
rows 4 y, ..., 4 y + 3 and columns 4 x, ..., 4 x + 3 of every 64 x 64 square of the tile. A stretch
of p at a time, the tiles of a and b travel from memory through registers to the block's memory, p
outermost. Two stretches take turns there: while one is summed the next is on its way, so that each
needs one barrier.

A thread brings four numbers of a and four of b to each stretch. If in memory they are neighbours
along p, they are turned on the way ("flipped"). Where they come from says a pair of formulas, so
that a convolution is a product too: prepare(shape, i, last) once, then fetch(source, prepared, p,
stop) for every stretch. Behind the last p it gives 0. Behind the last i it may give anything that
can be read: nobody writes those sums.
"""

import functools

from .._native import maximum
from ._words import (
    barrier,
    block,
    helper,
    load4,
    offset,
    outer,
    place_again,
    registers,
    shared,
    store4,
    thread,
    unroll,
)  # fmt: skip

THREADS = 256
NONE, BIAS, BIAS_RELU = -1, 0, 1  # what follows the sums


@functools.cache
def lines(flipped, vector):
    """(prepare, fetch) for a matrix with lines shape[0] apart, along i, or along p if flipped."""

    @helper
    def prepare_flipped(shape, i, last):
        return (min(i, last) * shape[0],)

    @helper
    def fetch_flipped(source, prepared, p, stop):
        zero, at = type(source[0])(0), prepared[0] + p
        if vector:
            return load4(source, at) if p < stop else (zero, zero, zero, zero)
        return (
            source[at] if p < stop else zero,
            source[at + 1] if p + 1 < stop else zero,
            source[at + 2] if p + 2 < stop else zero,
            source[at + 3] if p + 3 < stop else zero,
        )

    @helper
    def prepare(shape, i, last):
        return (min(i, last - 3), last, shape[0]) if vector else (i, last, shape[0])

    @helper
    def fetch(source, prepared, p, stop):
        i, last, line = prepared
        zero, at = type(source[0])(0), p * line
        if p >= stop:
            return zero, zero, zero, zero
        if vector:
            return load4(source, at + i)
        return (
            source[at + min(i, last)],
            source[at + min(i + 1, last)],
            source[at + min(i + 2, last)],
            source[at + min(i + 3, last)],
        )

    return (prepare_flipped, fetch_flipped) if flipped else (prepare, fetch)


@functools.cache
def tile(each, a_source, a_flipped, b_source, b_flipped, vector):
    """The function of a block; with `vector` four numbers of the result are written at once."""
    (prepare_a, fetch_a), (prepare_b, fetch_b) = a_source, b_source
    groups, side = each // 4, 16 * each
    depth = 1024 // side  # so that a tile of a stretch is four numbers for each thread
    line = side + 4  # what is turned goes to different banks then
    size = depth * line
    twice, square = 2 * size, each * each

    @helper
    def zero(i, sums):
        sums[i] = 0

    @helper
    def turn(i, four, target, at):
        target[at + i * line] = four[i]

    @helper
    def keep(four, target, i, p, flipped):
        """Bring four numbers into a stretch."""
        if flipped:
            unroll(turn, 4, four, target, p * line + i)
        else:
            store4(target, p * line + i, four)

    @helper
    def fragment(g, source, at, out):
        four = load4(source, at + 64 * g)
        out[4 * g] = four[0]
        out[4 * g + 1] = four[1]
        out[4 * g + 2] = four[2]
        out[4 * g + 3] = four[3]

    @helper
    def step(p, a, b, y, x, sums):
        left, right = registers(each, a[0]), registers(each, a[0])
        unroll(fragment, groups, a, p * line + 4 * y, left)
        unroll(fragment, groups, b, p * line + 4 * x, right)
        outer(sums, left, right, each)

    @helper
    def ending_of(c, bias, column, n, ending, out):
        j = column + 64 * (c // 4) + c % 4
        out[c] = bias[j] if ending != NONE and j < n else type(bias[0])(0)

    @helper
    def ended(value, addend, ending):
        value += addend
        return maximum(value, type(value)(0)) if ending == BIAS_RELU else value

    @helper
    def write_one(s, sums, q, addends, c, out, at, j, n, ending):
        if j + s < n:
            out[at + j + s] = ended(sums[q + s], addends[c + s], ending)

    @helper
    def write_group(h, sums, r, addends, out, at, column, n, ending):
        j, q, c = column + 64 * h, r + 4 * h, 4 * h
        if not vector:
            unroll(write_one, 4, sums, q, addends, c, out, at, j, n, ending)
        elif j < n:
            store4(
                out, at + j,
                (
                    ended(sums[q], addends[c], ending),
                    ended(sums[q + 1], addends[c + 1], ending),
                    ended(sums[q + 2], addends[c + 2], ending),
                    ended(sums[q + 3], addends[c + 3], ending),
                ),
            )  # fmt: skip

    @helper
    def write_row(r, sums, addends, out, step_out, row, column, m, n, ending):
        i = row + 64 * (r // 4) + r % 4
        if i < m:
            at = i * step_out
            unroll(write_group, groups, sums, r * each, addends, out, at, column, n, ending)

    @helper
    def product(a, a_shape, b, b_shape, bias, out, m, n, start, stop, step_out, ending):
        """The tile (block(0), block(1)) of the matrix (m, n), summed over p from start to stop.

        The lines of out are step_out apart.
        """
        row, column = block(0) * side, block(1) * side
        left, right = shared(twice, a[0]), shared(twice, a[0])
        sums = registers(square, a[0])
        unroll(zero, square, sums)
        t = thread()
        y, x = t // 16, t % 16
        across, up = t // (depth // 4), 4 * (t % (depth // 4))  # where lines run along p
        down, along = t // (side // 4), 4 * (t % (side // 4))  # where they run along i
        ai, ap = (across, up) if a_flipped else (along, down)
        bi, bp = (across, up) if b_flipped else (along, down)
        a_from, b_from = prepare_a(a_shape, row + ai, m - 1), prepare_b(b_shape, column + bi, n - 1)
        keep(fetch_a(a, a_from, start + ap, stop), left, ai, ap, a_flipped)
        keep(fetch_b(b, b_from, start + bp, stop), right, bi, bp, b_flipped)
        barrier()
        stage, p = 0, start + depth
        while True:
            # b first: the other way round one form is a register short on compute capability 10
            b_four, a_four = fetch_b(b, b_from, p + bp, stop), fetch_a(a, a_from, p + ap, stop)
            unroll(step, depth, offset(left, stage), offset(right, stage), y, x, sums)
            if p >= stop:
                break
            stage = size - stage
            keep(a_four, offset(left, stage), ai, ap, a_flipped)
            keep(b_four, offset(right, stage), bi, bp, b_flipped)
            barrier()
            p += depth
        t, i, j = place_again()
        row, column = i * side + 4 * (t // 16), j * side + 4 * (t % 16)
        addends = registers(each, a[0])
        unroll(ending_of, each, bias, column, n, ending, addends)
        unroll(write_row, each, sums, addends, out, step_out, row, column, m, n, ending)

    return product
