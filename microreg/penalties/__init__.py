"""Penalties and constraints: value, gradient, proximal operator, optimality condition."""

from .attach import attach, number, set_epoch, table, value
from .balls import L1Ball, L2Ball, MaxNorm, Simplex
from .base import Penalty, SeparablePenalty
from .combine import plan
from .group import GroupLasso, SparseGroupLasso
from .joint import LinePenalty
from .nonconvex import L0, MCP, SCAD
from .schedule import Schedule, cosine, warmup
from .separable import L1, L2, Box, ElasticNet, NonNegative, WeightDecay
from .spectral import NuclearNorm, Orthogonal, SpectralNorm, SpectralPenalty
from .support import Support
from .variation import TotalVariation

__all__ = [
    "L0",
    "L1",
    "L2",
    "MCP",
    "SCAD",
    "Box",
    "ElasticNet",
    "GroupLasso",
    "L1Ball",
    "L2Ball",
    "LinePenalty",
    "MaxNorm",
    "NonNegative",
    "NuclearNorm",
    "Orthogonal",
    "Penalty",
    "Schedule",
    "SeparablePenalty",
    "Simplex",
    "SparseGroupLasso",
    "SpectralNorm",
    "SpectralPenalty",
    "Support",
    "TotalVariation",
    "WeightDecay",
    "attach",
    "cosine",
    "number",
    "plan",
    "set_epoch",
    "table",
    "value",
    "warmup",
]
