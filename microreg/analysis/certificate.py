"""How near a trained model is to an optimum, and bringing it there."""

import copy
from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..nn import activity_penalty
from ..penalties.attach import number
from ..penalties.combine import as_list, residual
from ..tensor import Tensor, grad
from ..training.data import dtype_of, pair, slices
from .descent import Descent
from .dual import duality_gap

ROWS = 4096  # at a time


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of one parameter.

    distance : for each entry how far minus the loss's slope is from the penalty's subdifferential
    slack : for each entry how far inside it lies, 0 where the subdifferential is a point
    """

    name: str
    penalty: str
    value: np.ndarray
    distance: np.ndarray
    slack: np.ndarray

    @property
    def residual(self):
        """The largest distance."""
        return float(self.distance.max(initial=0.0))

    @property
    def zeros(self):
        return int((self.value == 0).sum())

    @property
    def margin(self):
        """The least slack of a zero that lies inside its subdifferential; NaN if none does."""
        inside = self.slack[(self.value == 0) & (self.slack > 0)]
        return float(inside.min()) if inside.size else np.nan


@dataclass(frozen=True, eq=False)
class Certificate:
    """What `certificate` found. Print it for a table.

    loss, penalty, objective : float
        The mean loss over all rows, the sum of the penalties, and both.
    residual : float
        The largest residual of all parts: 0 at a stationary point.
    gap : float or None
        The objective is at most so far above the least; None where that is not known, `why` says
        what is in the way.
    parts : dict from a parameter's name to its Part
    """

    loss: float
    penalty: float
    parts: dict[str, Part]
    gap: float | None
    why: str | None

    @property
    def objective(self):
        return self.loss + self.penalty

    @property
    def residual(self):
        return max(part.residual for part in self.parts.values())

    def __str__(self):
        gap = f"no duality gap: {self.why}" if self.gap is None else f"duality gap {self.gap:.1e}"
        rows = [("parameter", "penalty", "zeros", "residual", "zeros inside by")]
        for part in self.parts.values():
            margin = "" if np.isnan(part.margin) else f"{part.margin:.1e}"
            share = f"{part.zeros} of {part.value.size}"
            rows.append((part.name, part.penalty, share, f"{part.residual:.1e}", margin))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )
        head = (
            f"loss {self.loss:.6g} + penalty {self.penalty:.6g} = objective {self.objective:.6g}",
            f"residual {self.residual:.1e}, {gap}",
        )
        return "\n".join([*head, *lines])


def certificate(model, data, loss=F.cross_entropy):
    """How far a model is from the optimality condition of mean loss + penalties, and for a linear
    model how far its objective can be above the least.

    At an optimum minus the slope of the loss lies in the penalties' subdifferential: for a weight
    that is not zero both balance, for one that is zero it lies inside a set, and the margin to its
    edge says how safely the weight is zero.

    Parameters
    ----------
    model : Module
        With its penalties attached. Stays as it is; measured in float64, in evaluation mode, so
        without dropout and with batch norm's running statistics.
    data : (X, y)
        All rows.
    loss : callable (output, target) -> scalar tensor, default cross_entropy
        A mean over rows; what `nn.ActivityPenalty` finds is added. The duality gap is known for
        `cross_entropy`, `mse_loss` and `binary_cross_entropy_with_logits` on one Linear whose
        weight has convex penalties: any sum of L1, GroupLasso, NuclearNorm and NonNegative, one set
        that is bounded, or with L2 or ElasticNet any that `attach` takes.

    Returns
    -------
    Certificate
    """
    model = copy.deepcopy(model).double().eval()
    X, y = pair(data, np.dtype(np.float64), "certificate")
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not named:
        raise ValueError("certificate: expected a model with parameters that are trained")
    value, slopes = _loss_and_slopes(model, X, y, loss, list(named.values()))
    penalty = number(model)
    parts = {
        name: Part(name, _names(p), p.data, *residual(p.penalty, p.data, slope))
        for (name, p), slope in zip(named.items(), slopes, strict=True)
    }
    return Certificate(value, penalty, parts, *duality_gap(model, X, y, loss, value + penalty))


def _names(parameter):
    """What is attached to a parameter, in words."""
    return " + ".join(type(p).__name__ for p in as_list(parameter.penalty)) or "-"


def _loss_and_slopes(model, X, y, loss, parameters):
    """The mean loss over all rows and its gradients."""
    total, slopes = 0.0, [np.zeros(p.shape) for p in parameters]
    for rows in slices(len(X), ROWS):
        part = loss(model(Tensor(X[rows])), Tensor(y[rows])) + activity_penalty(model)
        part = part * (len(X[rows]) / len(X))
        total += float(part)
        for slope, g in zip(slopes, grad(part, parameters, allow_unused=True), strict=True):
            slope += 0.0 if g is None else g.data
    return total, slopes


def polish(model, data, loss=F.cross_entropy, *, tol=1e-6, steps=10_000):
    """Bring a trained model to rest: descend on all rows at once until the optimality condition
    holds, so that supports which flickered from batch to batch settle.

    Parameters
    ----------
    model : Module
        With its penalties attached; changed. As for `certificate` dropout is off and batch norm
        keeps its running statistics.
    data, loss : as for `certificate`
    tol : float, default 1e-6
        Ends when no entry of the prox-gradient is larger; in float32 rounding may end it before.
    steps : int, default 10_000
        At most.

    Returns
    -------
    Certificate
    """
    X, y = pair(data, dtype_of(model), "polish")
    inputs, targets, mode = Tensor(X), Tensor(y), model.training
    parameters = [p for p in model.parameters() if p.requires_grad]

    def objective():
        return loss(model(inputs), targets) + activity_penalty(model)

    model.eval()
    try:
        Descent(parameters, objective).run(tol, steps)
    finally:
        model.train(mode)
    model.zero_grad()
    return certificate(model, data, loss)
