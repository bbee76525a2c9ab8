"""Recording launches instead of running them.

Within `Recorder.recording()` every launch of this thread is written down. Its results are remote
arrays: memory that is reserved and never filled, so that shapes and views are known and numbers are
not. A real array that a launch takes (a parameter, a constant) is bound as it is.
"""

import contextlib
import os
import sys
from typing import NamedTuple

import numpy as np

from ..errors import CaptureError
from .program import Launch
from .remote import Home, Remote, _thread, homes

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Applied(NamedTuple):
    """One op: what went in and came out, and the line of the user's that asked for it."""

    op: object
    inputs: tuple[object, ...]
    attrs: dict[str, object]
    outputs: tuple[np.ndarray, ...]
    line: str


class Recorder(Home):
    """Collects `launches`; each one's note is the op, or whatever else, that it belongs to."""

    def __init__(self):
        self.launches = []
        self.memory = {}  # id of the array that owns memory of this recording -> that array
        self.lines = {}  # id of an op's result -> it, and the line that asked for it
        self.line = None  # the line that is at work, if it is not the caller's
        self.modules, self.tensors, self.leaves, self.optimizers = {}, {}, {}, []

    @contextlib.contextmanager
    def recording(self):
        """Record what this thread launches."""
        before = getattr(_thread, "recorder", None)
        _thread.recorder = self
        homes.add(self)
        try:
            yield self
        finally:
            homes.discard(self)
            _thread.recorder = before

    def refuse(self, what):
        raise CaptureError(
            f"{what}: a step is being recorded and its numbers are not known; {self.where()}"
        )

    def where(self):
        """The user's line that is at work."""
        return self.line or users_line()

    def empty(self, shape, dtype):
        owner = np.empty(shape, dtype)
        self.memory[id(owner)] = owner
        return self.remote(owner)

    def remote(self, array):
        """A view of an array through which its numbers cannot be seen."""
        if isinstance(array, Remote):
            return array
        made = array.view(Remote)
        made.home = self
        return made

    def launch(self, kernel, args, stops=False, note=None):
        kernel.check(args)
        self.launches.append(Launch(kernel, args, stops, note))

    def apply(self, op, inputs, attrs):
        """Record an op on arrays and numbers; what comes out is remote."""
        inputs = tuple(self.remote(x) if isinstance(x, np.ndarray) else x for x in inputs)
        line, first = self.where(), len(self.launches)
        out = op.lower(*inputs, **attrs)
        outputs = out if isinstance(out, tuple) else (out,)
        self.lines[id(outputs[0])] = outputs[0], line
        note = Applied(op, inputs, attrs, outputs, line)
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
            data = getattr(x, "data", None)
            if data.__class__ is np.ndarray and id(x) not in self.tensors:
                self.tensors[id(x)] = x, data

    def forget(self):
        """Let go of what only recording needed."""
        self.memory, self.lines, self.launches = {}, {}, []

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
