"""Batch norm over channels for a GPU; see `../batch_norm.py` for the formulas.

x is a matrix of rows with channels side by side, whose columns are taken together, or (n, c, s),
where each row and channel has s numbers side by side. Statistics are those of the CPU's blocks;
what they are merged from is float64, as there.
"""

import math

from .. import batch_norm as cpu
from .._spec import Signature
from ._words import (
    barrier,
    block,
    blocks,
    carry,
    divide,
    helper,
    offset,
    registers,
    shared,
    thread,
)  # fmt: skip
from .plan import THREADS, TWINS, Code, Part, twin
from .teams import (
    column_part,
    family,
    four,
    line_sum,
    row_of,
    row_part,
    team_sum,
)  # fmt: skip

FEW = cpu.FEW


def _column_stats(vector):
    def body(x, partial, rows, width, n, c):
        memory, r = shared(THREADS, x[0]), registers(vector, x[0])
        m, first, second = (
            registers(vector, x[0]),
            registers(vector, x[0]),
            registers(vector, x[0]),
        )
        b, line, lines = block(1), thread() // width, THREADS // width
        begin, end = block(1) * rows, min(n, (block(1) + 1) * rows)
        count = type(x[0])(end - begin)
        j = (block(0) * width + thread() % width) * vector
        guessed = min(end, begin + FEW)
        for k in range(vector):
            m[k] = 0
        if j < c:
            for i in range(begin, guessed):
                carry(r, offset(x, i * c + j), vector)
                for k in range(vector):
                    m[k] += r[k]
        for k in range(vector):
            m[k] /= type(x[0])(guessed - begin)
        for turn in range(2):
            for k in range(vector):
                first[k] = 0
                second[k] = 0
            if j < c:
                for i in range(begin + line, end, lines):
                    carry(r, offset(x, i * c + j), vector)
                    for k in range(vector):
                        v = r[k] - m[k]
                        first[k] += v
                        second[k] += v * v
            far = type(x[0])(0)
            for k in range(vector):
                first[k] = line_sum(first[k], width, memory)
                second[k] = line_sum(second[k], width, memory)
                shift = first[k] * first[k] / count
                if shift > type(x[0])(4) * (second[k] - shift):
                    far = type(x[0])(1)
            if turn == 0:
                # a guess far from the mean costs digits: then once more, for all columns here
                far = _any_of(far, width, memory)
                if far == type(x[0])(0):
                    break
                for k in range(vector):
                    m[k] += first[k] / count
        if line == 0 and j < c:
            for k in range(vector):
                shift = float(first[k]) / float(count)
                partial[2 * b * c + j + k] = float(m[k]) + shift
                partial[(2 * b + 1) * c + j + k] = float(second[k]) - shift * float(first[k])

    return body


@helper
def _any_of(v, width, memory):
    """The sum over the columns of a block, of numbers that its lines agree on."""
    barrier()
    if thread() < width:
        memory[thread()] = v
    barrier()
    total = memory[0]
    for i in range(1, width):
        total += memory[i]
    return total


def _column_sums(vector):
    def body(g, x, mean, partial, rows, width, n, c):
        memory, r, h = shared(THREADS, x[0]), registers(vector, x[0]), registers(vector, x[0])
        m, total, along = (
            registers(vector, x[0]),
            registers(vector, x[0]),
            registers(vector, x[0]),
        )
        b, line, lines = block(1), thread() // width, THREADS // width
        j = (block(0) * width + thread() % width) * vector
        for k in range(vector):
            total[k] = 0
            along[k] = 0
        if j < c:
            for k in range(vector):
                m[k] = mean[j + k]
            for i in range(b * rows + line, min(n, (b + 1) * rows), lines):
                carry(h, offset(g, i * c + j), vector)
                carry(r, offset(x, i * c + j), vector)
                for k in range(vector):
                    total[k] += h[k]
                    along[k] += h[k] * (r[k] - m[k])
        for k in range(vector):
            total[k] = line_sum(total[k], width, memory)
            along[k] = line_sum(along[k], width, memory)
        if line == 0 and j < c:
            for k in range(vector):
                partial[2 * b * c + j + k] = total[k]
                partial[(2 * b + 1) * c + j + k] = along[k]

    return body


def _column_apply(vector):
    def body(x, mean, scale, shift, out, width, n, c):
        r, m = registers(vector, x[0]), registers(vector, x[0])
        a, b = registers(vector, x[0]), registers(vector, x[0])
        j = (block(0) * width + thread() % width) * vector
        if j < c:
            carry(m, offset(mean, j), vector)
            carry(a, offset(scale, j), vector)
            carry(b, offset(shift, j), vector)
            lines = THREADS // width
            for i in range(block(1) * lines + thread() // width, n, blocks(1) * lines):
                carry(r, offset(x, i * c + j), vector)
                for k in range(vector):
                    r[k] = (r[k] - m[k]) * a[k] + b[k]
                carry(offset(out, i * c + j), r, vector)

    return body


def _column_backward(vector):
    def body(g, x, mean, scale, slope, shift, dx, width, n, c):
        r, h, m = registers(vector, x[0]), registers(vector, x[0]), registers(vector, x[0])
        a, b, e = registers(vector, x[0]), registers(vector, x[0]), registers(vector, x[0])
        j = (block(0) * width + thread() % width) * vector
        if j < c:
            carry(m, offset(mean, j), vector)
            carry(a, offset(scale, j), vector)
            carry(b, offset(slope, j), vector)
            carry(e, offset(shift, j), vector)
            lines = THREADS // width
            for i in range(block(1) * lines + thread() // width, n, blocks(1) * lines):
                carry(r, offset(x, i * c + j), vector)
                carry(h, offset(g, i * c + j), vector)
                for k in range(vector):
                    r[k] = a[k] * h[k] + (b[k] * (r[k] - m[k]) + e[k])
                carry(offset(dx, i * c + j), r, vector)

    return body


def _image_apply(vector):
    def body(x, mean, scale, shift, out, width, n, c, s):
        r, i = registers(vector, x[0]), row_of(width)
        if i < n * c:
            j = i % c
            m, a, b = mean[j], scale[j], shift[j]
            for k in range(thread() % width * vector, s, width * vector):
                carry(r, offset(x, i * s + k), vector)
                for q in range(vector):
                    r[q] = (r[q] - m) * a + b
                carry(offset(out, i * s + k), r, vector)

    return body


def _image_backward(vector):
    def body(g, x, mean, scale, slope, shift, dx, width, n, c, s):
        r, h, i = registers(vector, x[0]), registers(vector, x[0]), row_of(width)
        if i < n * c:
            j = i % c
            m, a, b, e = mean[j], scale[j], slope[j], shift[j]
            for k in range(thread() % width * vector, s, width * vector):
                carry(r, offset(x, i * s + k), vector)
                carry(h, offset(g, i * s + k), vector)
                for q in range(vector):
                    r[q] = a * h[q] + (b * (r[q] - m) + e)
                carry(offset(dx, i * s + k), r, vector)

    return body


@helper
def _pixel(at, rows_before, j, c, s):
    """Where number `at` of channel j lies, counted over the images of a block."""
    image, k = divide(at, s)
    return ((rows_before + image) * c + j) * s + k


def _image_stats(x, partial, rows, n, c, s):
    memory, zero = shared(32, x[0]), type(x[0])(0)
    j, b = block(0), block(1)
    images = min(n, (b + 1) * rows) - b * rows
    count, total = type(x[0])(images * s), zero
    for at in range(thread(), images * s, THREADS):
        total += x[_pixel(at, b * rows, j, c, s)]
    near = team_sum(total, THREADS, memory) / count
    first, second = zero, zero
    for at in range(thread(), images * s, THREADS):
        v = x[_pixel(at, b * rows, j, c, s)] - near
        first += v
        second += v * v
    first = team_sum(first, THREADS, memory)
    second = team_sum(second, THREADS, memory)
    if thread() == 0:
        shift = float(first) / float(count)
        partial[2 * b * c + j] = float(near) + shift
        partial[(2 * b + 1) * c + j] = float(second) - shift * float(first)


def _image_sums(g, x, mean, partial, rows, n, c, s):
    memory, zero = shared(32, x[0]), type(x[0])(0)
    j, b = block(0), block(1)
    images = min(n, (b + 1) * rows) - b * rows
    total, along, m = zero, zero, mean[j]
    for at in range(thread(), images * s, THREADS):
        place = _pixel(at, b * rows, j, c, s)
        total += g[place]
        along += g[place] * (x[place] - m)
    total = team_sum(total, THREADS, memory)
    along = team_sum(along, THREADS, memory)
    if thread() == 0:
        partial[2 * b * c + j] = total
        partial[(2 * b + 1) * c + j] = along


def _of_columns(kernel, make, divided, reduces):
    """The twin of a kernel over columns; what it leaves in `work` on the CPU has no place here."""
    text = {
        cpu.column_stats: "x[n,c] -> partial:float64[]",
        cpu.column_sums: "g[] x[n,c] mean[] -> partial:float64[]",
    }.get(kernel)
    signature = Signature(text) if text else kernel.signature
    names = ("rows", "width") if reduces else ("width",)
    code = family(make, kernel.name, signature, *names)

    def launches(kernel, args, device):
        args = args[: len(signature.arrays)]
        n, c = args[divided[0]].shape
        vector = four(c, *(args[i] for i in divided))
        if not reduces:
            return [column_part(code(vector), c, n, vector, args)]
        rows = kernel.rows({"c": c, "2": 2})
        return [column_part(code(vector), c, rows, vector, (*args, rows), len(args[-1]))]

    TWINS[kernel] = launches


_of_columns(cpu.column_stats, _column_stats, (0,), True)
_of_columns(cpu.column_sums, _column_sums, (1, 0), True)
_of_columns(cpu.column_apply, _column_apply, (0, 1, 2, 3, 4), False)
_of_columns(cpu.column_backward, _column_backward, (1, 0, 2, 3, 4, 5, 6), False)


def _of_images(kernel, make, divided):
    code = family(make, kernel.name, kernel.signature, "width")

    def launches(kernel, args, device):
        n, c, s = args[divided[0]].shape
        vector = four(s, *(args[i] for i in divided))
        return [row_part(code(vector), n * c, s, args, device)]

    TWINS[kernel] = launches


_of_images(cpu.image_apply, _image_apply, (0, 4))
_of_images(cpu.image_backward, _image_backward, (1, 0, 6))


def _in_blocks(kernel, function, text):
    code = Code(function, Signature(text), name=kernel.name)

    def launches(kernel, args, device):
        n, c, s = args[-3 if len(args) == 4 else 0].shape
        rows = kernel.rows({"c": c, "s": s})
        return [Part(code, (c, -(-n // rows), 1), THREADS, (*args, rows))]

    TWINS[kernel] = launches


_in_blocks(cpu.image_stats, _image_stats, "x[n,c,s] -> partial:float64[]; rows:int64")
_in_blocks(cpu.image_sums, _image_sums, "g[] x[n,c,s] mean[] -> partial:float64[]; rows:int64")


def _channels(sizes):
    return max(1, -(-sizes["c"] // THREADS))


@twin(cpu.merge_stats, grid=_channels)
def merge_stats(
    weight, bias, partial, mean, rstd, scale, shift, running_mean, running_var, tracked,
    per_block, count, eps, momentum, c, b, r, t,
):  # fmt: skip
    """Merge blocks of `per_block` values a channel into statistics of `count`; see the CPU's.

    A thread has a channel. Where momentum depends on the number of batches there is one block.
    """
    moves = float(momentum)
    if momentum < 0 and t > 0:
        moves = 1.0 / float(tracked[0] + 1)
        barrier()
    if block(0) == 0 and thread() < t:
        tracked[thread()] += 1
    for j in range(block(0) * THREADS + thread(), c, blocks(0) * THREADS):
        centre, square = partial[j], partial[c + j]
        done = min(per_block, count)
        for i in range(1, b):
            new = min(per_block, count - done)
            share = float(new) / float(done + new)
            delta = partial[2 * i * c + j] - centre
            centre += delta * share
            square += partial[(2 * i + 1) * c + j] + delta * delta * (float(done) * share)
            done += new
        root = 1.0 / math.sqrt(square / float(count) + float(eps))
        mean[j] = centre
        rstd[j] = root
        s = type(eps)(root * float(weight[j]))
        scale[j] = s
        shift[j] = float(bias[j]) - (centre - float(mean[j])) * float(s)  # mean[j] is rounded
        if j < r:
            running_mean[j] += type(eps)(moves * (centre - float(running_mean[j])))
            spread = square / float(count - 1)
            running_var[j] += type(eps)(moves * (spread - float(running_var[j])))


_merge = TWINS[cpu.merge_stats]


def _merge_stats(kernel, args, device):
    """One block where all threads must have read the number of batches before it changes."""
    (part,) = _merge(kernel, args, device)
    counted, momentum = args[9], args[-1]
    return [part._replace(grid=(1, 1, 1)) if momentum < 0 and counted.size else part]


TWINS[cpu.merge_stats] = _merge_stats


@twin(cpu.merge_sums, grid=_channels)
def merge_sums(rstd, weight, partial, dweight, dbias, scale, slope, shift, count, c, b):
    """dweight, dbias, and dx = scale * g + slope * (x - mean) + shift."""
    j = block(0) * THREADS + thread()
    if j < c:
        total, along = partial[j], partial[c + j]
        for i in range(1, b):
            total += partial[2 * i * c + j]
            along += partial[(2 * i + 1) * c + j]
        r = float(rstd[j])
        a = float(weight[j]) * r
        dbias[j] = total
        dweight[j] = along * r
        scale[j] = a
        slope[j] = -a * r * r * along / float(count)
        shift[j] = -a * total / float(count)
