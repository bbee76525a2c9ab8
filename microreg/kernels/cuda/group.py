"""Proximal operators of groups on a GPU: a team of threads for each group; see `../group.py`.

Newton's method runs in float64, as on the CPU; its sums are taken by the team, so that all of its
threads decide alike.
"""

import functools
import math

import numpy as np

from .. import group as cpu
from .. import lines, update_rows
from ..lines import FIRST, NEWTON, TINY
from ..update import update_kernel
from ._words import helper, shared, thread
from .plan import THREADS, TWINS, Code, Part, parts, three
from .teams import WARP, row_of, team_max, team_sum, with_scalars


@helper
def _scaled(w, steps, i, quadratic):
    """(v, s) of an entry with the quadratic taken into the metric."""
    s = float(steps[i])
    c = 1.0 / (1.0 + 2.0 * s * quadratic)
    return float(w[i]) * c, s * c


def _shrink_norm(params, steps, order, starts, sizes, weights, w, width, k, n, g):
    memory, group = shared(32, 0.0), row_of(width)
    if group < g:
        quadratic, lam = params[0], params[FIRST] * weights[group]
        first = starts[group] + thread() % width
        last = starts[group] + sizes[group]
        dual, norm, longest, r = 0.0, 0.0, 0.0, TINY
        for j in range(first, last, width):
            v, s = _scaled(w, steps, order[j], quadratic)
            dual += (v / s) ** 2 if v != 0.0 else 0.0  # 0 / 0 where a step is 0
            norm += v * v
            longest = s if s > longest else longest
            r = abs(v) - s * lam if abs(v) - s * lam > r else r
        dual = team_sum(dual, width, memory)
        norm = team_sum(norm, width, memory)
        longest = team_max(longest, width, memory)
        r = team_max(r, width, memory)
        if math.sqrt(dual) <= lam:
            for j in range(first, last, width):
                w[order[j]] = 0
        elif lam > 0 or quadratic > 0:
            # two bounds from below: no term of the sum exceeds 1; no step exceeds the longest
            shortest = math.sqrt(norm) - lam * longest
            r = shortest if shortest > r else r
            for _ in range(NEWTON):
                total, slope = 0.0, 0.0
                for j in range(first, last, width):
                    v, s = _scaled(w, steps, order[j], quadratic)
                    below = r + s * lam
                    term = (v / below) ** 2
                    total += term
                    slope += term / below
                total = team_sum(total, width, memory)
                slope = team_sum(slope, width, memory)
                change = total * (math.sqrt(total) - 1.0) / slope
                r += change
                if abs(change) <= 1e-15 * r:
                    break
            for j in range(first, last, width):
                v, s = _scaled(w, steps, order[j], quadratic)
                w[order[j]] = v * (r / (r + s * lam))


def _limit_norm(params, steps, order, starts, sizes, weights, w, width, k, n, g):
    memory, group = shared(32, 0.0), row_of(width)
    if group < g:
        quadratic, limit = params[0], params[FIRST]
        first = starts[group] + thread() % width
        last = starts[group] + sizes[group]
        norm = 0.0
        for j in range(first, last, width):
            v, s = _scaled(w, steps, order[j], quadratic)
            norm += v * v
        norm = team_sum(norm, width, memory)
        t = 0.0
        if norm > limit * limit and limit != 0.0:
            for _ in range(NEWTON):
                total, slope = 0.0, 0.0
                for j in range(first, last, width):
                    v, s = _scaled(w, steps, order[j], quadratic)
                    below = 1.0 + s * t
                    term = (v / below) ** 2
                    total += term
                    slope += term * s / below
                total = team_sum(total, width, memory)
                slope = team_sum(slope, width, memory)
                if slope == 0.0:
                    break
                change = total * (math.sqrt(total) / limit - 1.0) / slope
                t += change
                if abs(change) <= 1e-15 * t:
                    break
        for j in range(first, last, width):
            v, s = _scaled(w, steps, order[j], quadratic)
            w[order[j]] = 0.0 if limit == 0.0 else v / (1.0 + s * t)


_CODES = {}
for _line, _function in ((lines.shrink_norm, _shrink_norm), (lines.limit_norm, _limit_norm)):
    _kernel = cpu.prox_groups(_line)
    _CODES[_line] = with_scalars(Code(_function, _kernel.signature, name=_kernel.name), "width")


def _groups(kernel, args, device):
    code = _CODES.get(kernel.chosen[0])
    if code is None:
        return None
    groups = args[4].size
    width = WARP if args[1].size <= 4 * WARP * groups else THREADS
    return [Part(code, three(-(-groups // (THREADS // width))), THREADS, (*args, width))]


def _rows(kernel, args, device):
    """The update of every weight, then the prox of every row."""
    rule, prox, count, line, room = kernel.chosen
    grad, hyper, params, joint, weights, w, *state = args
    flat = [x.reshape(-1) for x in (grad, w, *state)]
    steps = device.empty(flat[1].shape, w.dtype)
    update = update_kernel(rule, prox, count, True)
    found = parts(update, (flat[0], hyper, params, *flat[1:], steps), device)
    g, d = w.shape
    members = [device.constant(x) for x in _members(g, d)]
    behind = joint, steps, *members, weights, flat[1]
    return [*found, *parts(cpu.prox_groups(line, room), behind, device)]


@functools.lru_cache(maxsize=64)
def _members(g, d):
    """(order, starts, sizes) of the rows of a matrix."""
    return np.arange(g * d), np.arange(g) * d, np.full(g, d)


TWINS[cpu.prox_groups] = _groups
TWINS[update_rows.update_rows] = _rows
