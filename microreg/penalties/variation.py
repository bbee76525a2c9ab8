"""Total variation: neighbours become equal."""

import math
from dataclasses import dataclass

import numpy as np

from ..kernels import group as kernels
from ..kernels import variation
from ..runtime import launch
from .base import within
from .joint import LinePenalty


@dataclass(frozen=True)
class TotalVariation(LinePenalty):
    """Omega(w) = lam * sum |w_{i+1} - w_i| along each line of an axis: neighbours become equal.

    prox: exact, in any metric, by the taut string's dual (`kernels.variation`). With L1 beside it
    this is the fused lasso.

    Parameters
    ----------
    lam : float or Schedule
        The strength.
    axis : int, default -1
        The axis along which neighbours are compared.

    References
    ----------
    Tibshirani, Saunders, Rosset, Zhu, Knight, "Sparsity and Smoothness via the Fused Lasso", JRSS B
    67 (2005). Davies, Kovac, "Local Extremes, Runs, Strings and Multiresolution", Ann. Stat. 29
    (2001).
    """

    lam: float
    axis: int = -1
    limits = within(lam=(0, math.inf))
    takes_l1 = True
    room, wide = variation.ROOM, True
    prox_line = staticmethod(variation.fuse)
    value_line = staticmethod(variation.variation)
    slope_line = staticmethod(variation.variation_slope)

    @property
    def groups(self):
        return self.axis

    def residual(self, w, low, high):
        """What is left of -grad where neighbours agree, after the string has taken what it can.

        Where w changes its slope is known; in between, the residual is the prox itself.
        """
        lam = self.number("lam")
        order, starts, _ = self.members(w.shape)
        flat, centre = w.reshape(-1)[order], (-(low + high) / 2).reshape(-1)[order]
        l1 = ((high - low) / 2).reshape(-1)[order]
        first = np.zeros(flat.size, bool)  # of a run of equal neighbours
        first[starts] = True
        jump = np.zeros(flat.size)
        jump[1:] = np.where(first[1:], 0.0, np.sign(np.diff(flat)))
        first |= jump != 0
        rest = (centre - lam * (jump - np.append(jump[1:], 0.0))).astype(np.float64)
        runs = np.flatnonzero(first)
        lengths = np.diff(np.append(runs, flat.size))
        kernel, distance = kernels.prox_groups(self.prox_line, self.room), rest.copy()
        for strength in np.unique(l1):
            chosen = l1[runs] == strength
            args = np.arange(flat.size), runs[chosen], lengths[chosen], np.ones(chosen.sum())
            params, ones = self.joint(l1=float(strength)), np.ones(flat.size)
            launch(kernel, params, ones, *args, distance)
        out = np.empty(flat.size)
        out[order] = np.abs(distance)
        return out.reshape(w.shape), np.zeros(w.shape)
