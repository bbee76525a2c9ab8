"""Sums and other reductions for a GPU, in the same blocks as for the CPU.

Sums run in the element type, as many short chains that are added in pairs. What is kept in float64
between two kernels are a few numbers for each block.
"""

import numpy as np

from .. import reduce as cpu
from .._native import maximum, minimum
from .._spec import Signature
from ._words import block, carry, helper, offset, registers, shared, shuffle, thread
from .plan import THREADS, TWINS, Part, three, twin
from .teams import (
    WARP,
    column_part,
    exchange,
    family,
    four,
    line_sum,
    over_rows,
    row_of,
    team_sum,
)  # fmt: skip


@helper
def _itself(x):
    return x


@helper
def _square(x):
    return x * x


@helper
def _is_zero(x):
    return type(x)(1) if x == type(x)(0) else type(x)(0)


def _sum_of(formula):
    """make(vector) for the kernel that adds up a formula of the entries of a block."""

    def make(vector):
        def body(x, partial, size, n):
            memory, r = shared(32, x[0]), registers(vector, x[0])
            first = block(0) * size
            last, total = min(n, first + size), type(x[0])(0)
            i = first + thread() * vector
            while i < last:
                if i + vector <= last:
                    carry(r, offset(x, i), vector)
                    for k in range(vector):
                        total += formula(r[k])
                else:
                    for k in range(i, last):
                        total += formula(x[k])
                i += THREADS * vector
            total = team_sum(total, THREADS, memory)
            if thread() == 0:
                partial[block(0)] = total

        return body

    return make


for _kernel, _formula in (
    (cpu.sum_all, _itself), (cpu.sum_squares, _square), (cpu.count_zeros, _is_zero)
):  # fmt: skip
    _code = family(_sum_of(_formula), _kernel.name, _kernel.signature, "size")

    def _launches(kernel, args, device, code=_code):
        made = code(four(4, args[0]))
        return [Part(made, three(args[1].size), THREADS, (*args, kernel.block))]

    TWINS[_kernel] = _launches


@twin(cpu.merge, grid=lambda sizes: 1)
def merge(partial, out, b, one):
    """out[0] = the sum of the partial results."""
    memory, total = shared(32, partial[0]), 0.0
    for i in range(thread(), b, THREADS):
        total += partial[i]
    total = team_sum(total, THREADS, memory)
    if thread() == 0:
        out[0] = total


@over_rows(cpu.sum_rows, 0)
def sum_rows(vector):
    """out[i] = sum over j of x[i, j]."""

    def body(x, out, width, n, d):
        memory, r = shared(32, x[0]), registers(vector, x[0])
        i, total = row_of(width), type(x[0])(0)
        if i < n:
            for j in range(thread() % width * vector, d, width * vector):
                carry(r, offset(x, i * d + j), vector)
                for k in range(vector):
                    total += r[k]
            total = team_sum(total, width, memory)
            if thread() % width == 0:
                out[i] = total

    return body


def _extreme(kernel, better, worst):
    @over_rows(kernel, 0)
    def extreme(vector):
        def body(x, out, width, n, d):
            memory, r = shared(32, x[0]), registers(vector, x[0])
            i, best = row_of(width), type(x[0])(worst)
            if i < n:
                for j in range(thread() % width * vector, d, width * vector):
                    carry(r, offset(x, i * d + j), vector)
                    for k in range(vector):
                        best = better(best, r[k])
                best = better(best, shuffle(best, 16))
                best = better(best, shuffle(best, 8))
                best = better(best, shuffle(best, 4))
                best = better(best, shuffle(best, 2))
                best = better(best, shuffle(best, 1))
                if width > WARP:
                    exchange(best, memory)
                    for k in range(width // WARP):
                        best = better(best, memory[k])
                if thread() % width == 0:
                    out[i] = best

        return body


_extreme(cpu.max_rows, maximum, -np.inf)
_extreme(cpu.min_rows, minimum, np.inf)


@helper
def _wins(value, place, best, where):
    """Whether an entry comes before the best so far: larger, or NaN, or alike and further ahead."""
    if where < 0 or place < 0:
        return place >= 0
    if value == best or (value != value and best != best):
        return place < where
    return value > best or (value != value and best == best)


@helper
def _rival(best, where, mask):
    """The better of two lanes' best entries."""
    value, place = shuffle(best, mask), shuffle(where, mask)
    return (value, place) if _wins(value, place, best, where) else (best, where)


@helper
def warp_place(row, d):
    """Where a warp finds the largest entry of a row, the first one at a tie; of a NaN if any."""
    best, where = row[0], -1
    for j in range(thread() % WARP, d, WARP):
        if _wins(row[j], j, best, where):
            best, where = row[j], j
    best, where = _rival(best, where, 16)
    best, where = _rival(best, where, 8)
    best, where = _rival(best, where, 4)
    best, where = _rival(best, where, 2)
    best, where = _rival(best, where, 1)
    return where


@twin(cpu.argmax_rows, grid=lambda sizes: -(-sizes["n"] * WARP // THREADS))
def argmax_rows(x, out, n, d):
    """out[i] = the place of the largest entry of row i."""
    i = block(0) * (THREADS // WARP) + thread() // WARP
    if i < n:
        place = warp_place(offset(x, i * d), d)
        if thread() % WARP == 0:
            out[i] = place


def _columns(vector):
    """out[b, j] = the sum of x[i, j] over `rows` rows i from b * rows on."""

    def body(x, out, rows, width, n, d):
        memory, r = shared(THREADS, x[0]), registers(vector, x[0])
        total = registers(vector, x[0])
        for k in range(vector):
            total[k] = 0
        b, line, lines = block(1), thread() // width, THREADS // width
        j = (block(0) * width + thread() % width) * vector
        if j < d:
            for i in range(b * rows + line, min(n, (b + 1) * rows), lines):
                carry(r, offset(x, i * d + j), vector)
                for k in range(vector):
                    total[k] += r[k]
        for k in range(vector):
            total[k] = line_sum(total[k], width, memory)
        if line == 0 and j < d:
            carry(offset(out, b * d + j), total, vector)

    return body


SUMS = Signature("x[n,d] -> out[]; rows:int64 width:int64")
column_sums = family(_columns, "sum_columns", SUMS)


def _sum_columns(kernel, args, device):
    x, partial = args
    n, d = x.shape
    rows = kernel.rows({"d": d}) if kernel is cpu.sum_columns_partial else max(1, n)
    vector = four(d, x, partial)
    blocks_now = -(-n // rows) if kernel is cpu.sum_columns_partial else 1
    return [column_part(column_sums(vector), d, rows, vector, (x, partial, rows), blocks_now)]


TWINS[cpu.sum_columns_partial] = TWINS[cpu.merge_columns] = _sum_columns
