"""Several penalties on one parameter, brought to the form that an update can apply exactly.

    w <- joint_prox( prox( (1 - lr * decay) * w - s * direction ) )

decay is the sum of WeightDecay; prox is one scalar formula; joint_prox that of one penalty which
looks at many entries at once. Exact, in any diagonal metric, are these sums:

    L1, L2, ElasticNet, NonNegative, Box      any number of them
    the same without Box, with GroupLasso     whose prox acts on the result: it only rescales, or
    or a ball                                 shrinks towards zero
    L1, L2, ElasticNet with TotalVariation    the fused lasso
    L2 with anything                          a quadratic is taken into the metric

and SparseGroupLasso, which is L1 and GroupLasso. Anything else has no known prox and is refused.
"""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..kernels import lift
from ..kernels._jit import scalar
from ..kernels.update import no_prox
from ..runtime import launch
from .base import Penalty, SeparablePenalty, numbers, steps_like, to_zero
from .joint import JointPenalty
from .separable import L1, L2, Box, ElasticNet, NonNegative, WeightDecay, soft_threshold


class Plan(NamedTuple):
    """What the update of one parameter does beside the rule's step."""

    decay: float
    prox: object  # prox_1d's scalar formula
    params: tuple[float, ...] = ()
    joint: object = None  # a JointPenalty
    quadratic: float = 0.0  # strengths of what the joint prox takes along
    l1: float = 0.0
    bound: float = math.inf  # steps are shorter: from there on the prox has several values

    def numbers(self):
        """What an update reads: decay, the longest step of an adaptive rule, the prox's own."""
        return self.decay, self.bound / 2, *self.params

    def joint_numbers(self):
        return self.joint.joint(self.quadratic, self.l1)


@scalar
def _shrink_prox(v, step, l1, quadratic, lower, upper):
    """The prox of l1 * |w| + quadratic * w^2 with lower <= w <= upper."""
    w = soft_threshold(v, step * l1) / (type(v)(1) + step * (quadratic + quadratic))
    if w < lower:
        return lower
    return upper if w > upper else w


MOST = 3  # parameters of a penalty of one's own beside which L2 is known


@scalar
def _damping(step, quadratic):
    """1 / (1 + 2 * step * quadratic)."""
    return type(step)(1) / (type(step)(1) + step * (quadratic + quadratic))


@functools.cache
def _with_quadratic(prox, count):
    """The prox of f(w) + quadratic * w^2 from that of f: v and step are damped."""

    @scalar
    def with_none(v, step, quadratic):
        c = _damping(step, quadratic)
        return prox(v * c, step * c)

    @scalar
    def with_one(v, step, quadratic, a):
        c = _damping(step, quadratic)
        return prox(v * c, step * c, a)

    @scalar
    def with_two(v, step, quadratic, a, b):
        c = _damping(step, quadratic)
        return prox(v * c, step * c, a, b)

    @scalar
    def with_three(v, step, quadratic, a, b, c):
        d = _damping(step, quadratic)
        return prox(v * d, step * d, a, b, c)

    return (with_none, with_one, with_two, with_three)[count]


@dataclass
class _Sum:
    """l1 * |w| + quadratic * w^2 with lower <= w <= upper: L1, L2, ElasticNet, NonNegative, Box."""

    l1: float = 0.0
    quadratic: float = 0.0
    lower: float = -math.inf
    upper: float = math.inf

    def add(self, penalty):
        if isinstance(penalty, L1):
            self.l1 += penalty.number("lam")
        elif isinstance(penalty, L2):
            self.quadratic += penalty.number("lam")
        elif isinstance(penalty, ElasticNet):
            lam, l1_ratio = penalty.params()
            self.l1 += lam * l1_ratio
            self.quadratic += lam * (1.0 - l1_ratio) / 2.0
        else:
            lower, upper = (0.0, math.inf) if isinstance(penalty, NonNegative) else penalty.params()
            self.lower, self.upper = max(self.lower, lower), min(self.upper, upper)


def as_list(penalty):
    """The penalties of a parameter: None, one, or several."""
    if penalty is None:
        return []
    return list(penalty) if isinstance(penalty, (list, tuple)) else [penalty]


def parts_of(penalty):
    """The same with sums as their parts."""
    return [part for one in as_list(penalty) for part in getattr(one, "parts", [one])]


def plan(penalty):
    """The Plan for what is attached to a parameter.

    Which formulas it names depends on the kinds of penalties alone, not on their strengths.

    Raises
    ------
    TypeError
        If something is not a penalty.
    ValueError
        If the prox of the sum is not known.
    """
    parts = parts_of(penalty)
    for part in parts:
        if not isinstance(part, Penalty):
            raise TypeError(f"penalty: expected a penalty, got {type(part).__name__}")
    decay = sum(p.number("lam") for p in parts if isinstance(p, WeightDecay))
    parts = [p for p in parts if not isinstance(p, WeightDecay)]
    plain = [p for p in parts if isinstance(p, (L1, L2, ElasticNet, NonNegative, Box))]
    kinds = {type(p) for p in plain}
    others = [p for p in parts if type(p) not in kinds]
    total = _Sum()
    for part in plain:
        total.add(part)
    if total.lower > total.upper:
        raise ValueError(f"penalty {_names(penalty)}: no weight satisfies all of these constraints")
    if not others:
        if len(plain) == 1:
            return Plan(decay, plain[0].prox_1d, plain[0].params())
        numbers = total.l1, total.quadratic, total.lower, total.upper
        return Plan(decay, _shrink_prox, numbers) if plain else Plan(decay, no_prox)
    other = others[0]
    if len(others) == 1 and isinstance(other, SeparablePenalty) and kinds <= {L2}:
        params = other.params()
        if not plain:
            return Plan(decay, other.prox_1d, params, bound=other.bound)
        if len(params) <= MOST:
            bound, damped = (
                _stretched(other.bound, total.quadratic),
                _with_quadratic(other.prox_1d, len(params)),
            )
            return Plan(decay, damped, (total.quadratic, *params), bound=bound)
    if len(others) == 1 and isinstance(other, JointPenalty):
        bound = _stretched(other.bound, total.quadratic)
        if kinds <= {L2} or (other.takes_l1 and kinds <= {L1, L2, ElasticNet}):
            return Plan(decay, no_prox, (), other, total.quadratic, total.l1, bound)
        if other.cone and kinds <= {L1, L2, ElasticNet, NonNegative}:
            params = total.l1, 0.0, total.lower, total.upper  # the quadratic waits for `other`
            return Plan(decay, _shrink_prox, params, other, total.quadratic, 0.0, bound)
    raise ValueError(
        f"penalty {_names(penalty)}: the prox of this sum is not known; combine L1, L2, "
        "ElasticNet, NonNegative, Box and WeightDecay, or those without Box and one group penalty "
        "at most, or L1 and TotalVariation, or L2 and anything, or write it as one penalty"
    )


def _stretched(bound, quadratic):
    """The step at which step / (1 + 2 * step * quadratic) reaches `bound`."""
    left = 1.0 - 2.0 * quadratic * bound if quadratic else 1.0
    return bound / left if left > 0.0 else math.inf


def _names(penalty):
    return " + ".join(type(p).__name__ for p in as_list(penalty))


def prox(penalty, v, step):
    """The prox of a penalty or of a list of them; WeightDecay has none and is left out."""
    v, planned = numbers(v), plan(penalty)
    steps = steps_like(_names(penalty), step, v, planned.bound)
    if planned.joint is not None:
        planned.joint.check_steps(steps)
    out = np.empty_like(v)
    params = np.array(planned.params or (0.0,), v.dtype)
    kernel = lift.step_kernel(planned.prox, len(planned.params))
    launch(kernel, v.reshape(-1), steps.reshape(-1), params, out.reshape(-1))
    if planned.joint is None:
        return out
    return planned.joint.project(out, steps, planned.quadratic, planned.l1)


def residual(penalty, w, grad):
    """(distance, slack) of -grad from, or within, the subdifferential of a penalty or a sum of
    them: see `Penalty.residual`."""
    w, grad = numbers(w), numbers(grad)
    low = high = grad.astype(np.float64)
    other = _NOTHING
    for part in parts_of(penalty):
        if isinstance(part, SeparablePenalty):
            below, above = part.slopes(w)
            low, high = low + below, high + above
        elif isinstance(part, WeightDecay):
            low, high = (x + part.number("lam") * w for x in (low, high))
        else:
            other = part
    return other.residual(w, low, high)


class _Nothing(Penalty):
    """No penalty."""

    def residual(self, w, low, high):
        return to_zero(low, high)


_NOTHING = _Nothing()
