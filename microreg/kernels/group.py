"""Array kernels from functions of a line (`lines.py`), for weights in groups.

Group k has the members order[starts[k] : starts[k] + sizes[k]] of w, in this order, and weight
weights[k]. params are [quadratic, l1, the penalty's own]: quadratic is the strength of a term
quadratic * u_i^2 that is taken into the metric first, v_i <- v_i c_i and s_i <- s_i c_i with
c_i = 1 / (1 + 2 s_i quadratic).

    prox_groups(f)     w <- the prox, in the metric 1 / steps
    sum_groups(f)      values[k] = f of group k
    slope_groups(f)    out = f of every group
"""

import functools

from ._jit import specialize
from .norm import fast

GROUPS = "order:int64[n] starts:int64[g] sizes:int64[g] weights:float64[g]"
BLOCK = 64  # groups in a block


@fast
def take_in(v, s, quadratic):
    """Take quadratic * u^2 into the metric."""
    one = v.dtype.type(1)
    twice = v.dtype.type(2.0 * quadratic)
    for i in range(v.size):
        c = one / (one + s[i] * twice)
        v[i] = v[i] * c
        s[i] = s[i] * c


def longest(sizes):
    """The size of the largest group."""
    return int(sizes.max(initial=0))


def _lifted(line, body, signature, scratch):
    body.__name__ = f"{body.__name__}_{line.__name__.strip('_')}"
    return specialize(
        body, signature, [line], split="g", block=BLOCK, counts=("n",), scratch=scratch
    )


@functools.cache
def prox_groups(line, room=1):
    """The prox of each group; `line` gets room for `room` numbers beside each weight."""

    def prox(scratch, params, steps, order, starts, sizes, weights, w, tid):
        memory = scratch[tid]
        for k in range(sizes.size):
            size = sizes[k]
            members = order[starts[k] : starts[k] + size]
            v, s, rest = memory[:size], memory[size : 2 * size], memory[2 * size :]
            for j in range(members.size):
                v[j] = w[members[j]]
                s[j] = steps[members[j]]
            if params[0] != 0.0:
                take_in(v, s, params[0])
            line(v, s, params, weights[k], rest)
            for j in range(members.size):
                w[members[j]] = v[j]

    signature = f"scratch:float64[threads,words] params:float64[k] steps[n] {GROUPS} -> w[n]; tid"
    made = _lifted(line, prox, signature, lambda args: (2 + room) * longest(args[4]) + 16)
    made.maker, made.chosen = prox_groups, (line, room)
    return made


@functools.cache
def sum_groups(line):
    """values[k] = line(group k)."""

    def value(scratch, params, w, order, starts, sizes, weights, values, tid):
        memory = scratch[tid]
        for k in range(sizes.size):
            members, v = order[starts[k] : starts[k] + sizes[k]], memory[: sizes[k]]
            for j in range(members.size):
                v[j] = w[members[j]]
            values[k] = line(v, params, weights[k])

    signature = f"scratch[threads,words] params:float64[k] w[n] {GROUPS} -> values:float64[g]; tid"
    return _lifted(line, value, signature, lambda args: longest(args[4]))


@functools.cache
def slope_groups(line):
    """out = line(group k), at its members."""

    def slope(scratch, params, w, order, starts, sizes, weights, out, tid):
        memory = scratch[tid]
        for k in range(sizes.size):
            members, v = order[starts[k] : starts[k] + sizes[k]], memory[: sizes[k]]
            for j in range(members.size):
                v[j] = w[members[j]]
            line(v, params, weights[k])
            for j in range(members.size):
                out[members[j]] = v[j]

    signature = f"scratch[threads,words] params:float64[k] w[n] {GROUPS} -> out[n]; tid"
    return _lifted(line, slope, signature, lambda args: longest(args[4]))
