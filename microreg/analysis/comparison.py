"""What `compare` returns: a table, a figure and a page."""

import numpy as np

from . import html
from .figures import MARK, TRAIN, VALIDATION, close, page

COLUMNS = "loss", "accuracy", "train", "zeros", "inputs", "seconds"


class Comparison:
    """Regularizers side by side; print it for the table, best first.

    Attributes
    ----------
    rows : list of dict, the least held-out loss first
        name, strength (None if it has none), and the means over the folds: loss and accuracy on
        rows held out, train (the loss on training rows), zeros (share of weights), inputs (in
        use), seconds; error is the standard error of loss, losses and curves are by fold.
    best : str
        The name in the first row.
    """

    def __init__(self, results, n, d, classes, options):
        self.n, self.d, self.classes, self.options = n, d, classes, options
        self.rows = sorted(
            (_best(name, tried) for name, tried in results.items()), key=lambda row: row["loss"]
        )
        self.best = self.rows[0]["name"]

    def cells(self):
        """The table as texts, the head first."""
        head = ["regularizer", "strength", "held-out loss", "+-", "accuracy %", "training loss",
                "zeros %", "inputs", "s"]  # fmt: skip
        rows = [head]
        for row in self.rows:
            rows.append([
                row["name"],
                "" if row["strength"] is None else f"{row['strength']:g}",
                f"{row['loss']:.4f}",
                f"{row['error']:.4f}",
                f"{100 * row['accuracy']:.1f}",
                f"{row['train']:.4f}",
                f"{100 * row['zeros']:.1f}",
                f"{row['inputs']:.1f}",
                f"{row['seconds']:.2f}",
            ])  # fmt: skip
        at = head.index("accuracy %")
        return rows if self.classes else [row[:at] + row[at + 1 :] for row in rows]

    def words(self):
        """What the numbers say, in sentences."""
        best, plain = self.rows[0], next((r for r in self.rows if r["name"] == "none"), None)
        what = "mean cross-entropy" if self.classes else "mean squared error of the scaled target"
        yield f"{self.n} rows, {self.d} inputs; the loss is the {what}, on rows held out"
        if plain is None or plain is best:
            yield f"{best['name']} does best"
            return
        gained, error = _mean(np.subtract(plain["losses"], best["losses"]))
        sure = "more than" if gained > 2 * error else "within"
        yield (
            f"{best['name']} does best: {gained:.3g} below no regularization, {sure} two standard "
            "errors of the difference on the same folds"
        )

    def __str__(self):
        rows = self.cells()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                c.rjust(w) if i else c.ljust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([*(line.rstrip() for line in lines), "", *self.words()])

    def figure(self, path=None):
        """Held-out losses with their standard errors, zeros, and the curves of each regularizer."""
        width = 4
        height = -(-len(self.rows) // width)
        with page(path, 1 + height, width, title="Regularizers by cross-validation") as drawn:
            figure, axes = drawn
            names = [row["name"] for row in self.rows]
            grid = axes[0, 0].get_gridspec()
            for axis in axes[0]:
                axis.remove()
            left, right = figure.add_subplot(grid[0, :2]), figure.add_subplot(grid[0, 2:])
            losses, errors = ([row[k] for row in self.rows] for k in ("loss", "error"))
            left.errorbar(losses, names, xerr=errors, fmt="o", color=VALIDATION, capsize=2)
            left.plot([row["train"] for row in self.rows], names, "|", color=TRAIN, ms=10)
            left.set(title="loss: on rows held out, with standard error; bar: training rows")
            right.barh(names, [100 * row["zeros"] for row in self.rows], height=0.5, color=TRAIN)
            right.set(title="weights that are exactly zero, %", xlim=(0, 100))
            for axis in (left, right):
                axis.invert_yaxis()
            for row, axis in zip(self.rows, axes[1:].flat, strict=False):
                self._curves(axis, row)
            for axis in list(axes[1:].flat)[len(self.rows) :]:
                axis.set_visible(False)
        return figure

    def _curves(self, axis, row):
        for train, held in row["curves"]:
            axis.plot(train, color=TRAIN, lw=0.7, alpha=0.7)
            axis.plot(held, color=VALIDATION, lw=0.7, alpha=0.7)
        best = self.rows[0]["loss"]
        axis.axhline(best, color=MARK, lw=0.6, ls=":")
        lowest = min(min(train) for r in self.rows for train, _ in r["curves"])
        axis.set(title=row["name"], yscale="log", ylim=(max(lowest, best / 100), 10 * best))
        axis.set_xlabel("epoch")

    def save(self, path):
        """Write it as one HTML page that needs no other file."""
        figure = self.figure()
        drawn = html.svg(figure, "losses, zeros and learning curves of each regularizer")
        close(figure)
        options = [f"{name} = {value}" for name, value in self.options.items()]
        html.write(
            path,
            "Regularizers compared",
            html.lines(self.words()),
            html.table(self.cells()),
            drawn,
            html.heading("How"),
            html.lines([
                f"Adam; {', '.join(options)}",
                "the same folds and initial weights for all; inputs standardised in every fold",
                "of several strengths the one with the least held-out loss is shown",
            ]),
        )  # fmt: skip


def _best(name, tried):
    """The row of the strength with the least mean loss."""
    rows = []
    for strength, folds in tried.items():
        row = {key: float(np.mean([fold[key] for fold in folds])) for key in COLUMNS}
        row |= {"name": name, "strength": strength, "curves": [fold["curves"] for fold in folds]}
        row["losses"] = [fold["loss"] for fold in folds]
        row["error"] = _mean(row["losses"])[1]
        rows.append(row)
    return min(rows, key=lambda row: row["loss"])


def _mean(values):
    """The mean over the folds and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
