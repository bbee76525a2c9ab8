"""What every optimizer shares: parameter groups, flat state, and the regularized step.

A step is one Program: for each parameter the rule's update with the penalty's prox fused in, and
behind it the prox of a group penalty if there is one. Parameters and state lie in flat arenas, so
the program's addresses stay; gradients are new at every step and their addresses are put in.
"""

import math

import numpy as np

from ..kernels.update import RULES, update_kernel
from ..penalties.combine import plan
from ..runtime import Launch, Program
from ..tensor import Tensor

ALIGN = 16  # every array of an arena starts at a multiple of so many numbers


class Arena:
    """One flat buffer with a view for each shape."""

    def __init__(self, shapes, dtype):
        starts, size = [], 0
        for shape in shapes:
            starts.append(size)
            size += -(-math.prod(shape) // ALIGN) * ALIGN
        self.flat = np.zeros(size, dtype)
        self.views = [
            self.flat[i : i + math.prod(shape)].reshape(shape)
            for i, shape in zip(starts, shapes, strict=True)
        ]


class Optimizer:
    """Base class. A subclass names its `rule` (a key of `kernels.update.RULES`) and fills `hyper`.

    `step()` moves every parameter that has a gradient and applies what `microreg.attach` put on
    it, in this optimizer's metric. A changed `parameter.penalty` counts from the next step on.
    """

    rule = ""

    def __init__(self, params, defaults):
        self.defaults = defaults
        self.param_groups = []
        params = list(params)
        if not params:
            raise ValueError(f"{type(self).__name__}: expected parameters, got an empty list")
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        seen = set()
        for group in groups:
            group = {**defaults, **group, "params": _as_parameters(self, group["params"])}
            self.check(group)
            for p in group["params"]:
                if id(p) in seen:
                    raise ValueError(f"{type(self).__name__}: a parameter appears more than once")
                seen.add(id(p))
            self.param_groups.append(group)
        self._slots = [
            slot for i, group in enumerate(self.param_groups) for slot in _slots(self, group, i)
        ]
        self._program = None

    def check(self, group):
        """Raise ValueError for a hyper-parameter out of range."""
        check_number(self, group, "lr")
        check_number(self, group, "weight_decay")

    def hyper(self, group, t):
        """What the rule's kernel reads in a parameter's step t, after (lr, decay, coupled)."""
        raise NotImplementedError

    def decay(self, group):
        """(decoupled, coupled) weight decay of a group."""
        return 0.0, group["weight_decay"]

    def zero_grad(self, set_to_none=True):
        for slot in self._slots:
            slot.parameter.grad = None

    def step(self, closure=None):
        """Update every parameter that has a gradient; returns closure()'s loss if there is one."""
        loss = None if closure is None else closure()
        active = [slot for slot in self._slots if slot.parameter.grad is not None]
        if not active:
            return loss
        for slot in active:
            slot.prepare()
        for i, group in enumerate(self.param_groups):
            if any(slot.index == i for slot in active):
                self.check(group)
                self._fill(group, [slot for slot in active if slot.index == i])
        self._run(active)
        return loss

    def _fill(self, group, slots):
        """Put what changes from step to step where the kernels read it."""
        first = (group["lr"], *self.decay(group))
        numbers = {}
        for slot in slots:
            slot.count += 1
            if slot.count not in numbers:
                numbers[slot.count] = (*first, *self.hyper(group, slot.count))
            slot.hyper[:] = numbers[slot.count]
            slot.hyper[1] += slot.plan.decay

    def _run(self, active):
        key = [(id(slot), slot.version) for slot in active]
        if self._program is None or self._key != key:
            launches, self._rows = [], []
            for slot in active:
                self._rows.append(len(launches))
                launches += slot.launches()
            self._program, self._key = Program(launches), key
        for row, slot in zip(self._rows, active, strict=True):
            self._program.bind(row, 0, slot.gradient)
        self._program.run()

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
        for i, slot in enumerate(self._slots):
            slot.count = counts[i]
            for name, view in slot.state.items():
                view[...] = state[i][name]
        for group, other in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in other.items() if k != "params"})


class _Slot:
    """One parameter, its place in the arenas and its part of the program."""

    def __init__(self, optimizer, parameter, index, home, state):
        self.optimizer, self.parameter, self.index = optimizer, parameter, index
        self.home, self.state = home, state
        self.count = 0  # steps taken
        self.hyper = np.zeros(3 + optimizer.hyper_count, home.dtype)
        self.version, self.penalty, self.plan = 0, None, plan(None)
        self.params = np.zeros(1, home.dtype)
        self._settle()

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
        g = p.grad.data if isinstance(p.grad, Tensor) else np.asarray(p.grad)
        if g.shape != self.home.shape:
            raise ValueError(f"step: expected a gradient of {self.home.shape}, got {g.shape}")
        self.gradient = np.ascontiguousarray(g, self.home.dtype).reshape(-1)
        penalty = getattr(p, "penalty", None)
        if penalty is not self.penalty:
            self._plan(penalty)

    def _plan(self, penalty):
        planned = plan(penalty)
        same = (planned.prox, planned.group is None, len(planned.params))
        if (
            same != (self.plan.prox, self.plan.group is None, len(self.plan.params))
            or planned.group
        ):
            self.version += 1
            self.params = np.zeros(max(1, len(planned.params)), self.home.dtype)
        self.penalty, self.plan = penalty, planned
        self.params[: len(planned.params)] = planned.params

    def launches(self):
        keep = self.plan.group is not None
        w = self.home.reshape(-1)
        steps = np.zeros_like(w) if keep else w
        kernel = update_kernel(self.optimizer.rule, self.plan.prox, len(self.plan.params), keep)
        state = [view.reshape(-1) for view in self.state.values()]
        yield Launch(kernel, (self.gradient, self.hyper, self.params, w, *state, steps))
        if keep:
            group = self.plan.group
            arguments = group.arguments(self.home, steps, self.plan.quadratic)
            yield Launch(group.kernel, (*arguments, w))


def _slots(optimizer, group, index):
    """The slots of a group, its parameters and their state laid out in arenas by dtype."""
    names = RULES[optimizer.rule][1]
    by_dtype = {}
    for p in group["params"]:
        by_dtype.setdefault(p.data.dtype, []).append(p)
    made = {}
    for dtype, parameters in by_dtype.items():
        shapes = [p.shape for p in parameters]
        homes, *states = (Arena(shapes, dtype).views for _ in range(1 + len(names)))
        for i, p in enumerate(parameters):
            state = {name: views[i] for name, views in zip(names, states, strict=True)}
            made[id(p)] = _Slot(optimizer, p, index, homes[i], state)
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
