"""What weights and activations do while a network is trained."""

import numpy as np

from ..grad_mode import no_grad
from ..tensor import Tensor
from ..training import Callback
from ..training.data import dtype_of, inputs
from .kinds import ACTIVATIONS

PERCENTILES = (15, 50, 85)  # Ioffe, Szegedy, "Batch Normalization", ICML 2015, figure 1
SAMPLE = 2000  # entries of a weight that are recorded at most


class Watch(Callback):
    """Record weights and activations before training and after every epoch, for `report`.

        mr.fit(model, data, callbacks=[watch := mr.Watch(X[:500])])

    Parameters
    ----------
    rows : X
        The rows on which activations are looked at, in evaluation mode.

    Attributes
    ----------
    zeros, norms : dict
        By the name of a weight: the share of exact zeros and the Euclidean norm, one number each
        time.
    samples : dict
        By the name of a weight: some of its entries, the same each time, 2,000 at most.
    activations : dict
        By the name of an activation layer: the 15th, 50th and 85th percentile of what each of its
        units (channels of an image) is given, an array (3, units) each time.
    """

    def __init__(self, rows):
        self.rows = rows

    def on_fit_start(self, run):
        run.history.watch = self
        self._rows = Tensor(inputs(self.rows, dtype_of(run.model), "Watch"))
        self.zeros, self.norms, self.samples, self.activations = {}, {}, {}, {}
        self._kinds = {name: type(m).__name__ for name, m in run.model.named_modules()}
        self._record(run.model)

    def on_epoch_end(self, run):
        self._record(run.model)

    def _record(self, model):
        for name, p in model.named_parameters():
            if p.ndim >= 2:
                self.zeros.setdefault(name, []).append(float(np.mean(p.data == 0)))
                self.norms.setdefault(name, []).append(float(np.linalg.norm(p.data)))
                every = -(-p.data.size // SAMPLE)
                self.samples.setdefault(name, []).append(p.data.reshape(-1)[::every].copy())
        for name, given in layer_inputs(model, self._rows, ACTIVATIONS).items():
            units = np.moveaxis(given, 1, -1) if given.ndim == 4 else given
            units = units.reshape(-1, units.shape[-1])
            found = np.percentile(units, PERCENTILES, axis=0)
            self.activations.setdefault(name, []).append(found)

    def said(self, name):
        """The name of a layer with its kind."""
        return f"{name} ({self._kinds[name]})"

    def shift(self, name):
        """How far the medians of a layer's units moved an epoch, and how much their spread grew.

        Moves are counted in the spread (85th less 15th percentile) before them. Means over the
        units that have a spread, from the end of the first epoch on.
        """
        values = np.stack(self.activations[name][1:])  # (epochs, 3, units)
        spread = values[:, 2] - values[:, 0]
        values, spread = values[..., (spread > 0).all(axis=0)], spread[:, (spread > 0).all(axis=0)]
        if not spread.size:
            return 0.0, 1.0
        moves = np.abs(np.diff(values[:, 1], axis=0)) / spread[:-1]
        return float(moves.mean()) if moves.size else 0.0, float((spread[-1] / spread[0]).mean())


def layer_inputs(model, rows, kinds):
    """What each layer of some kinds is given when the model runs on rows, in evaluation mode."""
    given, layers = {}, [(n, m) for n, m in model.named_modules() if isinstance(m, kinds)]

    def watched(name, forward):
        def run(input, *args, **options):
            given[name] = input.data
            return forward(input, *args, **options)

        return run

    mode = model.training
    model.eval()
    try:
        for name, layer in layers:
            layer.forward = watched(name, layer.forward)
        with no_grad():
            model(rows)
    finally:
        for _, layer in layers:
            layer.__dict__.pop("forward", None)
        model.train(mode)
    return given
