"""Penalties and constraints: value, gradient, proximal operator, optimality condition."""

from .attach import attach, number, table, value
from .base import Penalty, SeparablePenalty
from .combine import plan
from .group import GroupLasso, MaxNorm
from .separable import L1, L2, ElasticNet, NonNegative, WeightDecay

__all__ = [
    "L1",
    "L2",
    "ElasticNet",
    "GroupLasso",
    "MaxNorm",
    "NonNegative",
    "Penalty",
    "SeparablePenalty",
    "WeightDecay",
    "attach",
    "number",
    "plan",
    "table",
    "value",
]
