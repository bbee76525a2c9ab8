"""What a differentiable operation is. Arrays here; the graph is in `tensor.py`.

    op = Op(name, forward, vjp=None, reference=None, lower=None, saves=False)

forward(*inputs, **attrs) computes with NumPy arrays, numbers among the inputs allowed. lower is the
same written with `empty`, `launch` and views alone, so that it also serves arrays whose numbers are
not here (`runtime/remote.py`): a step that is recorded, memory of another device. An op made of
kernels has only one of the two, forward. Both return an array; or, if the op `saves`, a tuple of
the result and what its vjp needs; or a tuple of results, of which g in its vjp is a tuple too.

vjp is one function for each input, or a single one that returns the gradients of all inputs; None
if no gradient flows:

    vjp(g, node) -> dx      g: cotangent of the output; node: .inputs .needs .out .saved .attrs

A vjp returns new arrays, or g itself, and changes nothing. It is written with operators and ops,
which accept arrays as well as tensors, so the same rule serves the ordinary backward pass (arrays,
no graph) and a backward pass that is itself recorded. A fused op, whose vjp is an op without a vjp
of its own, states a `reference` too: the same function composed of other ops, through which its
higher derivatives go and against which the kernels are tested.
"""

import numpy as np
from numpy import ndarray

from ..runtime.remote import Remote


class Op:
    """A differentiable operation: called with arrays it computes, with tensors it records."""

    __slots__ = ("forward", "lower", "name", "reference", "saves", "vjp")

    def __init__(self, name, forward, vjp=None, reference=None, lower=None, saves=False):
        self.name, self.forward, self.vjp = name, forward, vjp
        self.reference, self.saves = reference, saves
        self.lower = forward if lower is None else lower

    def __repr__(self):
        return f"Op({self.name})"

    def __call__(self, *inputs, **attrs):
        for x in inputs:
            if x.__class__ is not ndarray:
                if hasattr(x, "record"):
                    return x.record(self, inputs, attrs)
                if isinstance(x, Remote):
                    out = x.home.apply(self, inputs, attrs)
                    return out[0] if self.saves else out
                if isinstance(x, np.generic):  # what NumPy makes of an array without axes
                    inputs = [np.asarray(y) if isinstance(y, np.generic) else y for y in inputs]
        out = self.forward(*inputs, **attrs)
        return out[0] if self.saves else out


def as_float(x):
    """x as a floating array: integers and bools become float32, as everywhere in microreg."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)
