"""Moving numbers: between strided and dense memory, between dtypes, by index.

A strided array has at most four axes here, a, b, c and one along which lines run. It is given as a
flat stretch of memory, the position `origin` of its first entry, the sizes nb and nc, and how many
entries apart neighbours along each axis lie; a step of 0 repeats an entry, a negative one runs
back. Line l of the dense side is (a, b, c) in order, c fastest.
"""

import functools

import numpy as np

from . import _simd
from ._jit import by_type, kernel
from ._native import flatten
from ._simd import transpose

_STEPS = "nb:int64 nc:int64 sa:int64 sb:int64 sc:int64 sd:int64 origin:int64 start"


@kernel(f"x[m] -> out[l,d]; {_STEPS}", split="l")
def pack(x, out, nb, nc, sa, sb, sc, sd, origin, start):
    """out[l, j] = entry j of line l of a strided array."""
    c = start % nc
    b = start // nc % nb
    a = start // nc // nb
    for line in range(out.shape[0]):
        at = origin + a * sa + b * sb + c * sc
        target = out[line]
        if sd == 1:
            source = x[at : at + target.size]
            for j in range(target.size):
                target[j] = source[j]
        elif sd == 0:
            value = x[at]
            for j in range(target.size):
                target[j] = value
        else:
            for j in range(target.size):
                target[j] = x[at + j * sd]
        c += 1
        if c == nc:
            c = 0
            b += 1
            if b == nb:
                b = 0
                a += 1


@kernel(f"x[l,d] -> out[m]; {_STEPS}", split="l")
def unpack(x, out, nb, nc, sa, sb, sc, sd, origin, start):
    """Entry j of line l of a strided array = x[l, j]; no two entries may lie at one place."""
    c = start % nc
    b = start // nc % nb
    a = start // nc // nb
    for line in range(x.shape[0]):
        at = origin + a * sa + b * sb + c * sc
        source = x[line]
        if sd == 1:
            target = out[at : at + source.size]
            for j in range(source.size):
                target[j] = source[j]
        else:
            for j in range(source.size):
                out[at + j * sd] = source[j]
        c += 1
        if c == nc:
            c = 0
            b += 1
            if b == nb:
                b = 0
                a += 1


@kernel("x[n,p,q] -> out[n,q,p]", split="n", block=1, needs=(_simd,))
def turn(x, out):
    """out[i, k, j] = x[i, j, k]: each matrix transposed."""
    _, rows, columns = x.shape
    lanes = _simd.tile_shape(x)[1]
    for i in range(x.shape[0]):
        source, target = flatten(x[i]), flatten(out[i])
        for j in range(0, rows, lanes):
            for k in range(0, columns, lanes):
                some, wide = min(lanes, rows - j), min(lanes, columns - k)
                if some == lanes and wide == lanes:
                    at, to = j * columns + k, k * rows + j
                    transpose(some, wide, source, at, columns, target, to, rows)
                else:
                    for p in range(some):
                        for q in range(wide):
                            target[(k + q) * rows + j + p] = source[(j + p) * columns + k + q]


@kernel("-> out[n]; value", split="n")
def fill(out, value):
    """out[i] = value."""
    for i in range(out.size):
        out[i] = value


@functools.cache
def cast(source, target):
    """out[i] = x[i] in another dtype; the dtypes by name."""

    def body(x, out):
        for i in range(x.size):
            out[i] = x[i]

    def to_bool(x, out):
        for i in range(x.size):
            out[i] = x[i] != 0

    made = to_bool if target == "bool" else body
    made.__name__ = f"cast_{source}_{target}"
    return kernel(f"x:{source}[n] -> out:{target}[n]", split="n")(made)


def _nothing_32(v):
    return np.float32(np.nan)


def _nothing_64(v):
    return np.nan


nothing = by_type(_nothing_32, _nothing_64)


@kernel("x[m,d] index:int64[n] -> out[n,d]", split="n")
def take_rows(x, index, out):
    """out[i] = x[index[i]]; an index below 0 counts from the end, one outside gives NaN."""
    for i in range(index.size):
        at = index[i] if index[i] >= 0 else index[i] + x.shape[0]
        target = out[i]
        if 0 <= at < x.shape[0]:
            row = x[at]
            for j in range(target.size):
                target[j] = row[j]
        else:
            for j in range(target.size):
                target[j] = nothing(target[j])


@kernel("g[n,d] index:int64[n] -> out[m,d]")
def add_rows_at(g, index, out):
    """out = 0, then out[index[i]] += g[i], i ascending."""
    for i in range(out.shape[0]):
        row = out[i]
        for j in range(row.size):
            row[j] = 0
    for i in range(index.size):
        at = index[i] if index[i] >= 0 else index[i] + out.shape[0]
        if 0 <= at < out.shape[0]:
            row, source = out[at], g[i]
            for j in range(row.size):
                row[j] += source[j]


@kernel("x[n,m] index:int64[n,k] -> out[n,k]", split="n")
def take_along_rows(x, index, out):
    """out[i, j] = x[i, index[i, j]]; an index outside the row gives NaN."""
    for i in range(index.shape[0]):
        row, places, target = x[i], index[i], out[i]
        for j in range(places.size):
            at = places[j] if places[j] >= 0 else places[j] + row.size
            target[j] = row[at] if 0 <= at < row.size else nothing(target[j])


@kernel("g[n,k] index:int64[n,k] -> out[n,m]", split="n")
def add_along_rows(g, index, out):
    """out = 0, then out[i, index[i, j]] += g[i, j], j ascending."""
    for i in range(index.shape[0]):
        source, places, row = g[i], index[i], out[i]
        for j in range(row.size):
            row[j] = 0
        for j in range(places.size):
            at = places[j] if places[j] >= 0 else places[j] + row.size
            if 0 <= at < row.size:
                row[at] += source[j]
