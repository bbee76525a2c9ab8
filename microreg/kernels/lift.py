"""Array kernels from the scalar formulas of a penalty, for any formula.

The parameters of a formula come as an array: changing a strength compiles nothing.
"""

import functools

from ._jit import specialize
from ._native import values


@functools.cache
def map_kernel(formula, count):
    """out[i] = formula(x[i], *params), `count` parameters."""

    def map_formula(x, params, out):
        q = values(params, count)
        for i in range(x.size):
            out[i] = formula(x[i], *q)

    return specialize(map_formula, "x[n] params[k] -> out[n]", [formula], split="n")


@functools.cache
def step_kernel(formula, count):
    """out[i] = formula(x[i], steps[i], *params): a prox in a diagonal metric."""

    def map_step(x, steps, params, out):
        q = values(params, count)
        for i in range(x.size):
            out[i] = formula(x[i], steps[i], *q)

    return specialize(map_step, "x[n] steps[n] params[k] -> out[n]", [formula], split="n")


@functools.cache
def sum_kernel(formula, count):
    """partial[b] = sum over block b of formula(x[i], *params), in float64."""

    def sum_formula(x, params, partial):
        q = values(params, count)
        total = 0.0
        for i in range(x.size):
            total += formula(x[i], *q)
        partial[0] = total

    signature = "x[n] params[k] -> partial:float64[blocks]"
    return specialize(sum_formula, signature, [formula], split="n")
