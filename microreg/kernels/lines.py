"""Proximal operators of a line: weights that a penalty sees together.

    prox(v, s, params, weight, rest)      v <- argmin_u sum_i (u_i - v_i)^2 / (2 s_i) + omega(u)
    value(w, params, weight)              omega(w)
    slope(w, params, weight)              w <- the gradient; at a kink the one of least magnitude

v and s are contiguous, params[0] is kept for a quadratic term (`group.py`), omega's own begin at
params[FIRST], weight belongs to the line, and rest is room for as many numbers as v has, or more.

Where the steps differ a norm, or a multiplier, solves a scalar equation: Newton's method on an
almost linear function, from the side from which it is monotone. With equal steps it is linear and
the first step is exact. Sums run in the element type over at most SEGMENT entries and are added up
in float64. After an iteration that changed its number by the root of the rounding error there is
nothing left to gain: errors square.
"""

import math

import numpy as np

from ._jit import scalar
from ._native import maximum
from .norm import SEGMENT, fast

FIRST = 2  # params[0]: quadratic, params[1]: l1, of penalties that take it in (`variation.py`)
NEWTON = 100  # iterations at most; a handful suffice
TINY = 1e-30  # a norm to start from, so that 0 / (0 + norm) is 0 where a step is 0


@scalar
def rough(v):
    """A relative change behind which the next one is below rounding, for arrays like v."""
    return 1e-4 if v.itemsize == 4 else 1e-8


@scalar
def fine(v):
    """A relative error of a sum of squares that is as good as none, for arrays like v."""
    return 1e-6 if v.itemsize == 4 else 1e-13


@fast
def sum_squares(v):
    """The sum of squares of a line, in float64."""
    total = 0.0
    for start in range(0, v.size, SEGMENT):
        part = v[start : start + SEGMENT]
        s = v.dtype.type(0)
        for i in range(part.size):
            s += part[i] * part[i]
        total += float(s)
    return total


@fast
def fill(v, number):
    for i in range(v.size):
        v[i] = number


@fast
def scale(v, number):
    factor = v.dtype.type(number)
    for i in range(v.size):
        v[i] = v[i] * factor


@fast
def moments(v, s):
    """Sums of v^2, v^2 s and v^2 s^2."""
    zeroth, first, second = 0.0, 0.0, 0.0
    for start in range(0, v.size, SEGMENT):
        x, y = v[start : start + SEGMENT], s[start : start + SEGMENT]
        a, b, c = v.dtype.type(0), v.dtype.type(0), v.dtype.type(0)
        for i in range(x.size):
            q = x[i] * x[i]
            a += q
            b += q * y[i]
            c += q * y[i] * y[i]
        zeroth += float(a)
        first += float(b)
        second += float(c)
    return zeroth, first, second


# group lasso: lam * weight * ||u||


@fast
def _dual(v, s, lam):
    """(the sum of (v / s)^2, the largest |v| - s lam or 0)."""
    total, largest = 0.0, v.dtype.type(0)
    near = v.dtype.type(lam)
    for start in range(0, v.size, SEGMENT):
        x, y = v[start : start + SEGMENT], s[start : start + SEGMENT]
        t = v.dtype.type(0)
        for i in range(x.size):
            q = x[i] / y[i] if x[i] != 0 else x[i]  # 0 / 0 where a step is 0
            t += q * q
            largest = maximum(largest, abs(x[i]) - y[i] * near)
        total += float(t)
    return total, float(largest)


@fast
def _spread_by(v, s, r, lam):
    """Sums over i of q = (v / (r + s lam))^2 and of q / (r + s lam)."""
    total, slope = 0.0, 0.0
    one, near, weight = v.dtype.type(1), v.dtype.type(r), v.dtype.type(lam)
    for start in range(0, v.size, SEGMENT):
        x, y = v[start : start + SEGMENT], s[start : start + SEGMENT]
        a, b = v.dtype.type(0), v.dtype.type(0)
        for i in range(x.size):
            k = one / (near + y[i] * weight)
            q = (x[i] * k) * (x[i] * k)
            a += q
            b += q * k
        total += float(a)
        slope += float(b)
    return total, slope


@fast
def shrink_norm(v, s, params, weight, rest):
    """omega(u) = lam * weight * ||u||. Zero if ||v / s|| <= lam * weight.

    Otherwise r = ||u|| solves sum_i (v_i / (r + s_i lam weight))^2 = 1, and
    u_i = v_i r / (r + s_i lam weight).
    """
    lam = params[FIRST] * weight
    if lam == 0.0:
        return
    dual, largest = _dual(v, s, lam)
    if math.sqrt(dual) <= lam:
        fill(v, 0)
        return
    # bounds from below: no term of the sum exceeds 1; and 1 / (r + x)^2 is convex in x
    squares, along, _ = moments(v, s)
    r = maximum(maximum(largest, TINY), math.sqrt(squares) - lam * along / squares)
    for _ in range(NEWTON):
        total, slope = _spread_by(v, s, r, lam)
        # on 1 / sqrt(total) = 1, concave in r: monotone from the left
        change = total * (math.sqrt(total) - 1.0) / slope
        r += change
        if abs(change) <= rough(v) * r:
            break
    near, weight_lam = v.dtype.type(r), v.dtype.type(lam)
    for i in range(v.size):
        v[i] = v[i] * (near / (near + s[i] * weight_lam))


@fast
def norm_value(w, params, weight):
    """lam * weight * ||w||."""
    return params[FIRST] * weight * math.sqrt(sum_squares(w))


@fast
def norm_slope(w, params, weight):
    """lam * weight * w / ||w||, and 0 where w is."""
    norm = math.sqrt(sum_squares(w))
    scale(w, params[FIRST] * weight / norm if norm != 0.0 else 0.0)


# ||u|| <= limit


@fast
def _multiplier(squares, first, second, limit):
    """Halley's step from t = 0 for 1 / ||v / (1 + s t)|| = 1 / limit; Newton's where that fails."""
    norm = math.sqrt(squares)
    value = 1.0 - norm / limit  # all three times the norm
    slope = first / squares
    bend = -3.0 * (second * squares - first * first) / (squares * squares)
    below = 2.0 * slope * slope - value * bend
    return -2.0 * value * slope / below if below > 0.0 else -value / slope


@fast
def _divide(v, s, before, t):
    """v <- v (1 + s before) / (1 + s t); sums of v^2 and v^2 s / (1 + s t)."""
    total, slope = 0.0, 0.0
    one, last, near = v.dtype.type(1), v.dtype.type(before), v.dtype.type(t)
    for start in range(0, v.size, SEGMENT):
        x, y = v[start : start + SEGMENT], s[start : start + SEGMENT]
        a, b = v.dtype.type(0), v.dtype.type(0)
        for i in range(x.size):
            k = one / (one + y[i] * near)
            u = x[i] * ((one + y[i] * last) * k)
            x[i] = u
            a += u * u
            b += u * u * (y[i] * k)
        total += float(a)
        slope += float(b)
    return total, slope


@fast
def limit_norm(v, s, params, weight, rest):
    """omega: 0 if ||u|| <= limit, else inf. u = v / (1 + s t) with t = 0 inside, on the boundary
    the t for which sum_i (v_i / (1 + s_i t))^2 = limit^2."""
    limit = params[FIRST]
    if sum_squares(v) <= limit * limit:
        return
    if limit == 0.0:
        fill(v, 0)
        return
    squares, first, second = moments(v, s)
    if first == 0.0:  # no step, no move
        return
    before, t = 0.0, _multiplier(squares, first, second, limit)
    for _ in range(NEWTON):
        total, slope = _divide(v, s, before, t)
        excess = math.sqrt(total) / limit - 1.0
        if abs(excess) <= fine(v) or slope == 0.0:
            break
        before = t
        t += total * excess / slope  # Newton on 1 / sqrt(total) = 1 / limit


@fast
def norm_within(w, params, weight):
    """0 if ||w|| <= limit, else inf; a projected line may end a rounding above."""
    limit = params[FIRST] * (1.0 + 4.0 * fine(w))
    return 0.0 if sum_squares(w) <= limit * limit else np.inf


# sum |u| <= radius; u >= 0 with sum u = total


@fast
def _sum(v):
    total = 0.0
    for i in range(v.size):
        total += float(v[i])
    return total


@fast
def _level(a, s, total):
    """The t for which sum_i max(a_i - s_i t, 0) = total, a convex function of t that falls.

    Newton's method from where no entry is cut off yet: monotone, and exact after finitely many
    steps, since the function is linear in pieces.
    """
    steps = _sum(s)
    if steps == 0.0:
        return 0.0
    t = (_sum(a) - total) / steps
    for _ in range(NEWTON):
        left, slope = 0.0, 0.0
        for i in range(a.size):
            above = float(a[i]) - float(s[i]) * t
            left += above if above > 0.0 else 0.0
            slope += float(s[i]) if above > 0.0 else 0.0
        if slope == 0.0:
            break
        change = (left - total) / slope
        t += change
        if change <= 1e-16 * abs(t):
            break
    return t


@fast
def limit_sum(v, s, params, weight, rest):
    """omega: 0 if sum |u| <= radius, else inf. u = soft_threshold(v, s t), t as in `_level`."""
    radius = params[FIRST]
    size = rest[: v.size]
    for i in range(v.size):
        size[i] = abs(v[i])
    if _sum(size) <= radius:
        return
    t = _level(size, s, radius)
    for i in range(v.size):
        left = v.dtype.type(float(size[i]) - float(s[i]) * t)
        v[i] = (left if v[i] > 0 else -left) if not left <= 0 else v[i] * 0


@fast
def sum_within(w, params, weight):
    """0 if sum |w| <= radius, else inf."""
    total = 0.0
    for i in range(w.size):
        total += abs(float(w[i]))
    return 0.0 if total <= params[FIRST] * (1.0 + 4.0 * fine(w)) else np.inf


@fast
def to_simplex(v, s, params, weight, rest):
    """omega: 0 if u >= 0 and sum u = total, else inf. u = max(v - s t, 0), t as in `_level`."""
    t = _level(v, s, params[FIRST])
    for i in range(v.size):
        left = v.dtype.type(float(v[i]) - float(s[i]) * t)
        v[i] = 0 if left <= 0 else left


@fast
def on_simplex(w, params, weight):
    """0 if w >= 0 and sum w = total, else inf."""
    total, slack = 0.0, 4.0 * fine(w) * params[FIRST]
    for i in range(w.size):
        total += float(w[i]) if w[i] >= 0 else np.inf
    return 0.0 if abs(total - params[FIRST]) <= slack else np.inf
