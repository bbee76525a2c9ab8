"""Moving numbers on a GPU, a thread for each: strided to dense and back, by index, turned."""

from .. import move as cpu
from ._words import (
    ballot,
    barrier,
    block,
    blocks,
    divide,
    helper,
    shared,
    thread,
)  # fmt: skip
from .plan import GRID, THREADS, twin
from .teams import WARP

SIDE, LINES = 32, 8  # of the squares that are turned, and threads along them
LINE = SIDE + 1  # columns of a square then lie in different banks
ROWS = 64  # rows that a block collects what belongs to


@helper
def _place(line, nb, nc, sa, sb, sc, origin):
    """Where line l = (a, b, c) of a strided array begins."""
    rest, c = divide(line, nc)
    a, b = divide(rest, nb)
    return origin + a * sa + b * sb + c * sc


def _each(name):
    return lambda sizes: max(1, min(GRID, -(-sizes["l"] * sizes["d"] // THREADS)))


@twin(cpu.pack, grid=_each("l"))
def pack(x, out, nb, nc, sa, sb, sc, sd, origin, m, l, d):  # noqa: E741
    """out[l, j] = entry j of line l of a strided array."""
    i = block(0) * THREADS + thread()
    while i < l * d:
        line, j = divide(i, d)
        out[i] = x[_place(line, nb, nc, sa, sb, sc, origin) + j * sd]
        i += blocks(0) * THREADS


@twin(cpu.unpack, grid=_each("l"))
def unpack(x, out, nb, nc, sa, sb, sc, sd, origin, l, d, m):  # noqa: E741
    """Entry j of line l of a strided array = x[l, j]."""
    i = block(0) * THREADS + thread()
    while i < l * d:
        line, j = divide(i, d)
        out[_place(line, nb, nc, sa, sb, sc, origin) + j * sd] = x[i]
        i += blocks(0) * THREADS


def _squares(sizes):
    return -(-sizes["q"] // SIDE), min(65535, -(-sizes["p"] // SIDE)), min(65535, sizes["n"])


@twin(cpu.turn, grid=_squares)
def turn(x, out, n, p, q):
    """out[i, k, j] = x[i, j, k]: squares go through the block's memory, so both sides run on."""
    square = shared(SQUARE, x[0])
    column, line = thread() % SIDE, thread() // SIDE
    i = block(2)
    while i < n:
        top = block(1) * SIDE
        while top < p:
            left = block(0) * SIDE
            for r in range(line, SIDE, LINES):
                if top + r < p and left + column < q:
                    square[r * LINE + column] = x[(i * p + top + r) * q + left + column]
            barrier()
            for r in range(line, SIDE, LINES):
                if left + r < q and top + column < p:
                    out[(i * q + left + r) * p + top + column] = square[column * LINE + r]
            barrier()
            top += blocks(1) * SIDE
        i += blocks(2)


@twin(cpu.take_rows, grid=lambda sizes: max(1, min(GRID, -(-sizes["n"] * sizes["d"] // THREADS))))
def take_rows(x, index, out, m, d, n):
    """out[i] = x[index[i]]; an index below 0 counts from the end, one outside gives NaN."""
    i = block(0) * THREADS + thread()
    while i < n * d:
        row, j = divide(i, d)
        at = index[row]
        at = at if at >= 0 else at + m
        out[i] = x[at * d + j] if at >= 0 and at < m else cpu.nothing(out[i])
        i += blocks(0) * THREADS


@twin(cpu.add_rows_at, grid=lambda sizes: max(1, min(GRID, -(-sizes["m"] // ROWS))))
def add_rows_at(g, index, out, n, d, m):
    """out = 0, then out[index[i]] += g[i], i ascending.

    A block has some rows of out to itself. It looks through all of index, and its threads, each
    with columns of its own, add what belongs there one row after another: no two threads meet.
    """
    found = shared(WARPS, index[0])
    t, lane, warp = thread(), thread() % WARP, thread() // WARP
    first = block(0) * ROWS
    while first < m:
        last = min(m, first + ROWS)
        for j in range(first * d + t, last * d, THREADS):
            out[j] = 0
        for start in range(0, n, THREADS):
            i = start + t
            at = index[i] if i < n else -m - 1
            at = at if at >= 0 else at + m
            bits = ballot(at >= first and at < last)
            barrier()  # what is in `found` may still be read
            if lane == 0:
                found[warp] = bits
            barrier()
            for w in range(WARPS):
                mine = found[w]
                row = start + w * WARP
                while mine != 0:
                    if mine & 1:
                        to = index[row]
                        to = to if to >= 0 else to + m
                        for j in range(t, d, THREADS):
                            out[to * d + j] += g[row * d + j]
                    mine >>= 1
                    row += 1
        first += blocks(0) * ROWS


SQUARE = SIDE * LINE
WARPS = THREADS // WARP
