"""Attention on a GPU: a warp for each query, and for the gradients of keys one for each key.

Its lanes take 32 keys at a time: each scores one, all share what comes of them through the block's
memory, and each sums columns of the result. Scores are never stored; the forward pass keeps the
largest so far and rescales its sums when another is larger, the backward pass computes them again.
See `../attention.py` for the formulas and for what `layout` holds.
"""

import math

from .. import attention as cpu
from .._native import maximum
from .._spec import Signature
from ..attention import (
    BIAS,
    CAUSAL,
    DEPTH,
    DK,
    DQ,
    DV,
    GIVEN,
    HEADS,
    KEYS,
    OUT,
    QUERIES,
    SAMPLES,
    WIDTH,
    G,
    K,
    Q,
    V,
)
from ..vecmath import exp, log
from ._words import barrier, block, blocks, divide, helper, registers, shared, thread
from .plan import THREADS, TWINS, Code, Part, numbers
from .teams import WARP, team_max, warp_max, warp_sum

TEAMS = THREADS // WARP
COLUMNS = 4  # of each lane at a time


@helper
def _at(layout, array, sample, head, row):
    """Where a row of a head of a sample begins."""
    begin = layout[array] + sample * layout[array + 1]
    return begin + head * layout[array + 2] + row * layout[array + 3]


@helper
def _dot(a, first, b, second, n):
    total = type(a[0])(0)
    for c in range(n):
        total += a[first + c] * b[second + c]
    return total


@helper
def _keys(allowed, na, layout, sample, memory):
    """How many keys of a sample there are, up to the last allowed one."""
    count = layout[KEYS]
    if na == 0:
        return count
    last = type(memory[0])(0)
    for j in range(thread(), count, THREADS):
        if allowed[sample * count + j] != 0:
            last = type(last)(j + 1)
    return int(team_max(last, THREADS, memory))


@helper
def _score(q, k, allowed, bias, layout, na, nb, sample, head, i, j, scale):
    """s_ij, -inf where the key does not count."""
    lowest = type(scale)(-math.inf)
    if layout[CAUSAL] != 0 and j > i:
        return lowest
    if na > 0 and allowed[sample * layout[KEYS] + j] == 0:
        return lowest
    row, key = _at(layout, Q, sample, head, i), _at(layout, K, sample, head, j)
    score = scale * _dot(q, row, k, key, layout[DEPTH])
    if nb > 0:
        score += bias[_at(layout, BIAS, sample, head, i) + j]
    return score


@helper
def _dropped(x, keep, nd, layout, item, i, j, drop_scale):
    """x * drop_ij."""
    if nd == 0:
        return x
    kept = keep[(item * layout[QUERIES] + i) * layout[KEYS] + j]
    return x * drop_scale if kept != 0 else type(x)(0)


@helper
def _add_rows(sums, weights, rows, array, layout, name, sample, head, first, column, end):
    """sums += sum over rows of weights[row] * array[first + row], at this lane's columns."""
    start = thread() // WARP * WARP
    lane = column + thread() % WARP
    for t in range(rows):
        at, weight = _at(layout, name, sample, head, first + t), weights[start + t]
        for a in range(COLUMNS):
            if lane + WARP * a < end:
                sums[a] += weight * array[at + lane + WARP * a]


@helper
def _put_row(array, sums, divisor, layout, name, sample, head, row, column, end):
    """array[row] = sums / divisor, at this lane's columns."""
    lane = column + thread() % WARP
    at = _at(layout, name, sample, head, row)
    for a in range(COLUMNS):
        if lane + WARP * a < end:
            array[at + lane + WARP * a] = sums[a] / divisor


@helper
def _clear(sums):
    for a in range(COLUMNS):
        sums[a] = 0


def _attention(
    q, k, v, allowed, bias, keep, layout, out, lse, scale, drop_scale,
    nq, nk, nv, na, nb, nd, there, no, items, length,
):  # fmt: skip
    memory, few = shared(THREADS, q[0]), shared(WARP, q[0])
    sums, zero, lowest = registers(COLUMNS, q[0]), type(scale)(0), type(scale)(-math.inf)
    lane, i, item = thread() % WARP, block(0) * TEAMS + thread() // WARP, block(1)
    queries, width = layout[QUERIES], layout[WIDTH]
    while item < items:
        sample, head = divide(item, layout[HEADS])
        count = _keys(allowed, na, layout, sample, few)
        for column in range(0, width, WARP * COLUMNS):
            largest, total = lowest, zero
            _clear(sums)
            for first in range(0, count, WARP):
                j, score = first + lane, lowest
                inside = i < queries and j < count
                if inside:
                    score = _score(q, k, allowed, bias, layout, na, nb, sample, head, i, j, scale)
                top = maximum(largest, warp_max(score))
                near = zero if top == lowest else top
                p, shrunk = exp(score - near), exp(largest - near)
                largest, total = top, total * shrunk + warp_sum(p)
                if inside:
                    p = _dropped(p, keep, nd, layout, item, i, j, drop_scale)
                barrier()
                memory[thread()] = p
                barrier()
                for a in range(COLUMNS):
                    sums[a] *= shrunk
                rows = min(WARP, count - first)
                _add_rows(sums, memory, rows, v, layout, V, sample, head, first, column, width)
            left = total != zero
            if i < queries:
                divisor = total if left else type(zero)(1)
                _put_row(out, sums, divisor, layout, OUT, sample, head, i, column, width)
                if column == 0 and lane == 0:
                    lse[item * length + i] = largest + log(total) if left else -lowest
        item += blocks(1)


@helper
def _pair(
    g, q, k, v, allowed, bias, keep, layout, lse, scale, drop_scale, na, nb, nd, sample, head, item,
    i, j, count,
):  # fmt: skip
    """(p_ij, dp_ij); zeros outside."""
    zero = type(scale)(0)
    if i >= layout[QUERIES] or j >= count:
        return zero, zero
    score = _score(q, k, allowed, bias, layout, na, nb, sample, head, i, j, scale)
    row, key = _at(layout, G, sample, head, i), _at(layout, V, sample, head, j)
    along = _dot(g, row, v, key, layout[WIDTH])
    p = exp(score - lse[item * layout[QUERIES] + i])
    return p, _dropped(along, keep, nd, layout, item, i, j, drop_scale)


def _of_queries(
    g, q, k, v, allowed, bias, keep, layout, lse, dq, mean, scale, drop_scale,
    ng, nq, nk, nv, na, nb, nd, there, items, length, mq,
):  # fmt: skip
    """dq, and mean[item, i] = sum_j p_ij dp_ij."""
    memory, few = shared(THREADS, q[0]), shared(WARP, q[0])
    sums, one = registers(COLUMNS, q[0]), type(scale)(1)
    lane, i, item = thread() % WARP, block(0) * TEAMS + thread() // WARP, block(1)
    queries, depth = layout[QUERIES], layout[DEPTH]
    while item < items:
        sample, head = divide(item, layout[HEADS])
        count = _keys(allowed, na, layout, sample, few)
        along = type(scale)(0)
        for first in range(0, count, WARP):
            p, dp = _pair(
                g, q, k, v, allowed, bias, keep, layout, lse, scale, drop_scale, na, nb, nd,
                sample, head, item, i, first + lane, count,
            )  # fmt: skip
            along += p * dp
        along = warp_sum(along)
        if i < queries and lane == 0:
            mean[item * length + i] = along
        for column in range(0, depth, WARP * COLUMNS):
            _clear(sums)
            for first in range(0, count, WARP):
                p, dp = _pair(
                    g, q, k, v, allowed, bias, keep, layout, lse, scale, drop_scale, na, nb, nd,
                    sample, head, item, i, first + lane, count,
                )  # fmt: skip
                barrier()
                memory[thread()] = scale * p * (dp - along)
                barrier()
                rows = min(WARP, count - first)
                _add_rows(sums, memory, rows, k, layout, K, sample, head, first, column, depth)
            if i < queries:
                _put_row(dq, sums, one, layout, DQ, sample, head, i, column, depth)
        item += blocks(1)


def _of_keys(
    g, q, k, v, allowed, bias, keep, layout, lse, mean, dk, dv, scale, drop_scale,
    ng, nq, nk, nv, na, nb, nd, there, items, length, mk, mv,
):  # fmt: skip
    slopes, shares, few = shared(THREADS, q[0]), shared(THREADS, q[0]), shared(WARP, q[0])
    of_k, of_v, one = registers(COLUMNS, q[0]), registers(COLUMNS, q[0]), type(scale)(1)
    lane, j, item = thread() % WARP, block(0) * TEAMS + thread() // WARP, block(1)
    queries, depth, width = layout[QUERIES], layout[DEPTH], layout[WIDTH]
    while item < items:
        sample, head = divide(item, layout[HEADS])
        count = _keys(allowed, na, layout, sample, few)
        for column in range(0, max(depth, width), WARP * COLUMNS):
            _clear(of_k)
            _clear(of_v)
            for first in range(0, queries, WARP):
                i = first + lane
                p, dp = _pair(
                    g, q, k, v, allowed, bias, keep, layout, lse, scale, drop_scale, na, nb, nd,
                    sample, head, item, i, j, count,
                )  # fmt: skip
                slope = type(scale)(0)
                if i < queries and j < count:
                    slope = scale * p * (dp - mean[item * length + i])
                    p = _dropped(p, keep, nd, layout, item, i, j, drop_scale)
                barrier()
                slopes[thread()] = slope
                shares[thread()] = p
                barrier()
                rows = min(WARP, queries - first)
                _add_rows(of_k, slopes, rows, q, layout, Q, sample, head, first, column, depth)
                _add_rows(of_v, shares, rows, g, layout, G, sample, head, first, column, width)
            if j < layout[KEYS]:
                _put_row(dk, of_k, one, layout, DK, sample, head, j, column, depth)
                _put_row(dv, of_v, one, layout, DV, sample, head, j, column, width)
        item += blocks(1)


ATTENTION = Code(_attention, cpu.attention.signature, name="attention")
OF_QUERIES = Code(
    _of_queries,
    Signature(f"g[ng] {GIVEN} lse[items,l] -> dq[mq] mean[items,l]; scale drop_scale"),
    name="attention_queries",
)
OF_KEYS = Code(
    _of_keys,
    Signature(f"g[ng] {GIVEN} lse[items,l] mean[items,l] -> dk[mk] dv[mv]; scale drop_scale"),
    name="attention_keys",
)


def _part(code, rows, layout, args):
    items = int(layout[SAMPLES] * layout[HEADS])
    return Part(code, (-(-int(rows) // TEAMS), min(items, 65535), 1), THREADS, args)


def _forward(kernel, args, device):
    layout = numbers(args[6])
    return [_part(ATTENTION, layout[QUERIES], layout, args)]


def _backward(kernel, args, device):
    *given, lse, dq, dk, dv, scale, drop_scale = args
    layout, scales = numbers(given[7]), (scale, drop_scale)
    mean = device.empty(lse.shape, lse.dtype)
    return [
        _part(OF_QUERIES, layout[QUERIES], layout, (*given, lse, dq, mean, *scales)),
        _part(OF_KEYS, layout[KEYS], layout, (*given, lse, mean, dk, dv, *scales)),
    ]


TWINS[cpu.attention] = _forward
TWINS[cpu.attention_backward] = _backward
