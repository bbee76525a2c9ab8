"""Threads that share a row, a column or a block, and the kernels that are made of them.

Rows: a team of threads, a warp or for long rows a whole block, has a row to itself. Columns: a
block has up to 32 columns side by side, or groups of four, and as many lines of threads as are
left; each line takes every so many-th row. What either needs to know stands behind the scalars of
the twin for the CPU as one more, `width`.

Sums are taken in one order, lanes in pairs and warps in line, so every run gives the same bits.
"""

import functools

from .._native import maximum
from .._spec import ScalarSpec
from ._words import barrier, block, helper, shuffle, thread, threads
from .plan import ALIGNED, GRID, THREADS, TWINS, Code, Part, address, three

WARP = 32
SHORT, MIDDLE = 512, 2048  # rows up to which a warp takes one; or up to which, if there are many


@helper
def row_of(width):
    """The row of this thread's team."""
    return block(0) * (threads() // width) + thread() // width


@helper
def warp_sum(v):
    """The sum over the lanes of a warp, in every lane."""
    v += shuffle(v, 16)
    v += shuffle(v, 8)
    v += shuffle(v, 4)
    v += shuffle(v, 2)
    v += shuffle(v, 1)
    return v


@helper
def warp_max(v):
    """The largest number in a warp; NaN if there is one."""
    v = maximum(v, shuffle(v, 16))
    v = maximum(v, shuffle(v, 8))
    v = maximum(v, shuffle(v, 4))
    v = maximum(v, shuffle(v, 2))
    return maximum(v, shuffle(v, 1))


@helper
def exchange(v, memory):
    """Every warp's number to all of the block, through memory for as many numbers."""
    barrier()  # what was there may still be read
    if thread() % WARP == 0:
        memory[thread() // WARP] = v
    barrier()


@helper
def team_sum(v, width, memory):
    """The sum over a team, in every thread of it. `memory` is the block's, for 32 numbers."""
    v = warp_sum(v)
    if width > WARP:
        exchange(v, memory)
        v = memory[0]
        for i in range(1, width // WARP):
            v += memory[i]
    return v


@helper
def team_max(v, width, memory):
    """The largest number in a team; NaN if there is one."""
    v = warp_max(v)
    if width > WARP:
        exchange(v, memory)
        v = memory[0]
        for i in range(1, width // WARP):
            v = maximum(v, memory[i])
    return v


@helper
def line_sum(v, width, memory):
    """The sum of a column over the lines of a block, for the threads of the first line."""
    t = thread()
    half = threads() // 2
    barrier()  # what was there may still be read
    memory[t] = v
    barrier()
    while half >= width:
        if t < half:
            memory[t] += memory[t + half]
        barrier()
        half //= 2
    return memory[t % width]


def with_scalars(code, *names):
    """A code whose function takes more numbers behind its scalars."""
    code.scalars = [*code.scalars, *(ScalarSpec(name, "int64") for name in names)]
    return code


def family(make, name, signature, *numbers):
    """vector -> the code of make(vector), which takes one number or four at once."""

    @functools.cache
    def code(vector):
        made = Code(make(vector), signature, name=f"{name}{'_vector' if vector == 4 else ''}")
        return with_scalars(made, *numbers)

    return code


def four(length, *arrays):
    """4 if numbers along an axis of this length can be taken four at once, else 1."""
    fits = length % 4 == 0 and all(address(x) % ALIGNED == 0 for x in arrays)
    return 4 if fits else 1


def row_part(code, n, d, args, device):
    """The launch of a code over n rows of length d."""
    many = n >= 64 * device.multiprocessors
    width = WARP if d <= SHORT or (many and d <= MIDDLE) else THREADS
    return Part(code, three(-(-n // (THREADS // width))), THREADS, (*args, width))


def over_rows(kernel, *divided):
    """Declare make(vector) -> function as the twin of a kernel over rows.

    `divided` are the numbers of the arguments whose rows must lie well for four at once.
    """

    def declare(make):
        code = family(make, kernel.name, kernel.signature, "width")

        def launches(kernel, args, device):
            n, d = args[divided[0]].shape
            vector = four(d, *(args[i] for i in divided))
            return [row_part(code(vector), n, d, args, device)]

        TWINS[kernel] = launches
        return make

    return declare


def column_width(d, vector):
    """Columns, or groups of four, of a block of threads: a power of two, at most 32."""
    return min(WARP, 1 << max(0, -(-d // vector) - 1).bit_length())


def column_part(code, d, rows, vector, args, grid=None):
    """The launch of a code over columns; without a grid of rows a few blocks share them."""
    width = column_width(d, vector)
    tiles = -(-d // (vector * width))
    if grid is None:
        grid = max(1, min(-(-rows // (8 * THREADS // width)), max(1, GRID // max(1, tiles)), 65535))
    return Part(code, (tiles, grid, 1), THREADS, (*args, width))
