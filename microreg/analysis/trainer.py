"""Training one model on one set of rows at one strength after another."""

import copy
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from ..grad_mode import enable_grad
from ..penalties.group import GroupLasso
from ..penalties.separable import WeightDecay
from ..tensor import Tensor, grad
from ..training import evaluate, fit
from .descent import Descent

NULL_STEPS = 1000  # at most, for the biases of the null model


class Task(NamedTuple):
    """What a path needs besides rows; it travels to other processes."""

    model: Any
    rule: dict[str, list[Any]]  # parameter name -> penalties as given
    loss: Any
    optimizer: Any
    steps: int
    tol: float
    fit_options: dict[str, Any]
    convex: bool


class Trainer:
    """A copy of the task's model on some rows, trained at one strength after another."""

    def __init__(self, task, X, y, seed=0):
        self.task, self.X, self.y = task, X, y
        self.model = copy.deepcopy(task.model)
        if seed:
            for module in self.model.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        self.named = dict(self.model.named_parameters())
        self.ruled = {name: self.named[name] for name in task.rule}
        self.tolerance, self._descent = None, None
        self._rows = Tensor(X), Tensor(y)

    def objective(self):
        """The mean loss over all rows."""
        inputs, targets = self._rows
        return self.task.loss(self.model(inputs), targets)

    def null(self):
        """Make the null model; returns from which strength on zero is stationary."""
        start = self._slopes()
        for p in self.ruled.values():
            p.data[...] = 0
        self._fit_biases()
        slopes = self._slopes()
        largest = max(float(np.abs(g).max()) for g in (*start.values(), *slopes.values()))
        self.tolerance = self.task.tol * largest
        self.scale = self._strength(start)
        return self._strength(slopes)

    def _strength(self, slopes):
        """The strength from which on zero weights would answer these slopes."""
        return max(
            min(
                part.lam_max(slopes[name]) / part.lam
                for part in parts
                if varies(part, slopes[name])
            )
            for name, parts in self.task.rule.items()
        )

    def _fit_biases(self):
        free = [
            p
            for name, p in self.named.items()
            if p.ndim < 2 and p.requires_grad and name not in self.ruled
        ]
        if free:
            self.model.eval()
            Descent(free, self.objective).run(np.finfo(free[0].dtype).eps ** 0.75, NULL_STEPS)
            self.model.train()

    def _slopes(self):
        """The gradients in the ruled parameters, in evaluation mode."""
        self.model.eval()
        with enable_grad():
            slopes = grad(self.objective(), list(self.ruled.values()), allow_unused=True)
        self.model.train()
        return {
            name: np.zeros(p.shape) if g is None else g.data
            for (name, p), g in zip(self.ruled.items(), slopes, strict=True)
        }

    def train(self, strength):
        """Train on from where the model is; returns its mean loss and the prox-gradient left."""
        task = self.task
        for name, p in self.ruled.items():
            p.penalty = scaled(task.rule[name], strength, p)
        if task.optimizer is None:
            if self._descent is None:
                trained = [p for p in self.named.values() if p.requires_grad]
                self._descent = Descent(trained, self.objective)
            return self._descent.run(self.tolerance, task.steps)[:2]
        made = task.optimizer(self.model.parameters())
        options = {"progress": False, **task.fit_options}
        fit(self.model, (self.X, self.y), loss=task.loss, optimizer=made, **options)
        return evaluate(self.model, (self.X, self.y), task.loss)["loss"], np.nan

    def is_zero(self):
        return not any(p.data.any() for p in self.ruled.values())

    def state(self):
        return {name: value.data.copy() for name, value in self.model.state_dict().items()}

    def load(self, state):
        self.model.load_state_dict(state)


def varies(penalty, w):
    """Whether a penalty has a strength that makes weights of w's shape zero where it is large."""
    if isinstance(penalty, WeightDecay) or not getattr(penalty, "lam", 0):
        return False
    try:
        penalty.lam_max(np.ones(w.shape))
    except TypeError:
        return False
    return True


def scaled(parts, strength, w):
    """A rule's penalties for a parameter, those that vary times `strength`."""
    return [
        dataclasses.replace(part, lam=part.lam * strength) if varies(part, w) else part
        for part in parts
    ]


def units(w, parts):
    """Which of a parameter's groups are not zero; its entries if no penalty has groups."""
    norms = norms_of(w, parts)
    return w.reshape(-1) != 0 if norms is None else norms > 0


def norms_of(w, parts):
    """The norms of a parameter's groups; None if no penalty that varies has groups."""
    grouped = [part for part in parts if isinstance(part, GroupLasso)]
    return grouped[0].norms(w) if grouped else None
