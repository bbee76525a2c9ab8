"""What a training run came to, in words and in a figure."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import functional as F
from ..penalties.combine import as_list
from . import html
from .compact import smaller
from .effective import effective_parameters
from .figures import MARK, TRAIN, close, page
from .plots import draw_curves, draw_lines, draw_unit

GIVEN = "what activations are given, since the first epoch"
NOTICEABLE = 0.02  # a validation loss this much above the best, relatively, has risen


def report(history, path=None, *, data=None, loss=F.cross_entropy):
    """What a training run came to: the gap, the best epoch, what the weights look like now.

    Parameters
    ----------
    history : History
        What `fit` returned. Its model is looked at as it is now.
    path : str or Path, optional
        Write it as one self-contained page: "report.html".
    data : (X, y), optional
        The rows it was trained on, for the effective parameters.
    loss : callable, default cross_entropy
        The loss it was trained with; used with `data`.

    Returns
    -------
    Report: print it; `figure(path)` draws it, `save(path)` writes the page. With a `Watch` among
    the callbacks of `fit` it tells what norms and activations did over the epochs.
    """
    if not len(history):
        raise ValueError("report: expected a history of one epoch at least, got none")
    small, compaction = smaller(history.model)
    used = sum(np.count_nonzero(p.data) for p in small.parameters())
    sizes = {name: (before, after) for name, _, before, after in compaction.layers}
    layers = [
        Layer(name, p, sizes.get(name.rpartition(".")[0]))
        for name, p in history.model.named_parameters()
        if p.ndim >= 2
    ]
    effective = None if data is None else effective_parameters(history.model, data, loss)
    made = Report(history, compaction.parameters[0], used, effective, layers)
    if path is not None:
        made.save(path)
    return made


class Layer:
    """A weight, its penalties, zeros and norm, and how many of its units and inputs are in use."""

    def __init__(self, name, parameter, sizes):
        self.name, self.shape = name, parameter.shape
        self.penalties = " + ".join(type(p).__name__ for p in as_list(parameter.penalty))
        self.zeros = float(np.mean(parameter.data == 0))
        self.norm = float(np.linalg.norm(parameter.data))
        self.sizes = sizes

    @property
    def row(self):
        used = "" if self.sizes is None else " -> ".join(map(str, self.sizes[1]))
        shape = " x ".join(map(str, self.shape))
        return (
            self.name,
            shape,
            self.penalties,
            f"{100 * self.zeros:.1f}",
            f"{self.norm:.3g}",
            used,
        )


@dataclass
class Report:
    """Print it; `figure(path)` draws it; `save(path)` writes one HTML page."""

    history: object
    parameters: int  # of the model
    used: int  # nonzero, and not cut off by zeros elsewhere
    effective: float | None  # degrees of freedom
    layers: list[Layer] = field(repr=False)

    def __str__(self):
        activations = self._activations()
        lead = [f"\n{GIVEN}:"] * bool(activations)
        return "\n".join([*self._words(), "", *_aligned(self._rows()), *lead, *activations])

    def _words(self):
        parts = [*self._loss(), *self._gap(), self._penalty(), self._used()]
        return [part for part in parts if part]

    def _loss(self):
        history, last = self.history, len(self.history) - 1
        yield f"{last + 1} epochs" + (f"; stopped: {history.stopped}" if history.stopped else "")
        if "val_loss" not in history:
            yield "no validation rows: nothing tells how far it overfits"
            return
        values, best = history["val_loss"], history.best_epoch
        said = f"best epoch {best} (from 0): val_loss {values[best]:.4g}"
        if best == last:
            yield said + ", the last; it may fall further: train longer"
        elif values[last] - values[best] > NOTICEABLE * abs(values[best]):
            yield said + f", {values[last]:.4g} at the end: overfits; stop earlier or penalise more"
        else:
            yield said + f", {values[last]:.4g} at the end: levelled off"

    def _gap(self):
        for name, scale, unit in (("loss", 1, ""), ("accuracy", 100, " %")):
            if f"val_{name}" in self.history:
                a, b = (scale * self.history[k][-1] for k in (name, f"val_{name}"))
                yield (
                    f"{name}: {a:.4g}{unit} as trained, {b:.4g}{unit} on validation rows, "
                    f"gap {abs(b - a):.3g}"
                )

    def _penalty(self):
        penalty, loss = self.history["penalty"][-1], self.history["loss"][-1]
        if not penalty:
            return None
        share = 100 * penalty / (penalty + loss)
        return f"penalty: {penalty:.4g} beside the loss, {share:.0f} % of the objective"

    def _used(self):
        said = f"parameters: {self.used:,} of {self.parameters:,} in use"
        return said if self.effective is None else f"{said}, {self.effective:.1f} effective"

    def _rows(self):
        head = ("weight", "shape", "penalty", "zeros %", "norm", "in use")
        return [head, *(layer.row for layer in self.layers)]

    def _activations(self):
        watch, said = self.history.watch, []
        for name in watch.activations if watch else ():
            moved, grown = watch.shift(name)
            said.append(
                f"{watch.said(name)}: medians move by {moved:.2g} spreads an epoch, "
                f"spread {grown:.2g} times"
            )
        return said

    def save(self, path):
        """Write it as one HTML page that needs no other file."""
        if Path(path).suffix not in (".html", ".htm"):
            raise ValueError(f"report: expected a path that ends in .html, got {str(path)!r}")
        history, figure = self.history, self.figure()
        drawn = html.svg(figure, "losses, zeros, norms and activations over the epochs")
        close(figure)
        epochs = [("epoch", *history.columns)]
        for i in range(len(history)):
            epochs.append((str(i), *(f"{v[i]:.5g}" for v in history.columns.values())))
        activations = self._activations()
        html.write(
            path,
            f"{type(history.model).__name__}, trained for {len(history)} epochs",
            html.lines(self._words()),
            drawn,
            html.heading("Weights"),
            html.table(self._rows()),
            *([html.heading(GIVEN.capitalize()), html.lines(activations)] if activations else []),
            html.heading("Model"),
            html.code(repr(history.model)),
            html.folded(f"{len(history)} epochs", html.table(epochs)),
        )

    def figure(self, path=None):
        """Losses, zeros, norms and activations over the epochs; returns the matplotlib figure."""
        watch, history = self.history.watch, self.history
        rows = 2 if watch else 1
        title = f"{type(history.model).__name__}: {self._used()}"
        with page(path, rows, 3, title=title) as (figure, axes):
            draw_curves(axes[0, 0], history, "loss")
            if "accuracy" in history:
                draw_curves(axes[0, 1], history, "accuracy")
            else:
                axes[0, 1].plot(history["penalty"], color=MARK)
                axes[0, 1].set_title("penalty")
            self._zeros(axes[0, 2])
            if watch:
                draw_lines(axes[1, 0], watch.norms, "norm of each weight")
                watched = list(watch.activations)
                for axis, name in zip(axes[1, 1:], watched[-2:], strict=False):
                    draw_unit(axis, watch, name)
                for axis in axes[1, 1 + len(watched) :]:
                    axis.set_visible(False)
            for axis in axes.flat:
                axis.set_xlabel(axis.get_xlabel() or "epoch")
        return figure

    def _zeros(self, axis):
        """Zeros by layer; over the epochs if they were watched."""
        title = "exact zeros, % of each weight"
        if self.history.watch:
            shares = self.history.watch.zeros
            draw_lines(axis, {k: 100 * np.array(v) for k, v in shares.items()}, title)
            return
        names = [layer.name for layer in self.layers]
        axis.barh(names, [100 * layer.zeros for layer in self.layers], height=0.5, color=TRAIN)
        axis.set(title=title, xlim=(0, 100), xlabel="%")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)


def _aligned(rows):
    """Rows as lines, with columns of the same width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(w) if i in (3, 4) else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
