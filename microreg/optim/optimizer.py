"""What every optimizer shares: parameter groups, flat state, and the regularized step.

A step is a list of launches: each group's `tick`, which counts and prepares what changes from step
to step, then for each parameter the rule's update with the penalty's prox fused in (`slot.py`).
Parameters and state lie in flat arenas, so addresses stay; gradients are new at every step and
their addresses are put in.
"""

import math

import numpy as np

from ..errors import CheckpointError
from ..kernels.update import RULES
from ..nn.module import forget
from ..runtime import Launch, address, make_program
from ..runtime.remote import on_cpu, recorder
from ..tensor import Tensor
from .slot import Clock, join, slots, split


class Optimizer:
    """Base class. A subclass names its `rule` (a key of `kernels.update.RULES`) and its `options`.

    `step()` moves every parameter that has a gradient and applies what `microreg.attach` put on
    it, in this optimizer's metric. A changed `parameter.penalty` counts from the next step on.
    """

    rule = ""

    def __init__(self, params, defaults):
        self.defaults = defaults
        self.param_groups = []
        self._slots = []
        self._program = None
        self._step_pre_hooks = []
        if hasattr(params, "parameters"):
            raise TypeError(
                f"{type(self).__name__}: expected parameters, got a {type(params).__name__}; give "
                "its parameters()"
            )
        params = list(params)
        if not params:
            raise ValueError(f"{type(self).__name__}: expected parameters, got an empty list")
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    def add_param_group(self, param_group):
        """Add parameters with options of their own: {"params": ..., "lr": ...}."""
        group = {**self.defaults, **param_group}
        group["params"] = _as_parameters(self, param_group["params"])
        self.check(group)
        known = {id(slot.parameter) for slot in self._slots}
        for p in group["params"]:
            if id(p) in known:
                raise ValueError(f"{type(self).__name__}: a parameter appears more than once")
            known.add(id(p))
        self.param_groups.append(group)
        self._slots += slots(self, group)
        self._in_memory = sorted(self._slots, key=lambda slot: address(slot.home))
        self._program = None

    def check(self, group):
        """Raise ValueError for a hyper-parameter out of range."""
        check_number(self, group, "lr")
        check_number(self, group, "weight_decay")

    def options(self, group):
        """What the rule's tick reads after [lr, decay, coupled, sign]."""
        raise NotImplementedError

    def decay(self, group):
        """(decoupled, coupled) weight decay of a group."""
        return 0.0, group["weight_decay"]

    def fixed_step(self, group):
        """The step that the prox is taken with, if it is one and known before the step is made."""
        return None

    def start(self, group):
        """The first value of every state array."""
        return 0.0

    def zero_grad(self, set_to_none=True):
        """Forget the gradients; with set_to_none=False fill them with zeros."""
        forget((slot.parameter for slot in self._slots), set_to_none)

    def step(self, closure=None):
        """Update every parameter that has a gradient; returns closure()'s loss if there is one."""
        loss = None if closure is None else closure()
        for hook in self._step_pre_hooks:
            hook(self, (), {})
        active = [slot for slot in self._in_memory if slot.parameter.grad is not None]
        if not active:
            return loss
        self.prepare(active)
        for slot in active:
            slot.take_gradient()
        recording = recorder()
        if recording is not None:
            recording.optimizers.append((self, active))
            for kernel, args, note in self._launches(active):
                recording.launch(kernel, args, note=note)
            for slot in active:
                slot.gradient = None
            return loss
        key = [(id(slot), slot.version, id(slot.clock)) for slot in active]
        if self._program is None or self._key != key:
            self._program, self._key = make_program(self._launches(active)), key
        for row, slot in zip(self._rows, active, strict=True):
            self._program.bind(row, 0, slot.gradient)
        self._program.run()
        return loss

    def register_step_pre_hook(self, hook):
        """Call hook(optimizer, args, kwargs) at every step, before the gradients are read."""
        self._step_pre_hooks.append(hook)

    def state_of(self, active):
        """What the launches of a step depend on, beside memory that they read."""
        return [(id(slot.clock), slot.version) for slot in active]

    def follow(self, active):
        """Follow what happened to the parameters, penalties and options since the last step.

        Returns whether the arrays are the same as before.
        """
        before = [(slot.parameter.data, slot.plan) for slot in active]
        self.prepare(active)
        return all(
            slot.parameter.data is data and slot.plan is plan
            for slot, (data, plan) in zip(active, before, strict=True)
        )

    def prepare(self, active):
        """Follow what happened to the parameters, penalties and options since the last step."""
        for slot in active:
            slot.prepare()
        split(active)
        for group in self.param_groups:
            numbers = (
                group["lr"],
                *self.decay(group),
                -1.0 if group.get("maximize") else 1.0,
                *self.options(group),
            )
            for clock in {id(s.clock): s.clock for s in active if s.group is group}.values():
                if clock.numbers != numbers:
                    self.check(group)
                    clock.options[:] = numbers
                    clock.numbers = numbers

    def _launches(self, active):
        """A tick for each clock, then every slot's launches; notes the rows that read gradients."""
        clocks = {id(slot.clock): slot.clock for slot in active}.values()
        launches = [Launch(RULES[self.rule].tick, clock.arguments) for clock in clocks]
        self._rows = []
        for slot in active:
            before, update = slot.launches()
            self._rows.append(len(launches) + len(before))
            launches += before + update
        return launches

    def state_dict(self):
        """Groups' options and each parameter's state arrays, numbered in order (PyTorch's form)."""
        numbers = {id(slot.parameter): i for i, slot in enumerate(self._slots)}
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            i: {"step": slot.count, **{k: on_cpu(view.copy()) for k, view in slot.state.items()}}
            for i, slot in enumerate(self._slots)
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Continue from a state_dict of an optimizer over parameters of the same shapes.

        Raises CheckpointError, before anything changes, if it does not fit.
        """
        groups, state = state_dict["param_groups"], state_dict["state"]
        mine = [len(g["params"]) for g in self.param_groups]
        theirs = [len(g["params"]) for g in groups]
        wrong = [] if mine == theirs else [f"groups: expected {mine} parameters, got {theirs}"]
        for i, slot in enumerate(self._slots):
            shapes = {"step": (), **{name: view.shape for name, view in slot.state.items()}}
            found = {name: np.shape(value) for name, value in state.get(i, {}).items()}
            if found != shapes:
                wrong.append(f"parameter {i}: expected {shapes}, got {found}")
        for group, other in zip(self.param_groups, groups, strict=False):
            if missing := [k for k in self.defaults if k not in other]:
                wrong.append(f"options: {missing} are missing")
            else:
                self.check({**group, **other})
        if wrong:
            raise CheckpointError(f"{type(self).__name__}.load_state_dict: " + "; ".join(wrong))
        counts = [int(state[i]["step"]) for i in range(len(self._slots))]
        for slot, count in zip(self._slots, counts, strict=True):
            slot.clock = Clock(self, slot.home, count)
        for i, slot in enumerate(self._slots):
            for name, view in slot.state.items():
                view[...] = state[i][name]
        for group, other in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in other.items() if k != "params"})
        join(self._slots)


def _as_parameters(optimizer, params):
    params = [params] if isinstance(params, Tensor) else list(params)
    for p in params:
        if not isinstance(p, Tensor) or not p.is_leaf or p.dtype.kind != "f":
            raise TypeError(
                f"{type(optimizer).__name__}: expected floating leaf tensors, "
                f"got {type(p).__name__}"
            )
    return params


def check_closure(optimizer, closure):
    """Raise unless there is a closure."""
    if closure is None:
        raise TypeError(
            f"{type(optimizer).__name__}.step: expected a closure that clears the gradients, "
            "computes the loss, goes backward and returns the loss; in fit use another optimizer"
        )


def check_number(optimizer, group, name, low=0.0, high=math.inf, above=False, below=False):
    """Raise unless group[name] is finite and in [low, high] (ends left out if above, below)."""
    value = group[name]
    inside = isinstance(value, (int, float, np.number)) and math.isfinite(value)
    inside = inside and low <= value <= high and not (above and value == low)
    if not inside or (below and value == high):
        limit = f"{'more than' if above else 'at least'} {low:g}"
        if high < math.inf:
            limit += f" and {'less than' if below else 'at most'} {high:g}"
        raise ValueError(
            f"{type(optimizer).__name__}({name}={value!r}): expected a finite number of {limit}"
        )
