"""Recording launches instead of running them.

Within `Recorder.recording()` every launch of this thread is written down. Its results are remote
arrays: memory that is reserved and never filled, so that shapes and views are known and numbers are
not. A real array that a launch takes (a parameter, a constant) is bound as it is.
"""

import contextlib
from typing import NamedTuple

import numpy as np

from ..errors import CaptureError
from .program import Launch
from .remote import Home, Remote, _thread, homes


class Applied(NamedTuple):
    """One op: which launches are its own, what went in and came out, and who asked for it."""

    op: object
    inputs: tuple
    attrs: dict
    outputs: tuple
    first: int
    line: str


class Recorder(Home):
    """Collects `launches`, and `applied`, the ops they belong to."""

    def __init__(self):
        self.launches, self.applied = [], []
        self.memory = {}  # id of the array that owns memory of this recording -> that array
        self.line = ""  # the user's line that the next launches come from

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
            f"{what}: the numbers are not known while a step is recorded{self.line and ' at '}"
            f"{self.line}"
        )

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

    def launch(self, kernel, args):
        kernel.check(args)
        self.launches.append(Launch(kernel, args))

    def apply(self, op, inputs, attrs, line):
        """Record an op on arrays and numbers; what comes out is remote."""
        inputs = tuple(self.remote(x) if isinstance(x, np.ndarray) else x for x in inputs)
        self.line, first = line, len(self.launches)
        out = op.lower(*inputs, **attrs)
        outputs = out if isinstance(out, tuple) else (out,)
        self.applied.append(Applied(op, inputs, attrs, outputs, first, line))
        return out

    def owner(self, array):
        """The array whose memory this one is a view of."""
        while getattr(array, "base", None) is not None:
            array = array.base
        return array
