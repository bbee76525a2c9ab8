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

import numpy as np

from .errors import CaptureError
from .runtime import cpu
from .runtime.join import join_updates
from .runtime.plan import Plan, Ref, arrays_in, new_arena, program
from .runtime.record import Recorder
from .runtime.remote import Remote, recorder
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
    return CompiledStep(function)


class CompiledStep:
    """See `compile`. `explain()` shows what was made of the last call."""

    def __init__(self, function):
        self.function, self.last = function, None
        self._recorded, self._eager = {}, False
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args, **options):
        if self._eager or recorder() is not None:
            return self.function(*args, **options)
        arrays, key = _describe(args, options)
        variants = self._recorded.setdefault(key, [])
        made = next((v for v in variants if v.holds()), None)
        if made is None:
            try:
                made = Recorded(self.function, args, options)
            except CaptureError as error:
                warnings.warn(
                    f"{self.__name__} cannot be recorded and runs op by op: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
                self._eager = True
                return self.function(*args, **options)
            made.compare(variants)
            variants[:] = [v for v in variants if v.may_hold()] + [made]
        self.last = made
        return made.run(arrays)

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


class Recorded:
    """One recording of a function: its program, what it depends on, where its results lie."""

    def __init__(self, function, args, options):
        self.recorder = recording = Recorder()
        self._grads_known = False
        places = {}  # owner of an input -> its number
        real = []

        def enter(value):
            data = value.data if isinstance(value, Tensor) else value
            if not isinstance(data, np.ndarray):
                return value
            inside = recording.empty(data.shape, data.dtype)
            places[id(recording.owner(inside))] = len(real)
            real.append(np.ascontiguousarray(data))
            return Tensor.made(inside, None) if isinstance(value, Tensor) else inside

        try:
            with recording.recording():
                given = [enter(v) for v in args]
                named = {k: enter(options[k]) for k in sorted(options)}
                self._result = function(*given, **named)
                self._left = self._gradients_left()
        finally:
            self._leaves = list(recording.leaves.values())
            for leaf, before in self._leaves:  # as if the function had not run
                leaf.grad = before
        self._finish(places, real)

    def _gradients_left(self):
        """(leaf, gradient before, gradient) where the function leaves a gradient behind.

        What was added to a gradient goes where the gradient has been.
        """
        left = [
            (leaf, before, leaf.grad.data)
            for leaf, before in self.recorder.leaves.values()
            if leaf.grad is not None and isinstance(leaf.grad.data, Remote)
        ]
        for _, before, data in left:
            if before is not None:
                overwrite(before.data, data)
        return left

    def _finish(self, places, real):
        """From the recording to a program."""
        recording = self.recorder
        plan = Plan(recording)
        same = plan.unique()
        results = [t.data for t in _tensors(self._result) if isinstance(t.data, Remote)]
        count = len(results)
        results += [data for _, before, data in self._left if before is None]
        refs = [plan.ref(data) for data in results]
        refs = [r._replace(owner=same.get(r.owner, r.owner)) for r in refs]
        keep, taken = {r.owner for r in refs}, {r.owner for r in refs[:count]} | set(places)
        plan.fuse(keep)
        plan.needed(keep)
        fixed, size, self._joined = join_updates(plan, taken)
        starts, total = plan.place(keep, fixed, outside=set(places))
        arena = new_arena(total)
        arena[:size] = 0
        self.nbytes, self._arena = total, arena
        self._bound = []
        steps = []
        for i, step in enumerate(plan.steps):
            new = []
            for j, a in enumerate(step.args):
                if isinstance(a, Ref) and a.owner in places:
                    k = places[a.owner]
                    self._bound.append((k, i, j, a.start))
                    a = np.ndarray(a.shape, a.dtype, real[k], a.start)
                new.append(a)
            steps.append(step._replace(args=tuple(new)))
        self.program = program(steps, starts, arena)
        self._arrays = {
            id(data): arrays_in(arena, starts, [r])[0]
            for data, r in zip(results, refs, strict=True)
        }
        self._real = real
        self._guards = list(recording.tensors.values())
        self._modules = list(recording.modules.values())
        self._optimizers = recording.optimizers
        staying = {id(leaf) for leaf, _, _ in self._left}
        self._cleared = [leaf for leaf, _ in self._leaves if id(leaf) not in staying]
        self._states = [opt.state_of(active) for opt, active in self._optimizers]
        recording.forget()

    def holds(self):
        """Whether everything still is as it was recorded."""
        return self.may_hold() and self._grads_hold()

    def may_hold(self):
        """Whether it can ever be right again."""
        return (
            all(t.data is data for t, data in self._guards)
            and all(m.training is mode for m, mode in self._modules)
            and all(
                opt.follow(active) and opt.state_of(active) == state
                for (opt, active), state in zip(self._optimizers, self._states, strict=True)
            )
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

    def run(self, arrays):
        """Run the table on new inputs; what the function returned, with new numbers."""
        held = [a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays]
        starts = [cpu.address(a) for a in held]
        for k, row, argument, offset in self._bound:
            self.program.point(row, argument, starts[k] + offset)
        self.program.run()
        for leaf, before, data in self._left:
            leaf.grad = Tensor.made(self._arrays[id(data)], None) if before is None else before
        for leaf in self._cleared:
            leaf.grad = None
        return self._give(self._result)

    def _give(self, value):
        """The function's result with the numbers of this run, in memory of their own."""
        if isinstance(value, Tensor):
            if isinstance(value.data, Remote):
                return Tensor.made(self._arrays[id(value.data)].copy(), None)
            return value
        if isinstance(value, dict):
            return {k: self._give(v) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return type(value)(self._give(v) for v in value)
        return value


def _tensors(value):
    """The tensors in a result."""
    if isinstance(value, Tensor):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    if isinstance(value, (dict, tuple, list)):
        return [t for v in inside for t in _tensors(v)]
    if value is None or isinstance(value, (int, float, str, bool)):
        return []
    raise CaptureError(
        f"compile: expected tensors, tuples, dicts or None as a result, got {type(value).__name__}"
    )
