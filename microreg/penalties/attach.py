"""Attaching penalties to parameters by name, and looking at what is attached."""

import fnmatch

from ..errors import GraphError
from ..ops._op import Op
from ..runtime.remote import recorder
from .base import Penalty, numbers
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
    if not hasattr(model, "named_parameters"):
        raise TypeError(f"attach: expected a Module first, got {type(model).__name__}")
    if not isinstance(rules, (Penalty, list, tuple, dict)):
        raise TypeError(
            f"attach: expected a penalty, a list of them or a dict by names, got {rules!r}"
        )
    named = dict(model.named_parameters())
    if isinstance(rules, (Penalty, list, tuple)):
        chosen = {name: rules for name, p in named.items() if p.ndim >= 2}
        if not chosen:
            raise KeyError(f"attach: no parameter with two axes or more among {sorted(named)}")
    else:
        chosen = _match(named, rules)
    for name, penalty in chosen.items():
        planned = plan(penalty)
        if planned.joint is not None:
            planned.joint.check_shape(named[name].shape)
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
            strength = "" if part is None else _shown(part.strength)
            rows.append((name, kind, strength, str(tuple(parameter.shape))))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _shown(strength):
    """A strength in a table."""
    if strength is None:
        return ""
    return f"{strength:g}" if isinstance(strength, (int, float)) else str(strength)


def set_epoch(model, epoch):
    """Tell the schedules of all attached penalties where they stand; `fit` does it by itself."""
    for schedule in schedules(model):
        schedule.epoch = float(epoch)


def schedules(model):
    """The schedules of a model's penalties, each once."""
    found = {id(schedule): schedule for part in _attached(model) for schedule in part.schedules()}
    return list(found.values())


def _attached(model):
    """Every penalty of a model: of its parameters, and of modules that hold one."""
    holders = [*model.parameters(), *model.modules()]
    return [part for holder in holders for part in as_list(getattr(holder, "penalty", None))]


def _no_second(g, node):
    raise GraphError(
        f"{node.attrs['penalty']}: a penalty in the loss has no second derivative; attach it and "
        "leave it to the optimizer's prox"
    )


_slope = Op("penalty_slope", lambda w, *, penalty: penalty.grad(w), (_no_second,))
_value = Op(
    "penalty",
    lambda w, *, penalty: penalty.measure(numbers(w), w.dtype),
    (lambda g, node: g * _slope(node.inputs[0], penalty=node.attrs["penalty"]),),
)


def measured(tensor, penalty):
    """A penalty of a tensor, differentiable; a recorded step with it holds while it stays."""
    recording = recorder()
    if recording is not None:
        now = penalty.params()
        recording.conditions.append(lambda: penalty.params() == now)
    return _value(tensor, penalty=penalty)


def value(model):
    """The sum of all attached penalties as a differentiable tensor, for use in a loss.

    Its gradient at a kink is the subgradient of least magnitude: with it in the loss no weight
    becomes exactly zero. An optimizer applies the same penalties by their prox; use one of the two.
    """
    recording, held = recorder(), [(p, p.penalty) for p in model.parameters()]
    if recording is not None:
        recording.conditions.append(lambda: all(p.penalty is penalty for p, penalty in held))
    terms = [
        measured(parameter, part)
        for parameter, penalty in held
        for part in as_list(penalty)
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
