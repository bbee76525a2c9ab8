"""From words to a network and to penalties: what estimators and comparisons have in common."""

from functools import partial

import numpy as np

from .. import nn
from ..dtypes import get_default_dtype, set_default_dtype
from ..penalties import L1, L2, MCP, SCAD, ElasticNet, GroupLasso, Penalty, WeightDecay

ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "identity": nn.Identity,
}
NORMS = {None: None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
PENALTIES = {
    "l1": L1,
    "l2": L2,
    "elastic_net": partial(ElasticNet, l1_ratio=0.5),
    "mcp": partial(MCP, gamma=3.0),
    "scad": partial(SCAD, gamma=3.7),
    "weight_decay": WeightDecay,
}


def chosen(table, word, who, name):
    """What a word stands for, or what was given in its place."""
    if callable(word):
        return word
    try:
        return table[word]
    except (KeyError, TypeError):
        words = ", ".join(sorted(map(repr, table)))
        raise ValueError(f"{who}({name}={word!r}): expected one of {words} or a callable") from None


def network(who, hidden, activation, norm, dropout, inputs, outputs, dtype):
    """Linear layers with what goes between them; or whatever hidden(inputs, outputs) makes."""
    before = get_default_dtype()
    set_default_dtype(dtype)
    try:
        if callable(hidden):
            return hidden(inputs, outputs)
        act = chosen(ACTIVATIONS, activation, who, "activation")
        norm = chosen(NORMS, norm, who, "norm")
        layers, width = [], inputs
        for size in _sizes(who, hidden):
            layers += [nn.Linear(width, size), *([norm(size)] if norm else []), act()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        return nn.Sequential(*layers, nn.Linear(width, outputs))
    finally:
        set_default_dtype(before)


def _sizes(who, hidden):
    sizes = (hidden,) if isinstance(hidden, (int, np.integer)) else tuple(hidden)
    if any(not isinstance(s, (int, np.integer)) or s < 1 for s in sizes):
        raise ValueError(
            f"{who}(hidden={hidden!r}): expected widths of layers, positive integers, or a "
            "callable (inputs, outputs) -> Module"
        )
    return [int(s) for s in sizes]


def penalised(who, model, penalty, lam, ridge=None):
    """The rule that a word stands for, as `attach` takes it.

    "group_lasso" puts groups on the inputs of the first weight, and L2 (of strength `ridge`, or
    lam) on the others, which could otherwise grow in place of what it shrinks.
    """
    if isinstance(penalty, (Penalty, dict, list, tuple)):
        return penalty
    first, *others = weights(model)
    if penalty == "group_lasso":
        rest = L2(lam if ridge is None else ridge)
        return {first: GroupLasso(lam, groups="in"), **dict.fromkeys(others, rest)}
    if isinstance(penalty, str) and penalty in PENALTIES:
        return PENALTIES[penalty](lam)
    words = ", ".join(map(repr, sorted([*PENALTIES, "group_lasso"])))
    raise ValueError(
        f"{who}(penalty={penalty!r}): expected None, {words}, a penalty, or a rule for attach"
    )


def weights(model):
    """The names of the parameters with two axes or more."""
    return [name for name, p in model.named_parameters() if p.ndim >= 2]
