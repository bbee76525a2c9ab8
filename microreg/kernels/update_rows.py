"""The update of a matrix whose rows a penalty sees as lines (`lines.py`): a block of rows moves by
the rule, and the prox of each row follows while the block still lies in the cache.

`joint` is [quadratic, l1, the penalty's own], weights belong to the rows; the rest is as in
`update.py`. A row is read again only if its prox does something, and its steps never leave the
cache.
"""

import functools

from ._jit import specialize
from ._native import flatten
from .group import take_in
from .norm import fast
from .update import RULES

ROWS = 1024  # weights in a block, so that what is read again is still in the fastest cache


@functools.cache
def update_rows(rule, prox, count, line, room=1, wide=False):
    """The kernel of a rule with the prox of an entry and then that of a row.

    `line` gets room for `room` numbers beside each weight; `wide`: in float64.
    """
    build, state, _, _ = RULES[rule]
    move = fast(build(prox, count, True))

    @fast
    def finish(w, joint, weights, memory):
        d = w.shape[1]
        steps, rest = memory[: w.size], memory[w.size :]
        for i in range(w.shape[0]):
            row, s = w[i], steps[i * d : (i + 1) * d]
            if joint[0] != 0.0:
                take_in(row, s, joint[0])
            line(row, s, joint, weights[i], rest)

    made = _BY_STATE[len(state)](move, finish)
    made.__name__ = f"{rule}_rows_{line.__name__.strip('_')}"
    arrays = " ".join(f"{name}[g,d]" for name in "abc"[: len(state)])
    kernel = specialize(
        made,
        f"scratch{':float64' if wide else ''}[threads,words] grad[g,d] hyper[h] params[k] "
        f"joint:float64[q] weights:float64[g] -> w[g,d] {arrays}; tid",
        [prox, line],
        split="g",
        block=ROWS,
        scratch=lambda args: _words(args[0].shape[1], room),
    )
    kernel.maker, kernel.chosen = update_rows, (rule, prox, count, line, room)
    return kernel


def _words(d, room):
    """Numbers of scratch memory: the steps of a block, and room for one row."""
    return max(ROWS, d) + room * d + 16


def _without_state(move, finish):
    def rows(scratch, grad, hyper, params, joint, weights, w, tid):
        memory = scratch[tid]
        move(flatten(grad), hyper, params, flatten(w), memory)
        finish(w, joint, weights, memory)

    return rows


def _with_one(move, finish):
    def rows(scratch, grad, hyper, params, joint, weights, w, a, tid):
        memory = scratch[tid]
        move(flatten(grad), hyper, params, flatten(w), flatten(a), memory)
        finish(w, joint, weights, memory)

    return rows


def _with_two(move, finish):
    def rows(scratch, grad, hyper, params, joint, weights, w, a, b, tid):
        memory = scratch[tid]
        move(flatten(grad), hyper, params, flatten(w), flatten(a), flatten(b), memory)
        finish(w, joint, weights, memory)

    return rows


def _with_three(move, finish):
    def rows(scratch, grad, hyper, params, joint, weights, w, a, b, c, tid):
        memory = scratch[tid]
        move(flatten(grad), hyper, params, flatten(w), flatten(a), flatten(b), flatten(c), memory)
        finish(w, joint, weights, memory)

    return rows


_BY_STATE = (_without_state, _with_one, _with_two, _with_three)
