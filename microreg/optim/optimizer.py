"""What every optimizer shares: parameter groups, flat state, and the regularized step.

A step is a list of launches: each group's `tick`, which counts and prepares what changes from step
to step, then for each parameter the rule's update with the penalty's prox fused in, and behind it
the prox of a group penalty if there is one. Parameters and state lie in flat arenas, so addresses
stay; gradients are new at every step and their addresses are put in.
"""

import math

import numpy as np

from ..kernels.update import RULES, update_kernel
from ..penalties.combine import plan
from ..runtime import Launch, Program, address
from ..runtime.remote import dense, recorder
from ..tensor import Tensor

ALIGN = 16  # every array of an arena starts at a multiple of so many numbers


class Arena:
    """One flat buffer, its start a multiple of 64 bytes, with a view for each shape."""

    def __init__(self, shapes, dtype):
        starts, size = [], 0
        for shape in shapes:
            starts.append(size)
            size += -(-math.prod(shape) // ALIGN) * ALIGN
        memory = np.zeros(size + ALIGN, dtype)
        ahead = -(memory.__array_interface__["data"][0] // dtype.itemsize) % ALIGN
        self.flat = memory[ahead : ahead + size]
        self.views = [
            self.flat[i : i + math.prod(shape)].reshape(shape)
            for i, shape in zip(starts, shapes, strict=True)
        ]


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
        self._slots += _slots(self, group)
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

    def start(self, group):
        """The first value of every state array."""
        return 0.0

    def zero_grad(self, set_to_none=True):
        """Forget the gradients; with set_to_none=False fill them with zeros."""
        for slot in self._slots:
            if set_to_none or slot.parameter.grad is None:
                slot.parameter.grad = None
            else:
                slot.parameter.grad = slot.parameter.grad * 0.0

    def step(self, closure=None):
        """Update every parameter that has a gradient; returns closure()'s loss if there is one."""
        loss = None if closure is None else closure()
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
            self._program, self._key = Program(self._launches(active)), key
        for row, slot in zip(self._rows, active, strict=True):
            self._program.bind(row, 0, slot.gradient)
        self._program.run()
        return loss

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
        _split(active)
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
            self._rows.append(len(launches))
            launches += slot.launches()
        return launches

    def state_dict(self):
        """Groups' options and each parameter's state arrays, numbered in order (PyTorch's form)."""
        numbers = {id(slot.parameter): i for i, slot in enumerate(self._slots)}
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            i: {"step": slot.count, **{name: view.copy() for name, view in slot.state.items()}}
            for i, slot in enumerate(self._slots)
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Continue from a state_dict of an optimizer over parameters of the same shapes."""
        groups, state = state_dict["param_groups"], state_dict["state"]
        mine = [len(g["params"]) for g in self.param_groups]
        if mine != [len(g["params"]) for g in groups]:
            raise ValueError(
                f"load_state_dict: expected groups of {mine} parameters, got "
                f"{[len(g['params']) for g in groups]}"
            )
        for i, slot in enumerate(self._slots):
            for name, view in slot.state.items():
                if np.shape(state[i][name]) != view.shape:
                    raise ValueError(
                        f"load_state_dict: parameter {i}, {name}: expected shape {view.shape}, got "
                        f"{np.shape(state[i][name])}"
                    )
        counts = [int(state[i]["step"]) for i in range(len(self._slots))]
        for slot, count in zip(self._slots, counts, strict=True):
            slot.clock = _Clock(self, slot.home.dtype, count)
        for i, slot in enumerate(self._slots):
            for name, view in slot.state.items():
                view[...] = state[i][name]
        for group, other in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in other.items() if k != "params"})
        _join(self._slots)


class _Clock:
    """The step count of parameters that move together, and what their updates read of it."""

    def __init__(self, optimizer, dtype, count=0, options=None):
        rule = RULES[optimizer.rule]
        size = len(optimizer.options(optimizer.defaults)) + 4
        self.optimizer = optimizer
        self.count = np.full(1, count, np.int64)
        self.options = np.zeros(size)
        self.hyper = np.zeros(rule.hyper, dtype)
        self.numbers = None  # what `options` holds
        self.arguments = (self.options, self.count, self.hyper)


def _split(active):
    """Give the active slots of a clock one of their own if others of it stay behind."""
    members = {}
    for slot in active:
        members.setdefault(id(slot.clock), []).append(slot)
    for slots in members.values():
        clock = slots[0].clock
        if len(slots) < clock.members:
            clock.members -= len(slots)
            own = _Clock(clock.optimizer, slots[0].home.dtype, int(clock.count[0]))
            own.members = len(slots)
            for slot in slots:
                slot.clock = own


def _join(slots):
    """One clock for the slots of a group and dtype that have taken equally many steps."""
    shared = {}
    for slot in slots:
        key = id(slot.group), slot.home.dtype, slot.count
        slot.clock = shared.setdefault(key, slot.clock)
    for clock in shared.values():
        clock.members = sum(slot.clock is clock for slot in slots)


class _Slot:
    """One parameter, its place in the arenas and its part of the program."""

    def __init__(self, optimizer, parameter, group, home, state, clock):
        self.optimizer, self.parameter, self.group = optimizer, parameter, group
        self.home, self.state, self.clock = home, state, clock
        self.version, self.penalty, self.plan = 0, None, plan(None)
        self.params = np.zeros(1, home.dtype)
        self._settle()

    @property
    def count(self):
        """Steps taken."""
        return int(self.clock.count[0])

    def _settle(self):
        """Move the parameter's numbers into the arena."""
        self.home[...] = self.parameter.data
        self.parameter.data = self.home

    def prepare(self):
        """Follow what happened to the parameter since the last step."""
        p = self.parameter
        if p.data is not self.home:
            if p.data.shape != self.home.shape or p.data.dtype != self.home.dtype:
                raise ValueError(
                    f"{type(self.optimizer).__name__}: a parameter became {p.data.dtype} of shape "
                    f"{p.data.shape}, it was {self.home.dtype} of shape {self.home.shape}; make a "
                    "new optimizer after converting a model"
                )
            self._settle()
        penalty = getattr(p, "penalty", None)
        if penalty is not self.penalty:
            self._plan(penalty)

    def take_gradient(self):
        """The parameter's gradient as its part of the program reads it."""
        g = self.parameter.grad
        g = g.data if isinstance(g, Tensor) else np.asarray(g)
        home = self.home
        if g.shape != home.shape:
            raise ValueError(f"step: expected a gradient of {home.shape}, got {g.shape}")
        if g.dtype is not home.dtype or not g.flags.c_contiguous:
            g = dense(g.astype(home.dtype, copy=False))
        self.gradient = g

    def _plan(self, penalty):
        planned = plan(penalty)
        same = (planned.prox, planned.group is None, len(planned.params))
        mine = (self.plan.prox, self.plan.group is None, len(self.plan.params))
        if same != mine or planned.group:
            self.version += 1
            self.params = np.zeros(1 + len(planned.params), self.home.dtype)
        self.penalty, self.plan = penalty, planned
        self.params[:] = planned.decay, *planned.params

    def launches(self):
        keep = self.plan.group is not None
        w = self.home.reshape(-1)
        steps = np.zeros_like(w) if keep else w
        kernel = update_kernel(self.optimizer.rule, self.plan.prox, len(self.plan.params), keep)
        state = [view.reshape(-1) for view in self.state.values()]
        hyper = self.clock.hyper
        arguments = self.gradient.reshape(-1), hyper, self.params, w, *state, steps
        yield Launch(kernel, arguments, note=self)
        if keep:
            group = self.plan.group
            arguments = group.arguments(self.home, steps, self.plan.quadratic)
            yield Launch(group.kernel, (*arguments, w), note=self)


def _slots(optimizer, group):
    """The slots of a group, its parameters and their state laid out in arenas by dtype.

    Matrices come first: what is penalised lies together.
    """
    names = RULES[optimizer.rule].state
    by_dtype = {}
    for p in sorted(group["params"], key=lambda p: p.ndim < 2):
        by_dtype.setdefault(p.data.dtype, []).append(p)
    made = {}
    for dtype, parameters in by_dtype.items():
        shapes = [p.shape for p in parameters]
        homes, *states = (Arena(shapes, dtype).views for _ in range(1 + len(names)))
        clock = _Clock(optimizer, dtype)
        clock.members = len(parameters)
        for i, p in enumerate(parameters):
            state = {name: views[i] for name, views in zip(names, states, strict=True)}
            for view in state.values():
                view[...] = optimizer.start(group)
            made[id(p)] = _Slot(optimizer, p, group, homes[i], state, clock)
    return [made[id(p)] for p in group["params"]]


def _as_parameters(optimizer, params):
    params = [params] if isinstance(params, Tensor) else list(params)
    for p in params:
        if not isinstance(p, Tensor) or not p.is_leaf or p.dtype.kind != "f":
            raise TypeError(
                f"{type(optimizer).__name__}: expected floating leaf tensors, "
                f"got {type(p).__name__}"
            )
    return params


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
