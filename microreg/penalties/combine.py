"""Several penalties on one parameter, brought to the form that an update can apply exactly.

    w <- group_prox( prox( (1 - lr * decay) * w - s * direction ) )

decay is the sum of WeightDecay; prox is one scalar formula; group_prox one group penalty. Exact,
in any diagonal metric, are these sums: any number of L1, L2, ElasticNet and NonNegative, with or
without one group penalty, whose prox then acts on the result (the group prox only rescales within
groups, and a quadratic is taken into the metric). Anything else has no known prox and is refused.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from ..kernels._jit import scalar
from ..kernels.update import no_prox
from .base import Penalty, SeparablePenalty
from .group import _GroupPenalty
from .separable import L1, L2, ElasticNet, NonNegative, WeightDecay, soft_threshold


class Plan(NamedTuple):
    """What the update of one parameter does beside the rule's step."""

    decay: float
    prox: object  # prox_1d's scalar formula
    params: tuple[float, ...]
    group: object  # a group penalty or None
    quadratic: float  # strength of a quadratic that the group prox takes into its metric


@scalar
def _shrink_prox(v, step, l1, quadratic, lower):
    """The prox of l1 * |w| + quadratic * w^2 with w >= lower (0 or -inf)."""
    w = soft_threshold(v, step * l1) / (type(v)(1) + step * (quadratic + quadratic))
    return lower if w < lower else w


@dataclass(frozen=True)
class _Shrink:
    """A sum of L1, L2, ElasticNet and NonNegative in one formula."""

    l1: float = 0.0
    quadratic: float = 0.0
    lower: float = -math.inf

    def plus(self, penalty):
        if isinstance(penalty, L1):
            return _Shrink(self.l1 + penalty.lam, self.quadratic, self.lower)
        if isinstance(penalty, L2):
            return _Shrink(self.l1, self.quadratic + penalty.lam, self.lower)
        if isinstance(penalty, ElasticNet):
            l1 = penalty.lam * penalty.l1_ratio
            return _Shrink(self.l1 + l1, self.quadratic + (penalty.lam - l1) / 2, self.lower)
        return _Shrink(self.l1, self.quadratic, 0.0)


def as_list(penalty):
    """The penalties of a parameter: None, one, or several."""
    if penalty is None:
        return []
    return list(penalty) if isinstance(penalty, (list, tuple)) else [penalty]


def plan(penalty):
    """The Plan for what is attached to a parameter.

    Raises
    ------
    TypeError
        If something is not a penalty.
    ValueError
        If the prox of the sum is not known.
    """
    parts = as_list(penalty)
    for part in parts:
        if not isinstance(part, Penalty):
            raise TypeError(f"penalty: expected a penalty, got {type(part).__name__}")
    decay = sum(p.lam for p in parts if isinstance(p, WeightDecay))
    groups = [p for p in parts if isinstance(p, _GroupPenalty)]
    separable = [p for p in parts if isinstance(p, SeparablePenalty)]
    plain = [p for p in separable if isinstance(p, (L1, L2, ElasticNet, NonNegative))]
    others = [p for p in parts if not isinstance(p, (WeightDecay, _GroupPenalty, SeparablePenalty))]
    own = [p for p in separable if p not in plain]
    if others or len(groups) > 1 or (own and len(separable) + len(groups) > 1):
        names = " + ".join(type(p).__name__ for p in parts)
        raise ValueError(
            f"penalty {names}: the prox of this sum is not known; combine L1, L2, ElasticNet, "
            "NonNegative, WeightDecay and one group penalty at most, or write it as one penalty"
        )
    group = groups[0] if groups else None
    if own:
        return Plan(decay, own[0].prox_1d, own[0].params(), group, 0.0)
    if len(separable) == 1 and group is None:
        return Plan(decay, separable[0].prox_1d, separable[0].params(), None, 0.0)
    total = _Shrink()
    for p in separable:
        total = total.plus(p)
    if group is None:
        if not separable:
            return Plan(decay, no_prox, (), None, 0.0)
        return Plan(decay, _shrink_prox, (total.l1, total.quadratic, total.lower), None, 0.0)
    # the group prox applies the quadratic itself, on what the rest leaves
    if total.l1 == 0.0 and total.lower == -math.inf:
        return Plan(decay, no_prox, (), group, total.quadratic)
    return Plan(decay, _shrink_prox, (total.l1, 0.0, total.lower), group, total.quadratic)
