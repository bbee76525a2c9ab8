"""Layer norm over rows for a GPU; see `../norm.py` for the formulas.

A row's mean is taken twice, the second time from the distances to the first: what rounding it lost
stays in `low`. The sums for weight and bias run over the rows of the CPU's blocks.
"""

import math

from .. import norm as cpu
from .._spec import Signature
from ._words import block, carry, offset, registers, shared, thread
from .plan import THREADS, TWINS
from .teams import (
    column_part,
    family,
    four,
    line_sum,
    over_rows,
    row_of,
    row_part,
    team_sum,
)  # fmt: skip


@over_rows(cpu.layer_norm, 0, 1, 2, 3)
def layer_norm(vector):
    """Each row with its own statistics."""

    def body(x, weight, bias, out, mean, rstd, eps, width, n, d):
        memory, r = shared(32, x[0]), registers(vector, x[0])
        w, b = registers(vector, x[0]), registers(vector, x[0])
        i, zero, count = row_of(width), type(x[0])(0), type(x[0])(d)
        if i < n:
            first, step = thread() % width * vector, width * vector
            total = zero
            for j in range(first, d, step):
                carry(r, offset(x, i * d + j), vector)
                for k in range(vector):
                    total += r[k]
            near = team_sum(total, width, memory) / count
            total, square = zero, zero
            for j in range(first, d, step):
                carry(r, offset(x, i * d + j), vector)
                for k in range(vector):
                    v = r[k] - near
                    total += v
                    square += v * v
            total = team_sum(total, width, memory)
            square = team_sum(square, width, memory)
            m = near + total / count
            low = (near - m) + total / count  # what rounding the mean lost
            s = type(m)(1) / math.sqrt((square - total * total / count) / count + eps)
            if thread() % width == 0:
                mean[i] = m
                rstd[i] = s
            for j in range(first, d, step):
                carry(r, offset(x, i * d + j), vector)
                carry(w, offset(weight, j), vector)
                carry(b, offset(bias, j), vector)
                for k in range(vector):
                    r[k] = ((r[k] - m) - low) * s * w[k] + b[k]
                carry(offset(out, i * d + j), r, vector)

    return body


def _along(vector):
    """dx = rstd * (h - mean(h) - x_hat * mean(h * x_hat)), h = g * weight."""

    def body(g, x, mean, rstd, weight, dx, width, n, d):
        memory, r, h = shared(32, x[0]), registers(vector, x[0]), registers(vector, x[0])
        w, i, count = registers(vector, x[0]), row_of(width), type(x[0])(d)
        if i < n:
            first, step = thread() % width * vector, width * vector
            m, s = mean[i], rstd[i]
            sum_h, sum_hx = type(m)(0), type(m)(0)
            for j in range(first, d, step):
                carry(h, offset(g, i * d + j), vector)
                carry(r, offset(x, i * d + j), vector)
                carry(w, offset(weight, j), vector)
                for k in range(vector):
                    v = h[k] * w[k]
                    sum_h += v
                    sum_hx += v * (r[k] - m)
            mean_h = team_sum(sum_h, width, memory) / count
            slope = team_sum(sum_hx, width, memory) / count * s * s
            for j in range(first, d, step):
                carry(h, offset(g, i * d + j), vector)
                carry(r, offset(x, i * d + j), vector)
                carry(w, offset(weight, j), vector)
                for k in range(vector):
                    r[k] = s * (h[k] * w[k] - mean_h - (r[k] - m) * slope)
                carry(offset(dx, i * d + j), r, vector)

    return body


def _across(vector):
    """The sums over a block of rows: of g for the bias, of g * x_hat for the weight."""

    def body(g, x, mean, rstd, dweight, dbias, rows, width, n, d):
        memory, r, h = shared(THREADS, x[0]), registers(vector, x[0]), registers(vector, x[0])
        along, total = registers(vector, x[0]), registers(vector, x[0])
        for k in range(vector):
            along[k] = 0
            total[k] = 0
        b, line, lines = block(1), thread() // width, THREADS // width
        j = (block(0) * width + thread() % width) * vector
        if j < d:
            for i in range(b * rows + line, min(n, (b + 1) * rows), lines):
                m, s = mean[i], rstd[i]
                carry(h, offset(g, i * d + j), vector)
                carry(r, offset(x, i * d + j), vector)
                for k in range(vector):
                    total[k] += h[k]
                    along[k] += h[k] * (r[k] - m) * s
        for k in range(vector):
            total[k] = line_sum(total[k], width, memory)
            along[k] = line_sum(along[k], width, memory)
        if line == 0 and j < d:
            carry(offset(dweight, b * d + j), along, vector)
            carry(offset(dbias, b * d + j), total, vector)

    return body


ALONG = Signature("g[] x[n,d] mean[] rstd[] weight[] -> dx[]")
ACROSS = Signature("g[] x[n,d] mean[] rstd[] -> dweight[] dbias[]")
along = family(_along, "layer_norm_dx", ALONG, "width")
across = family(_across, "layer_norm_sums", ACROSS, "rows", "width")


def _backward(kernel, args, device):
    g, x, mean, rstd, weight, dx, dweight, dbias = args
    n, d = x.shape
    vector = four(d, g, x, weight, dx)
    yield row_part(along(vector), n, d, (g, x, mean, rstd, weight, dx), device)
    vector, rows = four(d, g, x, dweight, dbias), kernel.rows({"d": d})
    arrays = g, x, mean, rstd, dweight, dbias
    yield column_part(across(vector), d, rows, vector, (*arrays, rows), len(dweight))


TWINS[cpu.layer_norm_backward] = _backward
