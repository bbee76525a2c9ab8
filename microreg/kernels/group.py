"""Proximal operators of groups, in a diagonal metric.

Group k has the members order[starts[k] : starts[k] + sizes[k]] of w, and weight weights[k]. With a
step s_i for each coordinate, both operators solve

    argmin_u  sum_i (u_i - v_i)^2 / (2 s_i) + omega(u)

in the form u_i = v_i / (1 + s_i t) for one number t >= 0 per group, found by Newton's method on an
almost linear function, in float64; where all steps of a group are equal it is linear and one
iteration ends. `quadratic` is the strength of a term quadratic * u_i^2 taken into the metric first:
v_i <- v_i * c_i and s_i <- s_i * c_i with c_i = 1 / (1 + 2 s_i quadratic).
"""

import math

from ._jit import kernel

_SIGNATURE = "params[k] steps[n] order:int64[n] starts:int64[g] sizes:int64[g] weights[g] -> w[n]"
NEWTON = 60  # iterations at most; a handful suffice
TINY = 1e-300  # a norm to start from, so that 0 / (0 + norm) is 0 where a step is 0


@kernel(_SIGNATURE, split="g", block=64, counts=("n",))
def group_lasso(params, steps, order, starts, sizes, weights, w):
    """omega(u) = lam * weight * ||u||; params: lam, quadratic. Zero if ||v / s|| <= lam * weight.

    Otherwise r = ||u|| solves sum_i (v_i / (r + s_i lam weight))^2 = 1, and t = lam * weight / r.
    """
    quadratic = float(params[1])
    for k in range(sizes.size):
        lam = float(params[0]) * float(weights[k])
        members = order[starts[k] : starts[k] + sizes[k]]
        dual, norm, longest, r = 0.0, 0.0, 0.0, TINY
        for j in range(members.size):
            i = members[j]
            s = float(steps[i])
            c = 1.0 / (1.0 + 2.0 * s * quadratic)
            v = float(w[i]) * c
            dual += (v / (s * c)) ** 2 if v != 0.0 else 0.0  # 0 / 0 where a step is 0
            norm += v * v
            longest = s * c if s * c > longest else longest
            r = abs(v) - s * c * lam if abs(v) - s * c * lam > r else r
        if math.sqrt(dual) <= lam:
            for j in range(members.size):
                w[members[j]] = 0
        elif lam > 0 or quadratic > 0:
            # two bounds from below: no term of the sum exceeds 1; no step exceeds the longest
            shortest = math.sqrt(norm) - lam * longest
            r = shortest if shortest > r else r
            for _ in range(NEWTON):
                total, slope = 0.0, 0.0
                for j in range(members.size):
                    i = members[j]
                    s = float(steps[i])
                    c = 1.0 / (1.0 + 2.0 * s * quadratic)
                    below = r + s * c * lam
                    term = (float(w[i]) * c / below) ** 2
                    total += term
                    slope += term / below
                # Newton on 1/sqrt(total) = 1, concave in r: monotone from the left
                change = total * (math.sqrt(total) - 1.0) / slope
                r += change
                if abs(change) <= 1e-15 * r:
                    break
            for j in range(members.size):
                i = members[j]
                s = float(steps[i])
                c = 1.0 / (1.0 + 2.0 * s * quadratic)
                w[i] = float(w[i]) * c * (r / (r + s * c * lam))


@kernel(_SIGNATURE, split="g", block=64, counts=("n",))
def max_norm(params, steps, order, starts, sizes, weights, w):
    """||u|| <= limit: unchanged inside, else t solves sum_i (v_i / (1 + s_i t))^2 = limit^2.

    params: limit, quadratic.
    """
    limit, quadratic = float(params[0]), float(params[1])
    for k in range(sizes.size):
        members = order[starts[k] : starts[k] + sizes[k]]
        norm = 0.0
        for j in range(members.size):
            i = members[j]
            v = float(w[i]) / (1.0 + 2.0 * float(steps[i]) * quadratic)
            norm += v * v
        t = 0.0
        if norm > limit * limit:
            for _ in range(NEWTON):
                total, slope = 0.0, 0.0
                for j in range(members.size):
                    i = members[j]
                    c = 1.0 / (1.0 + 2.0 * float(steps[i]) * quadratic)
                    s = float(steps[i]) * c
                    below = 1.0 + s * t
                    term = (float(w[i]) * c / below) ** 2
                    total += term
                    slope += term * s / below
                # Newton on 1/sqrt(total) = 1/limit
                if limit == 0.0 or slope == 0.0:
                    break
                change = total * (math.sqrt(total) / limit - 1.0) / slope
                t += change
                if abs(change) <= 1e-15 * t:
                    break
        for j in range(members.size):
            i = members[j]
            s = float(steps[i])
            c = 1.0 / (1.0 + 2.0 * s * quadratic)
            if limit == 0.0:
                w[i] = 0
            elif norm > limit * limit:
                w[i] = float(w[i]) * c / (1.0 + s * c * t)
            else:
                w[i] = float(w[i]) * c
