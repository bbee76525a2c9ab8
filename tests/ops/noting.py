"""Which ops a computation applies, on what: where a step would be recorded, they are noted."""

import contextlib

import numpy as np

from microreg.runtime import launch
from microreg.runtime.quiet import quietly
from microreg.runtime.record import Recorder
from microreg.runtime.remote import _thread


class Noting(Recorder):
    """Notes every op, of the forward and of the backward pass, and computes it at once.

    calls : list of (op, inputs, attrs)
    """

    def __init__(self):
        super().__init__()
        self.calls = []

    def apply(self, op, inputs, attrs, *_):
        self.calls.append((op, inputs, attrs))
        with self.aside():
            return quietly(op.forward, *inputs, **attrs)

    def launch(self, kernel, args, *_):
        with self.aside():
            launch(kernel, *args)

    def empty(self, shape, dtype):
        return np.empty(shape, dtype)

    @contextlib.contextmanager
    def aside(self):
        """Let launches run in here."""
        _thread.recorder = None
        try:
            yield
        finally:
            _thread.recorder = self


def noted(function, *args):
    """The ops that a function applies: (op, inputs, attrs) of each, in order."""
    with Noting().recording() as noting:
        function(*args)
    return noting.calls
