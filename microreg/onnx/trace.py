"""What a network computes from its input, as a list of ONNX nodes.

The network runs once on arrays through which their numbers cannot be seen (`runtime/remote.py`).
Every op on them arrives at `apply`, which writes down nodes; ops on parameters and constants alone
are computed, so that a norm in evaluation becomes one product and one sum. An op without a rule is
written through its reference, which is made of other ops.
"""

from typing import NamedTuple

import numpy as np

from ..errors import CaptureError
from ..runtime.record import users_line
from ..runtime.remote import Home, Remote, recording
from ..tensor import Tensor


class Node(NamedTuple):
    """An ONNX node. Inputs are names, arrays (constants), `Ints`, or "" for what is left out."""

    kind: str
    inputs: tuple[object, ...]
    output: str
    attrs: dict[str, object]


class Ints(tuple[int, ...]):
    """A vector of integers, of which some may follow from the number of rows."""


class Trace(Home):
    """Nodes in the order in which they run; `rules` says how ops become nodes."""

    def __init__(self, rules):
        self.rules, self.nodes, self.known = rules, [], {}
        self.modules, self.constants = {}, {}  # that were called, and made, meanwhile
        self.copies = {}  # id of an array on a device -> it, and its numbers here

    def enter(self, array, name):
        """An array of which only the name is known from here on."""
        made = np.asarray(array).view(Remote)
        made.home = self
        self.known[id(made)] = made, name
        return made

    def name_of(self, array):
        """The name of a remote array."""
        try:
            return self.known[id(array)][1]
        except KeyError:
            self.refuse("an array that no op made")

    def refuse(self, what):
        raise CaptureError(f"onnx.export: {what}: the numbers are not known; {users_line()}")

    def empty(self, shape, dtype):
        self.refuse("memory outside of an op")

    def launch(self, kernel, args):
        self.refuse("a change in place")

    def note_tensors(self, inputs):
        """Constants are written down as they are."""

    def apply(self, op, inputs, attrs):
        """The result of an op, the nodes being written down."""
        inputs = tuple(map(self.here, inputs))
        keys = attrs.get("key")
        keys = keys if isinstance(keys, tuple) else (keys,)
        if not any(isinstance(x, Remote) for x in (*inputs, *attrs.values(), *keys)):
            with recording(None):
                return op.forward(*inputs, **attrs)
        rule = self.rules.get(op.name)
        if rule is None:
            return self._by_reference(op, inputs, attrs)
        with recording(None):
            out = op.forward(*map(_plain, inputs), **{k: _plain(v) for k, v in attrs.items()})
        if op.saves:
            out = out[0]
        names = rule(self, [self.operand(x) for x in inputs], inputs, attrs, out)
        if isinstance(out, tuple):
            return tuple(map(self.enter, out, names))
        made = self.enter(np.asarray(out), names)
        return (made,) if op.saves else made

    def here(self, x):
        """A parameter on a device as an array of this computer."""
        if not isinstance(x, Remote) or x.home is self:
            return x
        if id(x) not in self.copies:
            with recording(None):
                self.copies[id(x)] = x, Tensor.made(x, None).cpu().data
        return self.copies[id(x)][1]

    def _by_reference(self, op, inputs, attrs):
        if op.reference is None:
            self.refuse(f"{op.name} has no counterpart in ONNX here")
        out = op.reference(
            *(Tensor.made(x, None) if isinstance(x, np.ndarray) else x for x in inputs), **attrs
        )
        if isinstance(out, tuple):
            return tuple(x.data for x in out)
        return (out.data,) if op.saves else out.data

    def operand(self, x):
        """An input of an op as an input of a node."""
        return self.name_of(x) if isinstance(x, Remote) else x

    def add(self, kind, *inputs, **attrs):
        """Write down a node; the name of its result."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(kind, inputs, name, attrs))
        return name


def _plain(x):
    """The array with its numbers, for shapes and dtypes; also inside a key."""
    if isinstance(x, tuple):
        return tuple(map(_plain, x))
    return np.ndarray.view(x, np.ndarray) if isinstance(x, Remote) else x
