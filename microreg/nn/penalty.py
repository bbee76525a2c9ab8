"""Layers that regularize: gates that close, and penalties on activations."""

import math

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from ..grad_mode import is_grad_enabled
from ..penalties.attach import measured
from ..penalties.base import Penalty
from ..tensor import Tensor
from . import init
from .module import Module, Parameter


class HardConcrete(Module):
    """Gates that are exactly 0 or 1 with positive probability, and learn to close.

        y = x z,   z as in `functional.hard_concrete`

    Attach `penalties.L0(lam, beta, gamma, zeta)` to `log_alpha`, by its full name: lam times the
    expected number of gates that are not 0. A gate that is 0 in evaluation drops its unit for good.

    Parameters
    ----------
    shape : int or tuple of int
        One gate for each entry of the last axes of x.
    p : float, default 0.1
        The probability that a gate drops out in the beginning, in the sense of sigmoid(-log_alpha).
    beta, gamma, zeta : float, default 2/3, -0.1, 1.1
        Temperature, and the interval that is cut to [0, 1].

    Shapes
    ------
    x (..., *shape) -> y the same; log_alpha (*shape), normal about log((1 - p) / p).

    References
    ----------
    Louizos, Welling, Kingma, "Learning Sparse Neural Networks through L0 Regularization", ICLR
    2018, equations 10 to 13.
    """

    def __init__(self, shape, p=0.1, beta=2 / 3, gamma=-0.1, zeta=1.1, dtype=None):
        super().__init__()
        if not 0.0 < p < 1.0:
            raise ValueError(f"HardConcrete(p={p}): expected a probability between 0 and 1")
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.p, self.beta, self.gamma, self.zeta = p, beta, gamma, zeta
        self.log_alpha = Parameter(np.empty(self.shape, dtype or get_default_dtype()))
        self.reset_parameters()

    def reset_parameters(self):
        """Draw log_alpha anew."""
        init.normal_(self.log_alpha, math.log((1.0 - self.p) / self.p), 0.01)

    def forward(self, input):
        options = self.beta, self.gamma, self.zeta, self.training
        return F.hard_concrete(input, self.log_alpha, *options)

    def gates(self):
        """z as in evaluation."""
        ones = Tensor(np.ones(self.shape, self.log_alpha.dtype))
        return F.hard_concrete(ones, self.log_alpha, self.beta, self.gamma, self.zeta, False)

    def extra_repr(self):
        return f"{self.shape}, beta={self.beta:.3g}, gamma={self.gamma}, zeta={self.zeta}"


class ActivityPenalty(Module):
    """Passes its input on and adds a penalty of it to the objective: the mean over the rows.

        objective = mean loss + (1 / n) Omega(x) + ...

    `fit`, `polish` and `certificate` add it by themselves; in a loop of your own write

        loss = F.cross_entropy(model(x), y) + nn.activity_penalty(model)

    The gradient at a kink is the subgradient of least magnitude: activations become small, and
    exactly zero behind a ReLU.

    Parameters
    ----------
    penalty : Penalty
        `L1(lam)` for sparse activations, `L2(lam)`, ...
    """

    def __init__(self, penalty):
        super().__init__()
        if not isinstance(penalty, Penalty):
            raise TypeError(f"ActivityPenalty: expected a penalty, got {type(penalty).__name__}")
        self.penalty, self._values = penalty, []

    def forward(self, input):
        if is_grad_enabled():
            self._values.append(measured(input, self.penalty) / len(input))
        return input

    def take(self):
        """What was added up since the last time, which is forgotten."""
        values, self._values = self._values, []
        return values

    def extra_repr(self):
        return repr(self.penalty)


def activity_penalty(model):
    """The sum of what a model's `ActivityPenalty` layers found since it was last asked for."""
    layers = [m for m in model.modules() if isinstance(m, ActivityPenalty)]
    values = [value for layer in layers for value in layer.take()]
    return sum(values[1:], values[0]) if values else 0.0
