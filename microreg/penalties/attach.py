"""Attaching penalties to parameters by name, and looking at what is attached."""

import fnmatch

from ..ops._op import Op
from .base import Penalty
from .combine import as_list, plan
from .separable import WeightDecay


def attach(model, rules):
    """Put penalties on a model's parameters; `parameter.penalty` holds them afterwards.

    Parameters
    ----------
    model : Module
        Anything with named_parameters().
    rules : Penalty, list of penalties, or dict from pattern to either or None
        One penalty (or list) goes to every weight with two axes or more. In a dict the keys are
        names or shell patterns ("*.weight"); the first that matches a parameter decides, and None
        leaves it without. A pattern passes over biases and the parameters of norms (those with
        fewer than two axes); a full name does not.

    Raises
    ------
    KeyError
        If a rule applies to no parameter. Nothing is attached then.
    """
    named = dict(model.named_parameters())
    if isinstance(rules, (Penalty, list, tuple)):
        chosen = {name: rules for name, p in named.items() if p.ndim >= 2}
        if not chosen:
            raise KeyError(f"attach: no parameter with two axes or more among {sorted(named)}")
    else:
        chosen = _match(named, rules)
    for name, penalty in chosen.items():
        planned = plan(penalty)
        if planned.group is not None:
            planned.group.members(named[name].shape)
    for name, penalty in chosen.items():
        named[name].penalty = penalty
    return model


def _match(named, rules):
    chosen, used = {}, set()
    for name, parameter in named.items():
        for pattern, penalty in rules.items():
            exact = pattern == name
            if exact or (parameter.ndim >= 2 and fnmatch.fnmatchcase(name, pattern)):
                chosen[name] = penalty
                used.add(pattern)
                break
    dead = [pattern for pattern in rules if pattern not in used]
    if dead:
        raise KeyError(
            f"attach: {dead} applies to no parameter; names are {sorted(named)} (patterns pass "
            "over biases and norm parameters, earlier rules go first)"
        )
    return chosen


def table(model):
    """A table of who is penalised by what: parameter, penalty, strength, shape."""
    rows = [("parameter", "penalty", "strength", "shape")]
    for name, parameter in model.named_parameters():
        parts = as_list(parameter.penalty) or [None]
        for part in parts:
            kind = "-" if part is None else type(part).__name__
            strength = "" if part is None or part.strength is None else f"{part.strength:g}"
            rows.append((name, kind, strength, str(tuple(parameter.shape))))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _penalty_vjp(g, node):
    return g * node.attrs["penalty"].grad(node.inputs[0])


_value = Op(
    "penalty",
    lambda w, *, penalty: w.dtype.type(penalty.value(w)),
    (_penalty_vjp,),
)


def value(model):
    """The sum of all attached penalties as a differentiable tensor, for use in a loss.

    Its gradient at a kink is the subgradient of least magnitude: with it in the loss no weight
    becomes exactly zero. An optimizer applies the same penalties by their prox; use one of the two.
    """
    terms = [
        _value(parameter, penalty=part)
        for parameter in model.parameters()
        for part in as_list(parameter.penalty)
        if not isinstance(part, WeightDecay)
    ]
    return sum(terms[1:], terms[0]) if terms else 0.0


def number(model):
    """The sum of all attached penalties as a float."""
    return sum(
        part.value(parameter.data)
        for parameter in model.parameters()
        for part in as_list(parameter.penalty)
    )
