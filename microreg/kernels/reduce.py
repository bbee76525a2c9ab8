"""Sums and other reductions, in fixed blocks whose results are merged in order.

A block's result depends on the block alone and the merge has one order, so the bits are the same
for any number of threads. Totals are float64, except those of columns: a row of totals at a time is
faster in the element type, and adding eight rows at a time keeps the chains of roundings short.
"""

import numpy as np

from ._jit import FAR, kernel
from ._native import maximum, minimum
from .norm import fast


@kernel("x[n] -> partial:float64[blocks]", split="n")
def sum_all(x, partial):
    """partial[b] = the sum over block b; `merge` adds them up."""
    total = 0.0
    for i in range(x.size):
        total += x[i]
    partial[0] = total


@kernel("x[n] -> partial:float64[blocks]", split="n")
def sum_squares(x, partial):
    """partial[b] = the sum of x^2 over block b; `merge` adds them up."""
    total = 0.0
    for i in range(x.size):
        v = float(x[i])
        total += v * v
    partial[0] = total


@kernel("x[n] -> partial:float64[blocks]", split="n")
def count_zeros(x, partial):
    """partial[b] = how many entries of block b are exactly zero; `merge` adds them up."""
    total = 0
    for i in range(x.size):
        total += 1 if x[i] == 0 else 0
    partial[0] = float(total)


@kernel("partial:float64[b] -> out[one]", split=None)
def merge(partial, out):
    """out[0] = the sum of the partial results, first to last."""
    total = 0.0
    for i in range(partial.size):
        total += partial[i]
    out[0] = total


@kernel("x[n,d] -> out[n]", split="n")
def sum_rows(x, out):
    """out[i] = sum over j of x[i, j]."""
    for i in range(x.shape[0]):
        row = x[i]
        total = 0.0
        for j in range(row.size):
            total += row[j]
        out[i] = total


@fast
def add_rows(x, out):
    """out[j] = sum over i of x[i, j], eight rows at a time."""
    for j in range(out.size):
        out[j] = 0
    eights = x.shape[0] // 8
    for i in range(eights):
        r = x[8 * i : 8 * i + 8]
        for j in range(out.size):
            low = (r[0, j] + r[1, j]) + (r[2, j] + r[3, j])
            high = (r[4, j] + r[5, j]) + (r[6, j] + r[7, j])
            out[j] += low + high
    rest = x[8 * eights :]
    for i in range(rest.shape[0]):
        for j in range(out.size):
            out[j] += rest[i, j]


@kernel("x[n,d] -> partial[blocks,d]", split="n", block=1 << 17, far=FAR)
def sum_columns_partial(x, partial):
    """partial[b, j] = sum over the rows i of block b of x[i, j]."""
    add_rows(x, partial[0])


@kernel("partial[b,d] -> out[d]", split=None)
def merge_columns(partial, out):
    """out[j] = sum over b of partial[b, j]."""
    add_rows(partial, out)


@kernel("x[n,d] -> out[n]", split="n")
def max_rows(x, out):
    """out[i] = the largest entry of row i, NaN if there is one; -inf for an empty row."""
    for i in range(x.shape[0]):
        row = x[i]
        best = x.dtype.type(-np.inf)
        for j in range(row.size):
            best = maximum(best, row[j])
        out[i] = best


@kernel("x[n,d] -> out[n]", split="n")
def min_rows(x, out):
    """out[i] = the smallest entry of row i, NaN if there is one; inf for an empty row."""
    for i in range(x.shape[0]):
        row = x[i]
        best = x.dtype.type(np.inf)
        for j in range(row.size):
            best = minimum(best, row[j])
        out[i] = best


@kernel("x[n,d] -> out:int64[n]", split="n")
def argmax_rows(x, out):
    """out[i] = the place of the largest entry of row i, the first one at a tie; of a NaN if any."""
    for i in range(x.shape[0]):
        row = x[i]
        place = 0
        for j in range(1, row.size):
            best = row[place]
            if row[j] > best or (row[j] != row[j] and best == best):
                place = j
        out[i] = place


@kernel("x[n,d] -> out[n]", split="n")
def prod_rows(x, out):
    """out[i] = the product of row i."""
    for i in range(x.shape[0]):
        row = x[i]
        total = 1.0
        for j in range(row.size):
            total *= row[j]
        out[i] = total


@kernel("g[n] x[n,d] -> dx[n,d]", split="n")
def prod_rows_backward(g, x, dx):
    """dx[i, j] = g[i] times the product of the others in row i, so that zeros divide nothing."""
    for i in range(x.shape[0]):
        row, target = x[i], dx[i]
        ahead = 1.0
        for j in range(row.size):
            target[j] = ahead
            ahead *= row[j]
        behind = float(g[i])
        for j in range(row.size - 1, -1, -1):
            target[j] *= behind
            behind *= row[j]


@kernel("x[n,d] -> out[n,d]", split="n")
def cumsum_rows(x, out):
    """out[i, j] = x[i, 0] + ... + x[i, j]."""
    for i in range(x.shape[0]):
        row, target = x[i], out[i]
        total = 0.0
        for j in range(row.size):
            total += row[j]
            target[j] = total
