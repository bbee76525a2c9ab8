"""A step length that satisfies the strong Wolfe conditions.

    f(t) <= f(0) + c1 * t * f'(0)   and   |f'(t)| <= c2 * |f'(0)|,   c1 = 1e-4, c2 = 0.9

for f(t) the loss at w + t * d. First the step grows until an interval holds such a t, then the
interval shrinks; new steps are minima of the cubic through two points, kept off the ends.

References
----------
Nocedal, Wright, "Numerical Optimization", 2nd edition, algorithms 3.5 and 3.6, equation 3.59.
"""

import math
from typing import NamedTuple

import numpy as np

C1, C2 = 1e-4, 0.9


class Point(NamedTuple):
    """What is known of a step: its length, the loss there, the gradient, and d along it."""

    t: float
    loss: float
    gradient: np.ndarray
    slope: float


def strong_wolfe(evaluate, start, t, largest, tolerance, tries):
    """(the Point to go to, evaluations made).

    `evaluate(t)` gives the Point at t; `start` is that at 0; t is tried first. The search ends when
    the interval, times `largest`, the largest entry of d, is below `tolerance`, or after 1 + tries
    evaluations.
    """
    ends, count, found = _bracket(evaluate, start, t, tries)
    hesitated = False  # whether the last step came close to an end
    while not found and count <= tries:
        low, high = ends
        if abs(high.t - low.t) * largest < tolerance:
            break
        (left, right), margin = sorted((low.t, high.t)), 0.1 * abs(high.t - low.t)
        t = _minimum(*sorted(ends, key=lambda end: end.t), left, right)
        close = min(right - t, t - left) < margin
        if close and (hesitated or t in (left, right)):
            t, close = right - margin if right - t < t - left else left + margin, False
        hesitated = close
        new, count = evaluate(t), count + 1
        if _too_high(new, start) or new.loss >= low.loss:
            ends = (new, low) if new.loss < low.loss else (low, new)
        else:
            found = _is_flat(new, start)
            ends = new, (low if new.slope * (high.t - low.t) >= 0.0 and not found else high)
    return ends[0], count


def _bracket(evaluate, start, t, tries):
    """(low, high) around an acceptable step, low the better one; evaluations; whether low is it."""
    before, new, count = start, evaluate(t), 1
    while count <= tries:
        if _too_high(new, start) or (count > 2 and new.loss >= before.loss):
            break
        if _is_flat(new, start):
            return (new, new), count, True
        if new.slope >= 0.0:
            break
        t = _minimum(before, new, new.t + 0.01 * (new.t - before.t), 10.0 * new.t)
        before, new, count = new, evaluate(t), count + 1
    else:
        before = start
    return ((before, new) if before.loss <= new.loss else (new, before)), count, False


def _too_high(point, start):
    return point.loss > start.loss + C1 * point.t * start.slope


def _is_flat(point, start):
    return abs(point.slope) <= -C2 * start.slope


def _minimum(a, b, low, high):
    """Where the cubic with the losses and slopes of a and b, a.t < b.t, is least in [low, high]."""
    d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0.0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2))
    return min(max(t, low), high)
