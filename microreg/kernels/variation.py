"""The proximal operator of total variation along a line, with an l1 term if there is one.

    argmin_u  sum_i ((u_i - v_i)^2 / (2 s_i) + l1 |u_i|) + lam sum_i |u_{i+1} - u_i|

Exact in O(n). Let F_i be the slope, as a function of u_i, of the best that the entries up to i can
do. It rises in linear pieces with a jump at 0. Entry i passes on F_i cut off at -lam and lam, which
it reaches at low_i and high_i:

    F_{i+1}(b) = clip(F_i(b), -lam, lam) + (b - v_{i+1}) / s_{i+1} + l1 sign(b)

The last entry lies where F is 0, and from there backwards u_i = clip(u_{i+1}, low_i, high_i), so
that neighbours that agree are equal to the bit. In the dual this is the taut string: what is passed
on is the string's height, within a tube of radius lam. F is kept as its outermost pieces and the
knots between them, ordered by place, each with the change of slope and of intercept there.

References
----------
Johnson, "A Dynamic Programming Algorithm for the Fused Lasso and L0-Segmentation", J. Comput.
Graph. Stat. 22 (2013). Davies, Kovac, "Local Extremes, Runs, Strings and Multiresolution", Ann.
Stat. 29 (2001).
"""

from ._jit import scalar
from .lines import FIRST
from .norm import fast

ROOM = 14  # numbers of scratch memory for each entry; 12 beside
SMALLEST = 1e-14  # of the largest step: what a step of 0 counts as


@scalar
def _from_left(target, first, last, place, turn, lift, slope, intercept):
    """Where F, coming from the left, reaches `target`: (place, knots left, the piece behind)."""
    k = first
    while k <= last:
        before = slope * place[k] + intercept
        if before >= target:
            break
        slope += turn[k]
        intercept += lift[k]
        k += 1
        if slope * place[k - 1] + intercept >= target:  # within a jump
            return place[k - 1], k, slope, intercept
    return (target - intercept) / slope, k, slope, intercept


@scalar
def _from_right(target, first, last, place, turn, lift, slope, intercept):
    """Where F, coming from the right, falls to `target`: (place, last knot, the piece before)."""
    k = last
    while k >= first:
        behind = slope * place[k] + intercept
        if behind <= target:
            break
        slope -= turn[k]
        intercept -= lift[k]
        k -= 1
        if slope * place[k + 1] + intercept <= target:
            return place[k + 1], k, slope, intercept
    return (target - intercept) / slope, k, slope, intercept


@scalar
def fuse(v, s, params, weight, rest):
    """omega(u) = lam * weight * sum |u_{i+1} - u_i| + l1 * sum |u_i|, of params[1:]: l1, lam."""
    n = v.size
    lam, l1 = params[FIRST] * weight, params[1]
    if lam == 0.0:
        for i in range(n):
            left = abs(float(v[i])) - l1 * float(s[i])
            v[i] = (left if v[i] > 0 else -left) if not left <= 0.0 else v[i] * 0
        return
    floor = 0.0
    for i in range(n):
        floor = float(s[i]) if float(s[i]) > floor else floor
    if floor == 0.0:
        return
    floor *= SMALLEST
    low, high, size = rest[:n], rest[n : 2 * n], 4 * n + 4
    place = rest[2 * n : 2 * n + size]
    turn = rest[2 * n + size : 2 * n + 2 * size]
    lift = rest[2 * n + 2 * size : 2 * n + 3 * size]
    first, last, zero = 2 * n + 2, 2 * n + 1, 2 * n + 2
    height = 0.0  # of the string's tube: 0 before the first entry
    slope = intercept = right = intercept_right = 0.0
    for i in range(n):
        if i > 0:
            height = lam
            at, first, slope, intercept = _from_left(
                -lam, first, last, place, turn, lift, slope, intercept
            )
            first -= 1
            low[i - 1] = place[first] = at
            turn[first] = slope
            lift[first] = intercept + lam
            at, last, right, intercept_right = _from_right(
                lam, first, last, place, turn, lift, right, intercept_right
            )
            last += 1
            high[i - 1] = place[last] = at
            turn[last] = -right
            lift[last] = lam - intercept_right
        step = float(s[i]) if float(s[i]) > floor else floor
        slope = right = 1.0 / step
        middle = -float(v[i]) / step
        intercept = middle - height - l1
        intercept_right = middle + height + l1
        if l1 > 0.0:
            zero = _knot_at_zero(first, last, place, zero)
            if zero < first or zero > last:
                place[zero] = 0.0
                turn[zero] = 0.0
                lift[zero] = 0.0
                first, last = min(first, zero), max(last, zero)
            lift[zero] += 2.0 * l1
    u, _, _, _ = _from_left(0.0, first, last, place, turn, lift, slope, intercept)
    v[n - 1] = u
    for i in range(n - 2, -1, -1):
        u = low[i] if u < low[i] else high[i] if u > high[i] else u
        v[i] = u


@scalar
def _knot_at_zero(first, last, place, known):
    """The index of the knot at 0; one beside the others if there is none yet."""
    if first > last:
        return first
    if place[first] > 0.0:
        return first - 1
    if place[last] < 0.0:
        return last + 1
    if place[first] == 0.0:
        return first
    return last if place[last] == 0.0 else known


@fast
def variation(w, params, weight):
    """lam * weight * sum |w_{i+1} - w_i|."""
    total = 0.0
    for i in range(w.size - 1):
        total += abs(float(w[i + 1]) - float(w[i]))
    return params[FIRST] * weight * total


@scalar
def variation_slope(w, params, weight):
    """lam * weight * (b - a) / m for each of m equal neighbours, b and a the signs of the steps
    before and behind them (0 at an end): of all subgradients the shortest."""
    lam = params[FIRST] * weight
    start, before = 0, 0.0
    while start < w.size:
        end, here = start + 1, w[start]
        while end < w.size and w[end] == here:
            end += 1
        after = 0.0
        if end < w.size:
            after = 1.0 if w[end] > here else -1.0
        for i in range(start, end):
            w[i] = lam * (before - after) / (end - start)
        start, before = end, after
