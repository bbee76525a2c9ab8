"""Recording launches instead of running them.

Within `Recorder.recording()` every launch of this thread is written down. Its results are remote
arrays: memory that is reserved and never filled, so that shapes and views are known and numbers are
not. A real array that a launch takes (a parameter, a constant) is bound as it is.
"""

import gc
import os
import sys
import weakref
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from ..errors import CaptureError
from .cpu import address
from .program import Launch
from .remote import Home, Remote, on_cpu, real, recording

POISON = 256  # numbers at the beginning of a remote array that are NaN
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Applied(NamedTuple):
    """An op that launches belong to, and the line of the user's that asked for it."""

    op: object
    line: str
    inputs: tuple[object, ...] = ()
    attrs: dict[str, object] | None = None
    outputs: tuple[np.ndarray, ...] = ()

    def again(self):
        """The first result by the op's reference, or by the op called at once."""
        function = self.op.forward if self.op.reference is None else self.op.reference
        out = function(*self.inputs, **self.attrs)
        return out[0] if isinstance(out, tuple) else out

    def moved(self, array):
        """The same with other arrays in the place of its own, each given by `array(x)`."""

        def other(x):
            return array(x) if isinstance(x, np.ndarray) else x

        attrs = {name: other(value) for name, value in self.attrs.items()}
        return self._replace(
            inputs=tuple(map(other, self.inputs)),
            attrs=attrs,
            outputs=tuple(map(other, self.outputs)),
        )


class Notes:
    """What the launches of a finished recording belong to: ops and lines, and no remote arrays.

    `present(x)`, if given, is the array in the place of a remote one: then ops keep their arrays.
    """

    def __init__(self, present=None):
        self.present, self.made = present, {}

    def __getitem__(self, note):
        if isinstance(note, list):
            return [self[one] for one in note]
        if not isinstance(note, Applied):
            return note
        if id(note) not in self.made:
            self.made[id(note)] = (
                note.moved(self.present) if self.present else Applied(note.op, note.line)
            )
        return self.made[id(note)]


class Recorder(Home):
    """Collects `launches`; each one's note is the op, or whatever else, that it belongs to."""

    def __init__(self):
        self.launches = []
        self.memory = {}  # id of the array that owns memory of this recording -> that array
        self.lines = {}  # id of an op's result -> it, and the line that asked for it
        self.constants = {}  # id of an array made in Python while recording -> that array
        self.line = None  # the line that is at work, if it is not the caller's
        self._at, self._made_at = None, {}  # the line of the op at work; where memory was asked for
        self.modules, self.tensors, self.leaves, self.optimizers = {}, {}, {}, []
        self.conditions = []  # functions that say whether what was recorded still holds
        self.device = None  # where the real arrays are, if not on this CPU

    def recording(self):
        """Record what this thread launches."""
        return recording(self)

    def refuse(self, what):
        raise CaptureError(
            f"{what}: a step is being recorded and its numbers are not known; {self.where()}"
        )

    def where(self):
        """The user's line that is at work."""
        return self.line or users_line()

    def empty(self, shape, dtype):
        owner = np.empty(shape, dtype)
        if owner.dtype.kind == "f":  # whoever gets hold of the numbers sees that they are none
            owner.reshape(-1)[:POISON] = np.nan
        self.memory[id(owner)] = owner
        self._made_at[id(owner)] = self._at or self.where()
        return self.remote(owner)

    def remote(self, array):
        """A view of an array through which its numbers cannot be seen."""
        if isinstance(array, Remote):
            if array.home is self:
                return array
            self.device = array.home
        made = array.view(Remote)
        made.home = self
        return made

    def launch(self, kernel, args, note=None):
        kernel.check(args)
        for x in args:
            if isinstance(x, Remote) and x.home is not self:
                self.device = x.home
        self.launches.append(Launch(kernel, args, note))

    def apply(self, op, inputs, attrs):
        """Record an op on arrays and numbers; what comes out is remote."""
        inputs = tuple(self.remote(x) if isinstance(x, np.ndarray) else x for x in inputs)
        line, first = self.where(), len(self.launches)
        self._at = line
        out = op.lower(*inputs, **attrs)
        self._at = None
        outputs = out if isinstance(out, tuple) else (out,)
        self.lines[id(outputs[0])] = outputs[0], line
        note = Applied(op, line, inputs, attrs, outputs)
        for i in range(first, len(self.launches)):
            if self.launches[i].note is None:
                self.launches[i] = self.launches[i]._replace(note=note)
        return out

    def line_of(self, out):
        """The line that asked for an op's result."""
        return self.lines.get(id(out), (None, None))[1]

    def note_tensors(self, inputs):
        """Remember which arrays tensors from outside held: later runs use the same."""
        for x in inputs:
            data = x.data if hasattr(x, "record") else None  # an array's data is a buffer
            real = data.__class__ is np.ndarray or getattr(data, "home", self) is not self
            if real and isinstance(data, np.ndarray) and id(data) not in self.constants:
                self.tensors.setdefault(id(x), (x, data))

    def compare(self, other):
        """Raise if another recording of the same function did something else."""
        mine, others = ({key: i for i, key in enumerate(r.memory)} for r in (self, other))
        for one, two in zip_longest(self.launches, other.launches):
            if one is None or two is None or not self._same(one, two, mine, others):
                line = getattr((one or two).note, "line", None)
                raise CaptureError(
                    "what it does or the numbers that Python gives it change from one call to the "
                    f"next{f', at {line}' if line else ''}"
                )

    def _same(self, one, two, mine, others):
        if one.kernel is not two.kernel:
            return False
        for a, b in zip(one.args, two.args, strict=True):
            if not isinstance(a, np.ndarray):
                same = a == b or (a != a and b != b)
            elif id(self.owner(a)) in mine:
                same = mine[id(self.owner(a))] == others.get(id(self.owner(b)))
            else:
                a, b = real(a, self.owner(a)), real(b, self.owner(b))
                same = address(a) == address(b) or np.array_equal(on_cpu(a), on_cpu(b), True)
            if not same:
                return False
        return True

    def forget(self):
        """Let go of what only recording needed."""
        self._owners = [(weakref.ref(x), self._made_at[key]) for key, x in self.memory.items()]
        self.memory, self.lines, self.launches, self.constants = {}, {}, [], {}

    def escaped(self):
        """After `forget`: the line whose result is still held by somebody, or None."""
        for attempt in range(2):
            held = [
                line or "an unknown line" for owner, line in self._owners if owner() is not None
            ]
            if not held or attempt:
                return held[0] if held else None
            gc.collect()  # it may only wait to be collected
        return None

    def owner(self, array):
        """The array whose memory this one is a view of."""
        while getattr(array, "base", None) is not None:
            array = array.base
        return array


def users_line():
    """file:line of the innermost caller outside this package."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
