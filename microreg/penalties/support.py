"""The constraint that zeros stay zero."""

from dataclasses import dataclass

import numpy as np

from ..kernels import group as kernels
from .base import numbers
from .group import _GroupPenalty


@dataclass(frozen=True, eq=False)
class Support(_GroupPenalty):
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
    kernel = kernels.group_lasso  # of strength 1, with weights 0 or infinite

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

    def weights(self, sizes):
        return np.where(np.unique(self.mask), 0.0, np.inf)

    def value(self, w):
        return float(np.inf) if numbers(w)[~self.mask].any() else 0.0

    def subdiff_distance(self, w, grad):
        """The normal cone: {0} where free, everything at a zero that stays."""
        w, grad = numbers(w), numbers(grad)
        return np.where(self.mask, np.abs(grad), np.where(w == 0, 0.0, np.inf))
