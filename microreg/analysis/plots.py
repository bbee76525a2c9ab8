"""Pictures of a training run and of what it made, each on one page; report puts some together."""

import numpy as np

from .. import functional as F
from ..training import evaluate
from .figures import MARK, TRAIN, VALIDATION, ZERO, page


def learning_curves(history, path=None):
    """Loss, and accuracy where there is one, in training and in validation over the epochs."""
    names = [name for name in ("loss", "accuracy", "penalty") if name in history]
    with page(path, 1, len(names), title="Learning curves") as (figure, axes):
        for axis, name in zip(axes[0], names, strict=True):
            draw_curves(axis, history, name)
            axis.set_xlabel("epoch")
    return figure


def weight_histograms(history, path=None, *, bins=60):
    """How the weights of each layer are spread over the epochs: darker where there are more.

    Needs a `Watch` among the callbacks of `fit`. The white line is their median.
    """
    samples = _watch(history, "weight_histograms").samples
    with page(path, 1, len(samples), title="Weights over the epochs") as (figure, axes):
        for axis, (name, taken) in zip(axes[0], samples.items(), strict=True):
            taken = np.stack(taken)
            limit = np.quantile(np.abs(taken), 0.999) or 1.0
            edges = np.linspace(-limit, limit, bins + 1)
            counts = np.stack([np.histogram(row, edges)[0] for row in taken])
            shown = np.log1p(counts).T
            times = np.arange(len(taken) + 1) - 0.5
            axis.pcolormesh(times, edges, shown, cmap="Blues", rasterized=True)
            axis.plot(np.median(taken, axis=1), color="white", lw=1)
            axis.set(title=name, xlabel="epoch")
            axis.grid(visible=False)
    return figure


def sparsity_map(model, path=None):
    """Every weight matrix, a row for each unit; grey where a weight is exactly zero."""
    weights = [(name, p.data) for name, p in model.named_parameters() if p.ndim >= 2]
    if not weights:
        raise ValueError("sparsity_map: expected a model with weights of two axes or more")
    with page(path, 1, len(weights), title="Weights; grey: exactly zero") as (figure, axes):
        for axis, (name, weight) in zip(axes[0], weights, strict=True):
            draw_weight(axis, weight)
            axis.set_title(f"{name}: {np.mean(weight == 0):.0%} zeros")
    return figure


def loss_landscape(
    model, data, path=None, *, loss=F.cross_entropy, directions=None, span=1.0, steps=21, rng=0
):
    """The mean loss on a plane through the trained parameters.

    loss(w + a d1 + b d2), -span <= a, b <= span

    Parameters
    ----------
    model : Module
        Looked at in evaluation mode and given back as it is.
    data : (X, y)
    directions : pair of lists of arrays, optional
        d1 and d2, an array for each parameter. Left out: normal random numbers, scaled so that each
        unit's direction has the norm of its weights, and zero for parameters with one axis.
    rng : seed or numpy Generator, default 0
        For the directions.

    References
    ----------
    Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018.
    """
    at = np.linspace(-span, span, steps)
    values = landscape(model, data, at, loss, directions, rng)
    with page(path, size=(5.2, 4.2), title="Loss on a plane") as (figure, axes):
        axis = axes[0, 0]
        positive = values.min() > 0
        drawn = axis.contourf(at, at, np.log10(values) if positive else values, 25)
        figure.colorbar(drawn, label="log10 of the loss" if positive else "loss")
        axis.plot(0, 0, "o", color="white", ms=4)
        axis.set(xlabel="first direction", ylabel="second direction", aspect="equal")
        axis.grid(visible=False)
    return figure


def landscape(model, data, at, loss=F.cross_entropy, directions=None, rng=0):
    """The losses (len(at), len(at)); rows are steps along the second direction."""
    parameters = list(model.parameters())
    before = [p.data.copy() for p in parameters]
    first, second = directions or _directions(before, np.random.default_rng(rng))
    values = np.empty((len(at), len(at)))
    try:
        for i, b in enumerate(at):
            for j, a in enumerate(at):
                for p, w, d, e in zip(parameters, before, first, second, strict=True):
                    p.data[...] = w + a * d + b * e
                values[i, j] = evaluate(model, data, loss)["loss"]
    finally:
        for p, w in zip(parameters, before, strict=True):
            p.data[...] = w
    return values


def _directions(weights, rng):
    """Two random directions in which every unit moves by the norm of its weights."""

    def unit_norms(w):
        return np.sqrt((w**2).sum(axis=tuple(range(1, w.ndim)), keepdims=True))

    def direction(w):
        if w.ndim < 2:
            return np.zeros_like(w)
        d = rng.normal(size=w.shape)
        return (d / unit_norms(d) * unit_norms(w)).astype(w.dtype)

    return [[direction(w) for w in weights] for _ in range(2)]


def activations(history, path=None):
    """What a typical unit of each activation layer is given over the epochs: 15, 50 and 85 %.

    Needs a `Watch` among the callbacks of `fit`. The picture of the covariate shift.
    """
    watch = _watch(history, "activations")
    names = list(watch.activations)
    if not names:
        raise ValueError("activations: expected a model with activation layers, got none")
    with page(path, 1, len(names), title="What activations are given") as (figure, axes):
        for axis, name in zip(axes[0], names, strict=True):
            draw_unit(axis, watch, name)
            axis.set_xlabel("epoch")
    return figure


def _watch(history, who):
    if history.watch is None:
        raise ValueError(f"{who}: nothing was recorded; give fit callbacks=[mr.Watch(X[:500])]")
    return history.watch


# parts of a page


def draw_lines(axis, columns, title):
    """A labelled line for each name."""
    for name, values in columns.items():
        axis.plot(values, label=name)
    axis.set_title(title)
    axis.legend()


def draw_curves(axis, history, name):
    """A column of the history in training and in validation, and the best epoch."""
    axis.plot(history[name], color=TRAIN, label="training")
    if f"val_{name}" in history:
        axis.plot(history[f"val_{name}"], color=VALIDATION, label="validation")
        axis.axvline(history.best_epoch, color=MARK, lw=0.8, ls=":", label="best epoch")
    if name == "loss" and min(history[name]) > 0:
        axis.set_yscale("log")
    axis.set_title(name)
    axis.legend()


def draw_weight(axis, weight):
    """A weight as a picture, units from top to bottom, exact zeros grey."""
    weight = weight.reshape(len(weight), -1)
    limit = np.quantile(np.abs(weight), 0.99) or 1.0
    shown = np.ma.masked_equal(weight, 0)
    axis.imshow(
        shown, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    axis.set_facecolor(ZERO)
    axis.set(xlabel="inputs", ylabel="units")
    axis.grid(visible=False)


def draw_unit(axis, watch, name):
    """The 15th, 50th and 85th percentile of what a typical unit of an activation layer is given.

    Typical is the unit whose median moved as far as half of the units did.
    """
    values = np.stack(watch.activations[name])  # (times, 3, units)
    moved = np.abs(np.diff(values[:, 1], axis=0)).sum(axis=0)
    unit = int(np.argsort(moved)[len(moved) // 2])
    low, middle, high = values[:, :, unit].T
    axis.fill_between(np.arange(len(values)), low, high, color=TRAIN, alpha=0.2, lw=0)
    axis.plot(middle, color=TRAIN)
    axis.set_title(f"what unit {unit} of {watch.said(name)} is given: 15, 50, 85 %")
