"""Mistakes that train without an error.

What a norm makes of a layer is found out by trying: in float64, with eps all but gone and dropout
off, a layer's numbers are doubled, and its bias is moved, and the outputs are compared.
"""

import copy
from typing import NamedTuple

import numpy as np

from .. import optim
from ..grad_mode import is_grad_enabled, no_grad
from ..penalties.combine import as_list
from ..penalties.separable import WeightDecay
from ..tensor import Tensor
from ..training.data import dtype_of, inputs
from .compact import made_up_rows
from .effective import shrinking
from .kinds import BATCH_NORMS, is_noise

ROWS = 32  # to try a model on
EPS = 1e-14  # of a norm; enough to keep a constant from being divided by 0
SAME = 1e-6  # outputs that differ by less, beside what the layer contributes, are the same


class Finding(NamedTuple):
    """One mistake: which check found it, where, what is wrong and what to do."""

    check: str
    where: str
    message: str

    def __str__(self):
        return f"{self.check}: {self.where}: {self.message}"


class Findings(list[Finding]):
    """A list of Finding; prints a line for each."""

    def __str__(self):
        return "\n".join(map(str, self)) or "nothing found"


def lint(model, optimizer=None, data=None, *, batch_size=None):
    """Look for mistakes that train without an error.

    batch of one    a last batch of one row, of which batch norm knows no variance
    scale           a penalty or decay on weights whose scale a norm takes out again
    bias            a bias that batch norm subtracts again
    coupled decay   weight_decay of an adaptive optimizer that adds it to the gradient
    biases          a penalty or decay on biases and norm parameters
    twice           a parameter decayed by the optimizer and by what is attached
    mode            predicting in training mode, or training in evaluation mode
    not trained     a penalty on a parameter that the optimizer does not have

    Parameters
    ----------
    model : Module
    optimizer : Optimizer, optional
        Without one, and under no_grad, the model is taken to predict.
    data : X or (X, y), optional
        Rows for the checks of scale and bias. Made up if the model starts with a Linear; other
        models are not checked for these without data.
    batch_size : int, optional
        With `data`, tells whether a batch of one row is left over.

    Returns
    -------
    list of Finding, empty if all is well; print it.
    """
    found = Findings()
    named = dict(model.named_parameters())
    decays = _decays(optimizer)
    rows = data[0] if isinstance(data, (tuple, list)) else data
    if rows is not None:
        rows = inputs(rows, dtype_of(model), "lint: data")
        found += _batch_of_one(model, len(rows), batch_size)
    example = made_up_rows(model, ROWS) if rows is None else rows[:ROWS]
    if example is not None and len(example) > 1:
        found += _scale_and_bias(model, example, decays)
    found += _coupled(optimizer) + _biases(named, decays) + _twice(named, decays)
    found += _mode(model, optimizer) + _not_trained(named, decays, optimizer)
    return found


def _decays(optimizer):
    """weight_decay by the id of a parameter, of those that the optimizer has."""
    groups = [] if optimizer is None else optimizer.param_groups
    return {id(p): group["weight_decay"] for group in groups for p in group["params"]}


def _batch_of_one(model, n, batch_size):
    norms = [name for name, m in model.named_modules() if isinstance(m, BATCH_NORMS)]
    if not norms or not batch_size or (n % batch_size != 1 and batch_size != 1):
        return []
    message = (
        f"{n} rows in batches of {batch_size} leave a batch of one row, which has no variance; "
        "train with fit, which joins it to the one before, or drop it"
    )
    return [Finding("batch of one", norms[0], message)]


def _coupled(optimizer):
    adaptive = (optim.Adam, optim.RMSprop, optim.Adagrad)
    if not isinstance(optimizer, adaptive) or isinstance(optimizer, optim.AdamW):
        return []
    decay = max(group["weight_decay"] for group in optimizer.param_groups)
    if not decay:
        return []
    message = (
        f"weight_decay={decay:g} is added to the gradient and then divided by its root mean "
        "square, so weights with large gradients are hardly decayed; use AdamW, attach "
        "WeightDecay, or attach L2 for the exact penalty"
    )
    return [Finding("coupled decay", type(optimizer).__name__, message)]


def _pulls(parameter, decays):
    """What pulls at a parameter, in words."""
    decay = decays.get(id(parameter), 0)
    decay = [f"weight_decay={decay:g}"] if decay else []
    return " and ".join([type(p).__name__ for p in shrinking(parameter)] + decay)


def _biases(named, decays):
    small = [name for name, p in named.items() if p.ndim < 2 and _pulls(p, decays)]
    if not small:
        return []
    what = _pulls(named[small[0]], decays)
    message = (
        f"{what} on {len(small)} biases and norm parameters; they do not overfit, and pulling them "
        "to zero moves the outputs: attach penalties by mr.attach, which passes over them, with "
        "weight_decay=0"
    )
    return [Finding("biases", ", ".join(small[:3]) + ", ..." * (len(small) > 3), message)]


def _twice(named, decays):
    message = (
        "decayed by the optimizer's weight_decay and by the WeightDecay attached; set one to 0"
    )
    return [
        Finding("twice", name, message)
        for name, p in named.items()
        if decays.get(id(p)) and any(isinstance(a, WeightDecay) for a in shrinking(p))
    ]


def _mode(model, optimizer):
    depends = [
        (name, m) for name, m in model.named_modules() if is_noise(m) or isinstance(m, BATCH_NORMS)
    ]
    predicts = optimizer is None or not is_grad_enabled()
    wrong = [(name, m) for name, m in depends if m.training is predicts]
    if not wrong:
        return []
    name, kind = wrong[0][0], type(wrong[0][1]).__name__
    message = (
        f"{kind} is in training mode: outputs depend on chance or on the batch; call model.eval()"
        if predicts
        else f"{kind} is in evaluation mode while training; call model.train()"
    )
    return [Finding("mode", name, message)]


def _not_trained(named, decays, optimizer):
    message = "a penalty is attached, but the optimizer does not have this parameter"
    return [
        Finding("not trained", name, message)
        for name, p in named.items()
        if optimizer is not None and as_list(p.penalty) and id(p) not in decays
    ]


def _scale_and_bias(model, example, decays):
    """Double each layer's numbers, move its bias: see whether the outputs notice."""
    found, rng = [], np.random.default_rng(0)
    probe = _Probe(model, example)
    pairs = zip(model.named_modules(), probe.model.modules(), strict=True)
    for (name, layer), twin in pairs:
        weight, bias = (layer._parameters.get(k) for k in ("weight", "bias"))
        if weight is None or weight.ndim < 2:
            continue
        noticed = SAME * probe.change([twin.weight], lambda w: 0 * w)
        numbers = [p for p in twin._parameters.values() if p is not None]
        name = f"{name}." if name else ""
        pulls = _pulls(weight, decays)
        if pulls and probe.change(numbers, lambda w: 2 * w) < noticed:
            message = (
                f"{pulls} on weights whose scale a norm behind them takes out again: it acts as a "
                "learning rate, not as a penalty; penalise the norm's weight, or use a constraint"
            )
            found.append(Finding("scale", f"{name}weight", message))
        if bias is None:
            continue
        if probe.change([twin.bias], lambda b: b + rng.normal(size=b.shape)) < noticed:
            message = "the norm behind it subtracts it again; give the layer bias=False"
            found.append(Finding("bias", f"{name}bias", message))
    return found


class _Probe:
    """A copy of a model in float64, training, without dropout, whose norms have next to no eps."""

    def __init__(self, model, example):
        self.model = copy.deepcopy(model).double().train()
        for module in self.model.modules():
            if is_noise(module):
                module.eval()
            if hasattr(module, "eps"):
                module.eps = EPS
        self.X = Tensor(example.astype(np.float64) if example.dtype.kind == "f" else example)
        self.outputs = self._run()

    def _run(self):
        with no_grad():
            return self.model(self.X).data

    def change(self, parameters, by):
        """How far the outputs move when parameters do; they move back afterwards."""
        before = [p.data for p in parameters]
        for p in parameters:
            p.data = by(p.data)
        moved = np.abs(self._run() - self.outputs).max()
        for p, data in zip(parameters, before, strict=True):
            p.data = data
        return moved
