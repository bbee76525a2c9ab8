"""Moving numbers: between strided and dense memory, between dtypes, by index.

A strided array is given as a flat stretch of memory, the position `origin` of its first entry, its
sizes `dims` and its `steps`, in entries; a step of 0 repeats an entry, a negative one runs back.
"""

import functools

import numpy as np

from ._jit import by_type, kernel, scalar


@scalar
def _line(i, dims, steps, origin):
    """(column, position) of entry i: its index along the last axis, where that axis begins."""
    rest = i // dims[dims.size - 1]
    at = origin
    for j in range(dims.size - 2, -1, -1):
        at += rest % dims[j] * steps[j]
        rest //= dims[j]
    return i % dims[dims.size - 1], at


@kernel("x[m] dims:int64[k] steps:int64[k] -> out[n]; origin:int64 start", split="n")
def pack(x, dims, steps, out, origin, start):
    """out[i] = entry i of a strided array."""
    inner, step = dims[dims.size - 1], steps[steps.size - 1]
    i = 0
    while i < out.size:
        column, at = _line(start + i, dims, steps, origin)
        count = min(inner - column, out.size - i)
        at += column * step
        target = out[i : i + count]
        if step == 1:
            source = x[at : at + count]
            for j in range(count):
                target[j] = source[j]
        elif step == 0:
            for j in range(count):
                target[j] = x[at]
        else:
            for j in range(count):
                target[j] = x[at + j * step]
        i += count


@kernel("x[n] dims:int64[k] steps:int64[k] -> out[m]; origin:int64 start", split="n")
def unpack(x, dims, steps, out, origin, start):
    """Entry i of a strided array = x[i]; no two entries may lie at one place."""
    inner, step = dims[dims.size - 1], steps[steps.size - 1]
    i = 0
    while i < x.size:
        column, at = _line(start + i, dims, steps, origin)
        count = min(inner - column, x.size - i)
        at += column * step
        source = x[i : i + count]
        if step == 1:
            target = out[at : at + count]
            for j in range(count):
                target[j] = source[j]
        else:
            for j in range(count):
                out[at + j * step] = source[j]
        i += count


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
