"""Layers that add noise in training and pass their input on in evaluation."""

import math

from .. import functional as F
from .module import Module


class _Dropping(Module):
    """A layer with a probability p; `inplace` is accepted and changes nothing."""

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{type(self).__name__}(p={p}): expected a probability from 0 to 1")
        self.p, self.inplace = p, inplace

    def extra_repr(self):
        return f"p={self.p}"


class Dropout(_Dropping):
    """In training, set each entry to 0 with probability p and divide the rest by 1 - p.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014), section 10.
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training)


class Dropout1d(_Dropping):
    """Dropout of whole channels of x (n, channels, length)."""

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropping):
    """Dropout of whole channels of x (n, channels, h, w)."""

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training)


class AlphaDropout(_Dropping):
    """Dropout that keeps mean 0 and variance 1, for SELU; see `functional.alpha_dropout`."""

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training)


class DropPath(_Dropping):
    """Dropout of whole samples, for the branch of a residual block; see `functional.drop_path`."""

    def forward(self, input):
        return F.drop_path(input, self.p, self.training)


class GaussianNoise(Module):
    """In training x + std * normal; see `functional.gaussian_noise`."""

    def __init__(self, std=0.1):
        super().__init__()
        if not 0.0 <= std < math.inf:
            raise ValueError(f"GaussianNoise(std={std}): expected a finite number of at least 0")
        self.std = std

    def forward(self, input):
        return F.gaussian_noise(input, self.std, self.training)

    def extra_repr(self):
        return f"std={self.std}"
