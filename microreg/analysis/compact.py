"""The smaller dense network that a network with zeros amounts to.

Along each chain of layers two passes decide what stays. Forwards: which features are the same for
every input, and of what value (a unit without weights passes on its bias). Backwards: which of the
others are read by something that stays. The rest goes; constants go into the biases behind them.
"""

import copy
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import nn
from ..grad_mode import no_grad
from ..nn.utils.parametrize import is_parametrized
from ..tensor import Tensor
from ..training.data import dtype_of, inputs
from . import cut
from .parts import Select

SECONDS = 0.05  # a network is timed for
TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}


@dataclass
class Compaction:
    """What `compact` did; print it."""

    layers: list[Any] = field(default_factory=list)  # (name, kind, sizes before, sizes after)
    inputs: np.ndarray | None = None  # the inputs that are read, along `axis`
    axis: int | None = None
    select: Select | None = None  # the layer that picks them
    parameters: tuple[int, int] = (0, 0)
    difference: float | None = None  # of the outputs on the example, relative to the largest
    seconds: tuple[float, float] | None = None  # for the example, before and after
    rows: int = 0

    def count(self, *models):
        self.parameters = tuple(sum(p.data.size for p in m.parameters()) for m in models)

    @property
    def speed_up(self):
        """How many times faster the smaller network is on the example."""
        return self.seconds and self.seconds[0] / self.seconds[1]

    def __str__(self):
        if not self.layers:
            return "nothing to follow: expected layers in a Sequential"
        rows = [("layer", "", "before", "after")]
        for name, kind, before, after in self.layers:
            rows.append((name, kind, _arrow(before), _arrow(after)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
        before, after = self.parameters
        lines.append(f"{before:,} parameters -> {after:,}, {before / after:.1f} times fewer")
        if self.seconds is None:
            lines.append("not timed: give example=X, a few rows")
        else:
            a, b = (1e3 * s for s in self.seconds)
            lines.append(
                f"{a:.3g} ms -> {b:.3g} ms for {self.rows} rows, {self.speed_up:.1f} times the "
                f"speed; outputs within {self.difference:.0e}"
            )
        return "\n".join(line.rstrip() for line in lines)


def _arrow(sizes):
    return " -> ".join(map(str, sizes))


def compact(model, example=None, *, drop_inputs=False):
    """Remove what exact zeros have cut off: dead units, channels and inputs.

    In evaluation mode the smaller network has the outputs of `model`, which stays as it is. Chains
    of layers in a Sequential are made smaller: Linear, Conv2d, BatchNorm, LayerNorm, pooling,
    Flatten, Dropout and activations; weights that are computed from others (weight_norm) become
    plain. Layers of any other kind keep their inputs and outputs, and a
    module with a forward of its own has the Sequentials in it made smaller, each by itself.

    Parameters
    ----------
    model : Module
    example : array, optional
        Rows on which outputs are compared and both networks timed. Made up if the model is a
        Sequential that starts with a Linear.
    drop_inputs : bool, default False
        False: the result takes the same rows as `model` and picks the inputs it reads. True: it
        takes those inputs alone, X[:, result.compaction.inputs].

    Returns
    -------
    Module, with what was done in `result.compaction`: print it. No penalties are attached to it.

    Raises
    ------
    ValueError
        If the outputs differ on the example: a module uses its layers in another way than in order.
    """
    small, report = smaller(model)
    if drop_inputs:
        if report.inputs is None:
            raise ValueError(
                "compact(drop_inputs=True): expected a Sequential whose first layers take features "
                f"along one axis, got {type(model).__name__}; leave the inputs as they are"
            )
        small = nn.Sequential(*(m for m in small if m is not report.select))
        report.count(model, small)
    example = (
        made_up_rows(model) if example is None else inputs(example, dtype_of(model), "compact")
    )
    if example is not None:
        _measure(model, small, example, drop_inputs, report)
    small.train(model.training)
    small.compaction = report
    return small


def smaller(model):
    """The smaller network, and the Compaction that says what went; nothing is measured."""
    report = Compaction()
    small = _smaller(model, "", _shared(model), {}, report)
    for parameter in small.parameters():
        parameter.penalty = None
    report.count(model, small)
    return small, report


def _smaller(module, prefix, shared, memo, report):
    """A smaller copy of a module. `memo` makes one copy of what stands in several places."""
    if id(module) in shared or is_parametrized(module):
        return copy.deepcopy(module, memo)
    if is_chain(module):
        return _smaller_chain(module, prefix, shared, memo, report)
    made = copy.deepcopy(module, memo)
    for name, child in module.named_children():
        setattr(made, name, _smaller(child, f"{prefix}{name}.", shared, memo, report))
    return made


def _smaller_chain(module, prefix, shared, memo, report):
    """A smaller copy of a Sequential, as one Sequential."""
    names, layers = zip(*leaves(module, prefix), strict=True) if len(module) else ((), ())
    rules = [None if id(layer) in shared else cut.rule(layer) for layer in layers]
    made = []
    for start, stop in _runs(rules):
        run = rules[start:stop]
        if not any(r and r.features for r in run):
            pairs = zip(names[start:stop], layers[start:stop], strict=True)
            made += [_smaller(m, f"{name}.", shared, memo, report) for name, m in pairs]
            continue
        constants, keep = _follow(run)
        axis = next((r.axis for r in run if r.axis), 1)
        select = None if keep[0].all() else Select(np.flatnonzero(keep[0]), axis)
        made += [select] * (select is not None)
        if start == 0 and not prefix:
            report.inputs, report.select, report.axis = np.flatnonzero(keep[0]), select, axis
        for i, r in enumerate(run):
            made.append(r.cut(constants[i], keep[i], keep[i + 1]))
            if r.features:
                ends = slice(i, i + 2)
                before, after = map(len, constants[ends]), (int(k.sum()) for k in keep[ends])
                kind = type(r.layer).__name__
                report.layers.append((names[start + i], kind, tuple(before), tuple(after)))
    return nn.Sequential(*made)


def _runs(rules):
    """(start, stop) of runs of layers through which the same features can be followed."""
    start, d, axis = 0, None, None
    for i, rule in enumerate(rules):
        if isinstance(rule, cut.Flatten):
            behind = next((r and r.features for r in rules[i + 1 :] if not r or r.features), None)
            if d and behind and (behind == d or (behind % d == 0 and axis == 1)):
                rule.ratio = behind // d
            else:
                rules[i] = rule = None
        fits = rule and rule.features in (None, d or rule.features)
        if not fits or (axis and rule.axis and axis != rule.axis):
            yield from [(start, i)] * (i > start)
            start, d, axis = i, None, None
        if rule is None:
            yield i, i + 1
            start = i + 1
            continue
        d = rule.out(d or rule.features) if d or rule.features else None
        axis = None if isinstance(rule, cut.Flatten) else rule.axis_out or axis
    yield from [(start, len(rules))] * (len(rules) > start)


def _follow(rules):
    """At each boundary of a run: the constants, and which features stay."""
    constants = [np.full(next(r.features for r in rules if r.features), np.nan)]
    for rule in rules:
        constants.append(rule.constants(constants[-1]))
    keep = [np.ones(len(constants[-1]), bool)]
    for rule, c in zip(reversed(rules), reversed(constants[:-1]), strict=True):
        needed = rule.needs(c, keep[0])
        if not needed.any():
            needed[0] = True  # a layer has one feature at least
        keep.insert(0, needed)
    for i, rule in enumerate(rules):
        made = rule.makes(keep[i])
        keep[i + 1] = keep[i + 1] if made is None else made
    return constants, keep


def made_up_rows(model, rows=256):
    """Standard normal rows for a model that starts with a Linear; None if it does not say so."""
    first = next(leaves(model), ("", None))[1] if is_chain(model) else model
    if not isinstance(first, nn.Linear):
        return None
    return np.random.default_rng(0).normal(size=(rows, first.in_features)).astype(dtype_of(model))


def is_chain(module):
    """Whether a module applies its children one after the other."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def leaves(model, prefix=""):
    """(name, layer) of what a Sequential applies in order, through Sequentials inside it."""
    for name, child in model.named_children():
        name = f"{prefix}{name}"
        if is_chain(child):
            yield from leaves(child, name + ".")
        else:
            yield name, child


def _shared(model):
    """The ids of modules that stand in two places, or have a parameter of another."""
    places = Counter(id(m) for _, m in model.named_modules(remove_duplicate=False))
    owners = Counter(id(p) for m in model.modules() for p in m._parameters.values())
    return {
        id(m)
        for m in model.modules()
        if places[id(m)] > 1
        or any(owners[id(p)] > 1 for p in m._parameters.values() if p is not None)
    }


def _measure(model, small, example, drop_inputs, report):
    """Compare the outputs on the example, and time both networks."""
    fewer = example
    if drop_inputs:
        fewer = np.ascontiguousarray(example.take(report.inputs, report.axis))
    want, before = _timed(model, example)
    got, after = _timed(small, fewer)
    report.rows, report.seconds = len(example), (before, after)
    scale = max(np.abs(want).max(initial=0), np.finfo(want.dtype).tiny)
    report.difference = float(np.abs(got - want).max(initial=0) / scale)
    if not report.difference <= TOLERANCE[want.dtype] * 10:
        raise ValueError(
            f"compact: outputs differ by {report.difference:.1e} on the example; the model uses "
            "its layers in another way than one after the other"
        )


def _timed(model, X):
    """The outputs in evaluation mode and the least time that they took."""
    mode = model.training
    model.eval()
    try:
        with no_grad():
            X = Tensor(X)
            out, best, now = model(X).data, np.inf, time.perf_counter()
            end = now + SECONDS
            while now < end or best == np.inf:
                start = now
                model(X)
                now = time.perf_counter()
                best = min(best, now - start)
    finally:
        model.train(mode)
    return out, best
