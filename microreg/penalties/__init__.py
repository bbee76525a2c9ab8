"""Penalties and constraints: value, gradient, proximal operator, optimality condition."""

from .attach import attach, number, table, value
from .base import Penalty, SeparablePenalty
from .combine import plan
from .group import GroupLasso, MaxNorm
from .separable import L1, L2, ElasticNet, NonNegative, WeightDecay
from .support import Support

__all__ = [
    "L1",
    "L2",
    "ElasticNet",
    "GroupLasso",
    "MaxNorm",
    "NonNegative",
    "Penalty",
    "SeparablePenalty",
    "Support",
    "WeightDecay",
    "attach",
    "number",
    "plan",
    "table",
    "value",
]
