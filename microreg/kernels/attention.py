"""Scaled dot-product attention and its gradients, a block of queries at a time.

    out_i = sum_j drop_ij p_ij v_j,   p_ij = e^(s_ij - lse_i),   s_ij = scale q_i . k_j + bias_ij

for each head of each sample; lse_i = log sum_j e^s_ij. Keys that are not `allowed`, and where it is
causal those with j > i, count as s_ij = -inf; a query with no key left gives 0. drop_ij is 0 or
1 / (1 - p).

The keys of a sample end with the last allowed one: what lies behind is never read, and sums run
over what counts alone, so that padding changes no bit. Arrays are flat stretches of memory;
`layout` says where a head of a sample begins in them and how far apart its rows lie, so that q, k
and v may lie side by side in one projection.

    dv_j = sum_i drop_ij p_ij g_i,   dp_ij = drop_ij g_i . v_j,
    ds_ij = scale p_ij (dp_ij - sum_k p_ik dp_ik),
    dq_i = sum_j ds_ij k_j,   dk_j = sum_i ds_ij q_i

References
----------
Vaswani et al., "Attention Is All You Need", NIPS 2017, equation 1. Dao et al., "FlashAttention",
NeurIPS 2022, for the backward pass without p.
"""

import numpy as np

from ._gemm import NO_BIAS, gemm
from ._gemm import scratch_words as gemm_words
from ._jit import kernel, scalar
from ._native import invoke, maximum
from .norm import fast
from .vecmath import exp, log

BLOCK = 64  # queries at a time
# words of `layout`: sizes, whether causal, then for each array its origin and the steps from one
# sample, head and row to the next
SAMPLES, HEADS, QUERIES, KEYS, DEPTH, WIDTH, CAUSAL = range(7)
ARRAYS = ("q", "k", "v", "out", "bias", "g", "dq", "dk", "dv")
Q, K, V, OUT, BIAS, G, DQ, DK, DV = range(7, 7 + 4 * len(ARRAYS), 4)
WORDS = 7 + 4 * len(ARRAYS)


def _scores(args):
    """Numbers of a block of scores."""
    layout = next(a for a in args if isinstance(a, np.ndarray) and a.dtype == np.int64)
    return BLOCK * int(layout[KEYS])


def forward_words(args):
    """Scratch for the scores of a block, beside that of a product."""
    return gemm_words(args) + _scores(args)


def backward_words(args):
    """Scratch for the scores of a block and their gradients, beside that of a product."""
    return gemm_words(args) + 2 * _scores(args)


@scalar
def _at(layout, array, sample, head, row):
    """Where a row of a head of a sample begins."""
    steps = layout[array : array + 4]
    return steps[0] + sample * steps[1] + head * steps[2] + row * steps[3]


@scalar
def _keys(allowed, layout, sample):
    """How many keys of a sample there are, up to the last allowed one."""
    count = layout[KEYS]
    if allowed.size > 0:
        row = allowed[sample * count : (sample + 1) * count]
        while count > 0 and row[count - 1] == 0:
            count -= 1
    return count


@scalar
def _counting(layout, query, count):
    """How many of the first keys may count for a query."""
    return min(count, query + 1) if layout[CAUSAL] != 0 else count


@fast
def _mask(scores, rows, count, allowed, bias, layout, sample, head, first, scale):
    """s_ij from q_i . k_j; -inf where a key does not count."""
    lowest = scores.dtype.type(-np.inf)
    if bias.size == 0 and allowed.size == 0 and layout[CAUSAL] == 0:
        for j in range(scores.size):
            scores[j] *= scale
        return
    for i in range(rows):
        row = scores[i * count : (i + 1) * count]
        for j in range(row.size):
            row[j] *= scale
        if bias.size > 0:
            begin = _at(layout, BIAS, sample, head, first + i)
            added = bias[begin : begin + count]
            for j in range(row.size):
                row[j] += added[j]
        if allowed.size > 0:
            begin = sample * layout[KEYS]
            here = allowed[begin : begin + count]
            for j in range(row.size):
                row[j] = row[j] if here[j] != 0 else lowest
        beyond = row[_counting(layout, first + i, count) :]
        for j in range(beyond.size):
            beyond[j] = lowest


@fast
def _largest(row):
    m = row.dtype.type(-np.inf)
    for j in range(row.size):
        m = maximum(m, row[j])
    return m


@fast
def _total(row):
    s = row.dtype.type(0)
    for j in range(row.size):
        s += row[j]
    return s


@fast
def _dot(a, b):
    s = a.dtype.type(0)
    for j in range(a.size):
        s += a[j] * b[j]
    return s


@scalar
def _drop(p, rows, count, keep, layout, item, first, scale):
    """p_ij * drop_ij."""
    for i in range(rows):
        begin = (item * layout[QUERIES] + first + i) * layout[KEYS]
        row, here = p[i * count : (i + 1) * count], keep[begin : begin + count]
        for j in range(row.size):
            row[j] = row[j] * scale if here[j] != 0 else type(scale)(0)


HOW = {"split": "threads", "grain": 1 << 22, "needs": (gemm,), "counts": ("nq", "l")}
GIVEN = "q[nq] k[nk] v[nv] allowed:uint8[na] bias[nb] keep:uint8[nd] layout:int64[words_there]"


@kernel(
    f"scratch[threads,words] {GIVEN} -> out[no] lse[items,l]; scale drop_scale tid nt",
    scratch=forward_words,
    **HOW,
)
def attention(scratch, q, k, v, allowed, bias, keep, layout, out, lse, scale, drop_scale, tid, nt):
    """out and lse of the heads of this thread."""
    heads, queries, depth, width = layout[HEADS], layout[QUERIES], layout[DEPTH], layout[WIDTH]
    held = BLOCK * layout[KEYS]
    memory, words = scratch[tid][:held], scratch[tid][held:]
    for item in range(tid, layout[SAMPLES] * heads, nt):
        sample, head = item // heads, item % heads
        keys = _keys(allowed, layout, sample)
        some_k = k[_at(layout, K, sample, head, 0) :]
        some_v = v[_at(layout, V, sample, head, 0) :]
        for first in range(0, queries, BLOCK):
            rows = min(BLOCK, queries - first)
            count = _counting(layout, first + rows - 1, keys)
            scores = memory[: rows * count]
            some_q = q[_at(layout, Q, sample, head, first) :]
            args = (
                some_q, some_k, words, scores, words, rows, depth, count,
                layout[Q + 3], 1, layout[K + 3], 1, count, 0, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)
            _mask(scores, rows, count, allowed, bias, layout, sample, head, first, scale)
            sums = lse[item, first : first + rows]
            for i in range(rows):
                row = scores[i * count : (i + 1) * count]
                m = _largest(row)
                sums[i] = m
                m = type(m)(0) if m == type(m)(-np.inf) else m
                for j in range(row.size):
                    row[j] -= m
            for j in range(scores.size):
                scores[j] = exp(scores[j])
            totals = words[:rows]
            for i in range(rows):
                row = scores[i * count : (i + 1) * count]
                total = _total(row[: _counting(layout, first + i, count)])
                totals[i] = total
                share = type(total)(0) if total == type(total)(0) else type(total)(1) / total
                for j in range(row.size):
                    row[j] *= share
            for i in range(rows):  # a query with no key left: its share of every key is 0
                sums[i] = np.inf if totals[i] == 0 else sums[i] + log(totals[i])
            if keep.size > 0:
                _drop(scores, rows, count, keep, layout, item, first, drop_scale)
            some_out = out[_at(layout, OUT, sample, head, first) :]
            args = (
                scores, some_v, words, some_out, words, rows, count, width,
                count, 1, layout[V + 3], 0, layout[OUT + 3], 0, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)


@scalar
def _zero(array, layout, name, sample, head, reached, width):
    """Zeros in the rows of a head from `reached` on."""
    for row in range(reached, layout[KEYS]):
        begin = _at(layout, name, sample, head, row)
        line = array[begin : begin + width]
        for j in range(line.size):
            line[j] = 0


@fast
def _slopes(p, dp, rows, count, layout, first, scale):
    """dp becomes ds."""
    for i in range(rows):
        row, along = p[i * count : (i + 1) * count], dp[i * count : (i + 1) * count]
        end = _counting(layout, first + i, count)
        mean = _dot(row[:end], along[:end])
        for j in range(row.size):
            along[j] = scale * row[j] * (along[j] - mean)


@kernel(
    f"scratch[threads,words] g[ng] {GIVEN} lse[items,l] -> dq[mq] dk[mk] dv[mv]; scale drop_scale "
    "tid nt",
    scratch=backward_words,
    **HOW,
)
def attention_backward(
    scratch, g, q, k, v, allowed, bias, keep, layout, lse, dq, dk, dv, scale, drop_scale, tid, nt
):
    """The gradients of q, k and v for the heads of this thread."""
    heads, queries, depth, width = layout[HEADS], layout[QUERIES], layout[DEPTH], layout[WIDTH]
    held = BLOCK * layout[KEYS]
    memory, words = scratch[tid][: 2 * held], scratch[tid][2 * held :]
    for item in range(tid, layout[SAMPLES] * heads, nt):
        sample, head = item // heads, item % heads
        keys = _keys(allowed, layout, sample)
        some_k = k[_at(layout, K, sample, head, 0) :]
        some_v = v[_at(layout, V, sample, head, 0) :]
        some_dk = dk[_at(layout, DK, sample, head, 0) :]
        some_dv = dv[_at(layout, DV, sample, head, 0) :]
        # the first block of queries writes, the others add; what it does not reach starts with 0
        reached = _counting(layout, min(BLOCK, queries) - 1, keys)
        _zero(dk, layout, DK, sample, head, reached, depth)
        _zero(dv, layout, DV, sample, head, reached, width)
        for first in range(0, queries, BLOCK):
            rows = min(BLOCK, queries - first)
            count = _counting(layout, first + rows - 1, keys)
            adds = 0 if first == 0 else 1
            p, dp = memory[: rows * count], memory[held : held + rows * count]
            some_q = q[_at(layout, Q, sample, head, first) :]
            some_g = g[_at(layout, G, sample, head, first) :]
            some_dq = dq[_at(layout, DQ, sample, head, first) :]
            args = (
                some_q, some_k, words, p, words, rows, depth, count,
                layout[Q + 3], 1, layout[K + 3], 1, count, 0, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)
            _mask(p, rows, count, allowed, bias, layout, sample, head, first, scale)
            sums = lse[item, first : first + rows]
            for i in range(rows):
                row, total = p[i * count : (i + 1) * count], sums[i]
                for j in range(row.size):
                    row[j] -= total
            for j in range(p.size):
                p[j] = exp(p[j])
            args = (
                some_g, some_v, words, dp, words, rows, width, count,
                layout[G + 3], 1, layout[V + 3], 1, count, 0, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)
            if keep.size > 0:
                _drop(dp, rows, count, keep, layout, item, first, drop_scale)
            _slopes(p, dp, rows, count, layout, first, scale)
            if keep.size > 0:
                _drop(p, rows, count, keep, layout, item, first, drop_scale)
            args = (
                p, some_g, words, some_dv, words, count, rows, width,
                1, count, layout[G + 3], 0, layout[DV + 3], adds, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)
            args = (
                dp, some_q, words, some_dk, words, count, rows, depth,
                1, count, layout[Q + 3], 0, layout[DK + 3], adds, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)
            args = (
                dp, some_k, words, some_dq, words, rows, count, depth,
                count, 1, layout[K + 3], 0, layout[DQ + 3], 0, NO_BIAS,
            )  # fmt: skip
            invoke(gemm, args, 0, 1)
