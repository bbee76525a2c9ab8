"""Array kernels from scalar formulas, for any formula.

    maps(f)            out[i] = f(x[i])
    pairs(f)           out[i] = f(a[i], b[i])
    numbers(f)         out[i] = f(x[i], s) for a number s, or f(s, x[i]) if `flipped`
    middles(f)         out[p, q, r] = f(a[p, q, r], b[q]), or f(b[q], a[p, q, r]) if `flipped`
    triples(f)         out[i] = f(a[i], b[i], c[i])

and, for penalties, whose parameters come as an array so that changing a strength compiles nothing,
map_kernel, step_kernel and sum_kernel. `formula` of a kernel is what it was made of.
"""

import functools

from ._jit import kernel, specialize
from ._native import flatten, values


def _made(kind, formula, body, signature):
    body.__name__ = f"{formula.__name__.strip('_')}_{kind}"
    made = kernel(signature, split="p" if kind.startswith("middle") else "n")(body)
    made.formula = formula
    return made


@functools.cache
def maps(formula):
    """out[i] = formula(x[i])."""

    def body(x, out):
        for i in range(x.size):
            out[i] = formula(x[i])

    return _made("map", formula, body, "x[n] -> out[n]")


@functools.cache
def pairs(formula, result=""):
    """out[i] = formula(a[i], b[i]); `result` is the dtype of out if it is another."""

    def body(a, b, out):
        for i in range(a.size):
            out[i] = formula(a[i], b[i])

    return _made("pair", formula, body, f"a[n] b[n] -> out{result}[n]")


@functools.cache
def triples(formula):
    """out[i] = formula(a[i], b[i], c[i])."""

    def body(a, b, c, out):
        for i in range(a.size):
            out[i] = formula(a[i], b[i], c[i])

    return _made("triple", formula, body, "a[n] b[n] c[n] -> out[n]")


@functools.cache
def numbers(formula, flipped=False, result=""):
    """out[i] = formula(x[i], s), or formula(s, x[i])."""

    def right(x, out, s):
        for i in range(x.size):
            out[i] = formula(x[i], s)

    def left(x, out, s):
        for i in range(x.size):
            out[i] = formula(s, x[i])

    kind = "number_left" if flipped else "number_right"
    return _made(kind, formula, left if flipped else right, f"x[n] -> out{result}[n]; s")


@functools.cache
def middles(formula, flipped=False, result=""):
    """out[p, q, r] = formula(a[p, q, r], b[q]), or formula(b[q], a[p, q, r])."""

    def right(a, b, out):
        for i in range(a.shape[0]):
            if a.shape[2] == 1:
                row, target = flatten(a[i]), flatten(out[i])
                for j in range(b.size):
                    target[j] = formula(row[j], b[j])
            else:
                for j in range(b.size):
                    row, target = a[i, j], out[i, j]
                    for k in range(row.size):
                        target[k] = formula(row[k], b[j])

    def left(a, b, out):
        for i in range(a.shape[0]):
            if a.shape[2] == 1:
                row, target = flatten(a[i]), flatten(out[i])
                for j in range(b.size):
                    target[j] = formula(b[j], row[j])
            else:
                for j in range(b.size):
                    row, target = a[i, j], out[i, j]
                    for k in range(row.size):
                        target[k] = formula(b[j], row[k])

    kind = "middle_left" if flipped else "middle_right"
    signature = f"a[p,q,r] b[q] -> out{result}[p,q,r]"
    made = _made(kind, formula, left if flipped else right, signature)
    made.maker, made.chosen = middles, (formula, flipped, result)
    return made


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
