"""What an optimizer keeps of each parameter: its numbers and state in flat arenas, and launches."""

import math

import numpy as np

from ..kernels.update import RULES, shrink, update_kernel
from ..kernels.update_rows import update_rows
from ..penalties.combine import as_list, plan
from ..runtime import Launch
from ..runtime.cuda import name_of
from ..runtime.remote import beside, dense, moved
from ..tensor import Tensor

ALIGN = 16  # every array of an arena starts at a multiple of so many numbers


class Arena:
    """One flat buffer, its start a multiple of 64 bytes, with a view for each shape."""

    def __init__(self, shapes, dtype, like):
        starts, size = [], 0
        for shape in shapes:
            starts.append(size)
            size += -(-math.prod(shape) // ALIGN) * ALIGN
        memory = moved(np.zeros(size + ALIGN, dtype), like)
        ahead = -(memory.__array_interface__["data"][0] // dtype.itemsize) % ALIGN
        self.flat = memory[ahead : ahead + size]
        self.views = [
            self.flat[i : i + math.prod(shape)].reshape(shape)
            for i, shape in zip(starts, shapes, strict=True)
        ]


class Clock:
    """The step count of parameters that move together, and what their updates read of it."""

    def __init__(self, optimizer, like, count=0):
        rule = RULES[optimizer.rule]
        size = len(optimizer.options(optimizer.defaults)) + 4
        self.optimizer = optimizer
        self.count = moved(np.full(1, count, np.int64), like)
        self.options = np.zeros(size)
        self.hyper = moved(np.zeros(rule.hyper, like.dtype), like)
        self.numbers = None  # what `options` holds
        self.arguments = (self.options, self.count, self.hyper)


def split(active):
    """Give the active slots of a clock one of their own if others of it stay behind."""
    members = {}
    for slot in active:
        members.setdefault(id(slot.clock), []).append(slot)
    for slots in members.values():
        clock = slots[0].clock
        if len(slots) < clock.members:
            clock.members -= len(slots)
            own = Clock(clock.optimizer, slots[0].home, int(clock.count[0]))
            own.members = len(slots)
            for slot in slots:
                slot.clock = own


def join(slots):
    """One clock for the slots of a group and dtype that have taken equally many steps."""
    shared = {}
    for slot in slots:
        key = id(slot.group), slot.home.dtype, slot.count
        slot.clock = shared.setdefault(key, slot.clock)
    for clock in shared.values():
        clock.members = sum(slot.clock is clock for slot in slots)


class Slot:
    """One parameter, its place in the arenas and its part of the program."""

    def __init__(self, optimizer, parameter, group, home, state, clock):
        self.optimizer, self.parameter, self.group = optimizer, parameter, group
        self.home, self.state, self.clock = home, state, clock
        self.version, self.penalty, self.plan = 0, None, plan(None)
        self.params, self.joint, self.rows = np.zeros(2, home.dtype), None, None
        self.moving = False  # whether a strength follows a schedule
        self._write(self.plan)
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
            now, before = _kind(p.data), _kind(self.home)
            if now != before:
                raise ValueError(
                    f"{type(self.optimizer).__name__}: a parameter became {now}, it was {before}; "
                    "make a new optimizer after converting a model"
                )
            self._settle()
        penalty = getattr(p, "penalty", None)
        if penalty is not self.penalty:
            self._plan(penalty)
        elif self.moving:
            self._write(plan(penalty))
        self._check_step()

    def _check_step(self):
        """Raise if the rule's step is one at which the prox has several values."""
        if self.bound < math.inf:
            step = self.optimizer.fixed_step(self.group)
            if step is not None and step >= self.bound:
                raise ValueError(
                    f"{type(self.optimizer).__name__}: the prox of {self.penalty} is single-valued "
                    f"only for steps below {self.bound:g}, got {step:g}; lower lr"
                )

    def take_gradient(self):
        """The parameter's gradient as its part of the program reads it."""
        g = self.parameter.grad
        g = g.data if isinstance(g, Tensor) else np.asarray(g)
        home = self.home
        if g.shape != home.shape:
            raise ValueError(f"step: expected a gradient of {home.shape}, got {g.shape}")
        if g.dtype is not home.dtype or not g.flags.c_contiguous:
            g = dense(g.astype(home.dtype, copy=False))
        self.gradient = g if self.rows is None else g.reshape(len(self.rows.weights), -1)

    def _plan(self, penalty):
        planned = plan(penalty)
        kind = planned.prox, len(planned.params)
        joint = planned.joint is not None or self.plan.joint is not None
        if joint or kind != (self.plan.prox, len(self.plan.params)):
            if planned.joint is not None:
                planned.joint.check_shape(self.home.shape)
            self.version += 1
            self.params = np.zeros(len(planned.numbers()), self.home.dtype)
        self.penalty, self.plan = penalty, planned
        self.joint = None if planned.joint is None else planned.joint_numbers()
        self.rows = planned.joint.rows(self.home.shape) if joint and planned.joint else None
        self.moving = any(part.schedules() for part in as_list(penalty))
        self._write(planned)

    def _write(self, planned):
        """Put a plan's numbers where the kernels read them."""
        self.params[:], self.bound = planned.numbers(), planned.bound
        if self.joint is not None:
            self.joint[:] = planned.joint_numbers()

    def launches(self):
        """(what goes before, the update from the gradient and what follows it)."""
        joint, rule = self.plan.joint, self.optimizer.rule
        prox, count = self.plan.prox, len(self.plan.params)
        hyper, arrays = self.clock.hyper, [self.home, *self.state.values()]
        flat = [x.reshape(-1) for x in (self.gradient, *arrays)]
        if joint is None:
            kernel = update_kernel(rule, prox, count, False)
            arguments = flat[0], hyper, self.params, *flat[1:], flat[1]
            return [], [Launch(kernel, arguments, note=self)]
        if self.rows is not None:
            line, room, wide, weights = self.rows
            rows = [x.reshape(len(weights), -1) for x in flat]
            kernel = update_rows(rule, prox, count, line, room, wide)
            weights = beside(weights, self.home)
            arguments = rows[0], hyper, self.params, self.joint, weights, *rows[1:]
            return [], [Launch(kernel, arguments, note=self)]
        steps = moved(np.zeros(self.home.shape, self.home.dtype), self.home)
        before, base = [], self.home
        if joint.needs_base:
            base = moved(np.zeros(self.home.shape, self.home.dtype), self.home)
            arguments = hyper, self.params, flat[1], base.reshape(-1)
            before = [Launch(shrink, arguments, note=self)]
        kernel = update_kernel(rule, prox, count, True)
        arguments = flat[0], hyper, self.params, *flat[1:], steps.reshape(-1)
        update = [Launch(kernel, arguments, note=self)]
        if self.home.size:
            kernel, arguments = joint.behind(self.home, steps, base, self.joint)
            # what a schedule moves stays on this side, from where programs fetch it
            arguments = [a if a is self.joint else beside(a, self.home) for a in arguments]
            update.append(Launch(kernel, arguments, note=self))
        return before, update


def slots(optimizer, group):
    """The slots of a group, its parameters and their state laid out in arenas by dtype.

    Matrices come first: what is penalised lies together.
    """
    names = RULES[optimizer.rule].state
    by_dtype = {}
    for p in sorted(group["params"], key=lambda p: p.ndim < 2):
        by_dtype.setdefault((p.data.dtype, name_of(p.data)), []).append(p)
    made = {}
    for (dtype, _), parameters in by_dtype.items():
        shapes, like = [p.shape for p in parameters], parameters[0].data
        homes, *states = (Arena(shapes, dtype, like).views for _ in range(1 + len(names)))
        clock = Clock(optimizer, like)
        clock.members = len(parameters)
        for i, p in enumerate(parameters):
            state = {name: views[i] for name, views in zip(names, states, strict=True)}
            for view in state.values():
                view[...] = optimizer.start(group)
            made[id(p)] = Slot(optimizer, p, group, homes[i], state, clock)
    return [made[id(p)] for p in group["params"]]


def _kind(x):
    """What a parameter may not change while it is optimized."""
    where = name_of(x)
    return f"{x.dtype} of shape {x.shape}{'' if where == 'cpu' else f' on {where}'}"
