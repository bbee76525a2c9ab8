"""A training step recorded once and replayed as one table of kernels, without Python in between.

    step = mr.compile(train_step)
    loss = step(x, y)

The first call with arguments of new shapes runs `train_step` on tensors whose numbers are not known
and records the launches of every op, of the backward pass and of the optimizer. What is not needed
is left out, functions that kernels can apply on the way are merged into them, the updates of all
parameters become one launch, results share memory, and the list becomes a table that later calls
run at 5 ns a kernel. Parameters, buffers, the optimizer's options, learning rate included, and the
random state are read where they lie, so what changes there counts at once.
"""

import warnings
from typing import NamedTuple

import numpy as np

from .anomaly import watching
from .errors import CaptureError
from .runtime import cpu
from .runtime.chain import chains
from .runtime.join import join_updates, still_equal
from .runtime.plan import Plan, Ref, arrays_in, new_arena, program
from .runtime.record import Notes, Recorder
from .runtime.remote import Remote, dense, part, recorder
from .runtime.strided import overwrite
from .tensor import Tensor


def compile(function):
    """Record a step and replay it.

    Parameters
    ----------
    function : callable
        Takes tensors, arrays and constants, returns a tensor, a tuple or dict of tensors, or None.
        What it does besides calling ops, layers, losses, `backward` and optimizers happens once,
        while it is recorded; Python numbers that it sees are constants from then on.

    Returns
    -------
    CompiledStep, to be called like the function. If something cannot be recorded (it looks at a
    number, say), one warning names the line, and the function itself is called from then on.
    """
    if not callable(function):
        raise TypeError(f"compile: expected a function, got {function!r}")
    return CompiledStep(function)


class CompiledStep:
    """See `compile`. `explain()` shows what was made of the last call.

    With `twice` a function is recorded twice, and runs op by op if the two differ: its numbers then
    come from Python.
    """

    def __init__(self, function, name=None, twice=False):
        self.function, self.last, self.twice = function, None, twice
        self._recorded, self._eager = {}, False
        self.__name__ = name or getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args, **options):
        made, arrays = self._made(args, options)
        return self.function(*args, **options) if made is None else made.run(arrays)

    def repeat(self, times, *args, **options):
        """Call the step so many times, without Python in between; what it returns is dropped.

        It is for steps that find what changes from one to the next in memory. A kernel that stops
        a program ends them early.
        """
        made, arrays = self._made(args, options)
        if made is not None:
            made.repeat(times, arrays)
        else:
            for _ in range(times):
                self.function(*args, **options)

    def _made(self, args, options):
        """The recording to run on these arguments, and the arrays among them; or None."""
        if self._eager or recorder() is not None or watching():
            return None, ()
        arrays, key = _describe(args, options)
        variants = self._recorded.setdefault(key, [])
        made = next((v for v in variants if v.holds()), None)
        if made is None:
            try:
                made = Recorded(self.function, args, options, self.twice)
            except CaptureError as error:
                warnings.warn(
                    f"{self.__name__} cannot be recorded and runs op by op: {error}",
                    RuntimeWarning,
                    stacklevel=3,
                )
                self._eager = True
                return None, ()
            made.compare(variants)
            variants[:] = [v for v in variants if v.may_hold() and not v.replaced_by(made)] + [made]
        self.last = made
        return made, arrays

    def explain(self):
        """The table of the last call: kernel, shapes, bytes and microseconds of every launch."""
        if self.last is None:
            raise CaptureError(f"{self.__name__}: nothing is recorded yet; call it first")
        from .runtime.explain import explain

        return explain(self.last.program)


def _describe(args, options):
    """The arrays among the arguments, and what else a recording depends on, as a key."""
    arrays, key = [], []
    for name, value in [*enumerate(args), *sorted(options.items())]:
        data = value.data if isinstance(value, Tensor) else value
        if isinstance(data, np.ndarray):
            arrays.append(data)
            key.append((name, type(value), data.shape, data.dtype))
        else:
            key.append((name, type(value), value))
    try:
        hash(tuple(key))
    except TypeError:
        raise TypeError(
            "compile: expected tensors, arrays and hashable constants as arguments; close over "
            "anything else"
        ) from None
    return arrays, tuple(key)


class _Recording:
    """What happened when a function ran on remote arrays."""

    def __init__(self, function, args, options):
        self.recorder = recording = Recorder()
        self.places = {}  # owner of an input -> its number
        self.inputs = []
        try:
            with recording.recording():
                given = [self._enter(v) for v in args]
                named = {k: self._enter(options[k]) for k in sorted(options)}
                self.arrays = []  # what the result consists of
                self.result = self._numbered(function(*given, **named))
                self.left = self._gradients_left()
        finally:
            self.leaves = list(recording.leaves.values())
            for leaf, before in self.leaves:  # as if the function had not run
                leaf.grad = before

    def _enter(self, value):
        data = value.data if isinstance(value, Tensor) else value
        if not isinstance(data, np.ndarray):
            return value
        inside = self.recorder.empty(data.shape, data.dtype)
        self.places[id(self.recorder.owner(inside))] = len(self.inputs)
        if isinstance(data, Remote):
            self.recorder.device = data.home
        self.inputs.append(data.copy() if cpu.CHECK else dense(data))
        return Tensor.made(inside, None) if isinstance(value, Tensor) else inside

    def _gradients_left(self):
        """(leaf, gradient before, gradient) where the function leaves a gradient behind.

        What was added to a gradient goes where the gradient has been.
        """
        left = [
            (leaf, before, self._own(leaf.grad.data))
            for leaf, before in self.recorder.leaves.values()
            if leaf.grad is not None and isinstance(leaf.grad.data, Remote)
        ]
        for _, before, data in left:
            if before is not None:
                overwrite(before.data, data)
        return left

    def _own(self, x):
        """x as a dense array that is no part of an input or a constant: a place of its own."""
        owner = id(self.recorder.owner(x))
        own = owner in self.recorder.memory and owner not in self.places
        return x if own and x.flags.c_contiguous else x.copy()

    def _numbered(self, value):
        """A result with `_Result`s for what the step computes, the arrays of which are kept."""
        if isinstance(value, Tensor):
            if not isinstance(value.data, Remote):
                return value
            self.arrays.append(self._own(value.data))
            return _Result(len(self.arrays) - 1)
        if isinstance(value, dict):
            return {k: self._numbered(v) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return _like(value, [self._numbered(v) for v in value])
        if value is None or isinstance(value, (int, float, str, bool)):
            return value
        raise CaptureError(
            "compile: expected tensors, tuples, dicts or None as a result, got "
            f"{type(value).__name__}"
        )


class Recorded:
    """One recording of a function: its program, what it depends on, where its results lie."""

    def __init__(self, function, args, options, twice):
        made = _Recording(function, args, options)
        if twice:
            again = _Recording(function, args, options).recorder
            made.recorder.compare(again)
            again.forget()
        self._grads_known = False
        self._leaves = made.leaves
        self._guards = list(made.recorder.tensors.values())
        self._modules = list(made.recorder.modules.values())
        self._optimizers, self._conditions = made.recorder.optimizers, made.recorder.conditions
        self._states = [opt.state_of(active) for opt, active in self._optimizers]
        self._finish(made)
        recorder = made.recorder
        recorder.forget()
        del made
        line = recorder.escaped()
        if line is not None:
            raise CaptureError(f"somebody keeps what was computed at {line} beyond the step")

    def _finish(self, made):
        """From the recording to a program."""
        plan = Plan(made.recorder)
        same = plan.unique()
        self._result, count = made.result, len(made.arrays)
        results = made.arrays + [data for _, before, data in made.left if before is None]
        refs = [plan.ref(data) for data in results]
        refs = [r._replace(owner=same.get(r.owner, r.owner)) for r in refs]
        keep = {r.owner for r in refs}
        taken = {r.owner for r in refs[:count]} | set(made.places)
        plan.fuse(keep)
        plan.needed(keep)
        fixed, size, self._joined = join_updates(plan, taken)
        self._device = device = made.recorder.device
        if cpu.CHECK:  # results stay, to be compared with
            keep = set(plan.sizes)
        elif device is None:  # caches are a CPU's affair
            chains(plan, keep | fixed.keys())
        starts, total = plan.place(keep, fixed, outside=set(made.places))
        self.nbytes = total
        arena = new_arena(total, device)
        arena[:size] = 0
        if device is not None:  # inputs are copied to where the program expects them
            made.inputs = [device.empty(x.shape, x.dtype) for x in made.inputs]
        self._inputs, self._bound = made.inputs, []
        checked = cpu.CHECK and device is None

        def present(x):
            ref = plan.ref(x)
            if not isinstance(ref, Ref):
                return ref
            owner = same.get(ref.owner, ref.owner)
            k = made.places.get(owner)
            memory, start = (arena, starts[owner]) if k is None else (made.inputs[k], 0)
            return part(memory, x.shape, x.dtype, start + ref.start, x.strides)

        notes = Notes(present if checked else None)
        steps = [
            step._replace(
                args=tuple(self._bind(made, i, j, a) for j, a in enumerate(step.args)),
                note=notes[step.note],
            )
            for i, step in enumerate(plan.steps)
        ]
        self.program = program(steps, starts, arena)
        arrays = arrays_in(arena, starts, refs)
        self._results, fresh = arrays[:count], iter(arrays[count:])
        self._left = [
            (leaf, before, next(fresh) if before is None else before)
            for leaf, before, _ in made.left
        ]
        staying = {id(leaf) for leaf, _, _ in made.left}
        self._cleared = [leaf for leaf, _ in made.leaves if id(leaf) not in staying]

    def _bind(self, made, row, argument, x):
        """An argument; a part of an input is noted, and bound anew at every call."""
        if not isinstance(x, Ref) or x.owner not in made.places:
            return x
        k = made.places[x.owner]
        self._bound.append((k, row, argument, x.start))
        return part(made.inputs[k], x.shape, x.dtype, x.start)

    def holds(self):
        """Whether everything still is as it was recorded."""
        return self.may_hold() and self._grads_hold()

    def may_hold(self):
        """Whether it can ever be right again."""
        return (
            all(t.data is data for t, data in self._guards)
            and all(m.training is mode for m, mode in self._modules)
            and all(condition() for condition in self._conditions)
            and all(
                opt.follow(active) and opt.state_of(active) == state
                for (opt, active), state in zip(self._optimizers, self._states, strict=True)
            )
            and all(still_equal(slots) for slots in self._joined)
        )

    def _grads_hold(self):
        """Whether gradients that the step adds to are where they were."""
        for leaf, before in self._leaves:
            if before is None:
                if leaf.grad is not None and not self._grads_known:
                    return False
            elif leaf.grad is None or leaf.grad.data is not before.data:
                return False
        return True

    def compare(self, variants):
        """Learn from recordings with other gradients at the start whether they matter at all."""
        fresh = all(before is None for _, before in self._leaves)
        for other in variants:
            if fresh and all(before is None for _, before in other._leaves):
                # recorded twice, with and without gradients there: the step forgets them first
                self._grads_known = other._grads_known = True

    def replaced_by(self, other):
        """Whether another recording, made where this one may hold, does for all gradients."""
        return self._grads_known and other._grads_known

    def run(self, arrays):
        """Run the table on new inputs; what the function returned, with new numbers."""
        self.repeat(1, arrays)
        return self._give(self._result)

    def repeat(self, times, arrays):
        """Run the table so many times."""
        if cpu.CHECK or self._device is not None:
            for mine, given in zip(self._inputs, arrays, strict=True):
                mine[...] = given
            arrays = self._inputs
        if self._device is None:
            held = self._point(arrays)  # noqa: F841  alive as long as the program runs
        self.program.run(times)
        for leaf, before, data in self._left:
            leaf.grad = Tensor.made(data, None) if before is None else before
        for leaf in self._cleared:
            leaf.grad = None

    def _point(self, arrays):
        """Let the program read these inputs; gives the arrays that it will read."""
        held = [a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays]
        starts = [cpu.address(a) for a in held]
        for k, row, argument, offset in self._bound:
            self.program.point(row, argument, starts[k] + offset)
        return held

    def _give(self, value):
        """The function's result with the numbers of this run, in memory of their own."""
        if isinstance(value, _Result):
            return Tensor.made(self._results[value.number].copy(), None)
        if isinstance(value, dict):
            return {k: self._give(v) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return _like(value, [self._give(v) for v in value])
        return value


class _Result(NamedTuple):
    """The place of a tensor whose numbers every run computes."""

    number: int


def _like(value, members):
    """A tuple, named or not, or a list of other members."""
    return type(value)(*members) if hasattr(value, "_fields") else type(value)(members)
