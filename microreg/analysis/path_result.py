"""What `path` returns: weights, supports and scores over the strengths."""

import copy

import numpy as np

from ..penalties.support import Support
from .figures import MARK, TRAIN, VALIDATION, page
from .trainer import Trainer, norms_of, scaled, units, varies

DRAWN = 200  # lines at most in the figure of the weights


class Path:
    """A model at every strength; print it for a table.

    Attributes
    ----------
    lambdas : array (n,)
        The strengths, falling.
    loss, penalty, residual : array (n,)
        Mean loss and penalties on all rows, and the prox-gradient that was left (NaN with an
        optimizer of your own).
    weights, support : dict
        By parameter name: its numbers (n, *shape), and which of its groups are not zero
        (n, groups); which of its entries, for a penalty without groups.
    val_loss, val_error : array (n,) or None
        Mean validation loss and its standard error.
    best, one_se : int or None
        Where the validation loss is least, and the largest strength whose loss is within one
        standard error of it.
    """

    def __init__(self, task, data, lambdas, points, val_loss, val_error):
        self._task, self._data, self.lambdas = task, data, lambdas
        self._states = [point["state"] for point in points]
        self._tolerance = points[0]["tolerance"]
        self.loss, self.penalty, self.residual = (
            np.array([point[name] for point in points]) for name in ("loss", "penalty", "residual")
        )
        self.weights = {n: np.stack([state[n] for state in self._states]) for n in task.rule}
        self.support = {
            n: np.stack([units(w, task.rule[n]) for w in self.weights[n]]) for n in task.rule
        }
        self.val_loss, self.val_error = val_loss, val_error
        self.best = self.one_se = None
        if val_loss is not None:
            self.best = int(np.argmin(val_loss))
            bound = val_loss[self.best] + val_error[self.best]
            self.one_se = int(np.flatnonzero(val_loss <= bound)[0])

    def __len__(self):
        return len(self.lambdas)

    def entries(self, name=None):
        """The groups of a parameter in the order in which they become nonzero as strengths fall."""
        support = self.support[self._name(name)]
        first = np.where(support.any(axis=0), support.argmax(axis=0), len(support))
        order = np.argsort(first, kind="stable")
        return order[first[order] < len(support)]

    def _name(self, name):
        if name is None and len(self.support) == 1:
            return next(iter(self.support))
        if name not in self.support:
            raise KeyError(f"path: expected one of {list(self.support)}, got {name!r}")
        return name

    def at(self, i=None):
        """The model at strength i (one_se if left out), a copy with its penalties attached."""
        i = self._chosen(i)
        model = copy.deepcopy(self._task.model)
        model.load_state_dict(self._states[i])
        for name, p in model.named_parameters():
            if name in self._task.rule:
                p.penalty = scaled(self._task.rule[name], self.lambdas[i], p)
        return model

    def refit(self, i=None, data=None):
        """The model at strength i (one_se if left out), trained on without the penalties that vary.

        Zeros stay zero. What the penalties shrank comes back, as in the relaxed lasso.
        """
        i, (X, y) = self._chosen(i), data or self._data
        rule = {}
        for name, parts in self._task.rule.items():
            w = self.weights[name][i]
            rule[name] = [*(part for part in parts if not varies(part, w)), Support(w != 0)]
        trainer = Trainer(self._task._replace(rule=rule), X, y)
        trainer.load(self._states[i])
        trainer.tolerance = self._tolerance
        trainer.train(1.0)
        return trainer.model

    def _chosen(self, i):
        if i is None and self.one_se is None:
            raise ValueError(
                "path: without validation nothing is chosen; give the index of a strength"
            )
        return self.one_se if i is None else i

    def __str__(self):
        columns = [("lam", [f"{lam:.4g}" for lam in self.lambdas])]
        for name, support in self.support.items():
            counts = support.sum(axis=1)
            columns.append((name, [f"{c} of {support.shape[1]}" for c in counts]))
        columns.append(("loss", [f"{v:.4g}" for v in self.loss]))
        if self.val_loss is not None:
            pairs = zip(self.val_loss, self.val_error, strict=True)
            columns.append(("validation", [f"{v:.4g} +- {e:.2g}" for v, e in pairs]))
            marks = {self.best: "best", self.one_se: "1-SE"}
            if self.best == self.one_se:
                marks[self.best] = "best, 1-SE"
            columns.append(("", [marks.get(i, "") for i in range(len(self))]))
        widths = [max(len(head), *map(len, cells)) for head, cells in columns]
        rows = [[head for head, _ in columns], *zip(*(c for _, c in columns), strict=True)]
        lines = ("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def figure(self, path=None, name=None):
        """Weights, how many are in use, and the validation loss over the strengths."""
        name = self._name(name or next(iter(self.support)))
        with page(path, 1, 3, title=f"path of {name}") as (figure, axes):
            weights, support, scores = axes[0]
            self._draw_weights(weights, name)
            for label, alive in self.support.items():
                support.step(self.lambdas, alive.sum(axis=1), where="mid", label=label)
            support.set_title("not zero")
            support.set_yscale("symlog", linthresh=1)
            support.yaxis.set_major_formatter("{x:g}")
            support.legend()
            scores.plot(self.lambdas, self.loss, color=TRAIN, label="training")
            scores.set_title("loss")
            if self.val_loss is not None:
                low, high = self.val_loss - self.val_error, self.val_loss + self.val_error
                scores.plot(self.lambdas, self.val_loss, color=VALIDATION, label="validation")
                scores.fill_between(self.lambdas, low, high, color=VALIDATION, alpha=0.2, lw=0)
            for axis in axes[0]:
                axis.set_xscale("log")
                axis.set_xlabel("strength")
                for i, style, label in ((self.best, ":", "best"), (self.one_se, "--", "1-SE")):
                    if i is not None:
                        axis.axvline(self.lambdas[i], color=MARK, lw=0.8, ls=style, label=label)
            scores.legend()
        return figure

    def _draw_weights(self, axis, name):
        """Each group's norm over the strengths; each weight, for a penalty without groups."""
        norms = [norms_of(w, self._task.rule[name]) for w in self.weights[name]]
        grouped = norms[0] is not None
        lines = np.stack(norms) if grouped else self.weights[name].reshape(len(self), -1)
        axis.set_title("norm of each group" if grouped else "weights")
        for k in np.argsort(-np.abs(lines).max(axis=0))[:DRAWN]:
            axis.plot(self.lambdas, lines[:, k], lw=0.8, alpha=0.8)
