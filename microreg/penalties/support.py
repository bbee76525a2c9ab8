"""The constraint that zeros stay zero."""

from dataclasses import dataclass

import numpy as np

from ..kernels import lines
from .base import numbers, to_zero
from .joint import LinePenalty


@dataclass(frozen=True, eq=False)
class Support(LinePenalty):
    """The constraint w_i = 0 where `mask` is False; the rest is free.

    prox: v where mask is True, 0 elsewhere. It keeps the zeros that a penalty or pruning found
    while the other weights are trained without it, as in the relaxed lasso.

    Parameters
    ----------
    mask : bool array of w's shape

    References
    ----------
    Meinshausen, "Relaxed Lasso", Computational Statistics & Data Analysis 52 (2007).
    """

    mask: np.ndarray
    cone = True
    prox_line = staticmethod(lines.shrink_norm)  # of strength 1, with weights 0 or infinite

    def __post_init__(self):
        mask = np.asarray(self.mask)
        if mask.dtype != bool:
            raise ValueError(f"Support: mask: expected bool, got {mask.dtype}")
        object.__setattr__(self, "mask", mask)

    @property
    def groups(self):
        return self.mask.astype(np.int64)

    @property
    def strength(self):
        return 1.0

    def params(self):
        return (1.0,)

    def weights(self, sizes):
        return np.where(np.unique(self.mask), 0.0, np.inf)

    def value(self, w):
        w = numbers(w)
        self.check_shape(w.shape)
        return float(np.inf) if w[~self.mask.reshape(w.shape)].any() else 0.0

    def residual(self, w, low, high):
        """The normal cone: {0} where free, everything at a zero that stays."""
        distance, slack = to_zero(low, high)
        held = np.where(w == 0, 0.0, np.inf)
        return np.where(self.mask, distance, held), np.where(self.mask, slack, 0.0)
