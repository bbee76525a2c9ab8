"""What a differentiable operation is. Arrays here; the graph is in `tensor.py`.

    op = Op(name, forward, vjp, reference=None)

forward(*inputs, **attrs) -> out, or (out, saved) when the op `saves` something for its vjp.
vjp is one function for each input, or a single one that returns the gradients of all inputs:

    vjp(g, node) -> dx      g: cotangent of the output; node: .inputs .needs .out .saved .attrs

A vjp returns new arrays, or g itself, and changes nothing. It is written with operators and ops,
which accept arrays as well as tensors, so the same rule serves the ordinary backward pass (arrays,
no graph) and a backward pass that is itself recorded. A fused op, whose vjp calls kernels, states
a `reference` instead: the same function composed of other ops, through which its higher
derivatives go and against which the kernels are tested.
"""

import numpy as np


class Op:
    """A differentiable operation: called with arrays it computes, with tensors it records."""

    __slots__ = ("forward", "name", "reference", "saves", "vjp")

    def __init__(self, name, forward, vjp, reference=None, saves=False):
        self.name, self.forward, self.vjp = name, forward, vjp
        self.reference, self.saves = reference, saves

    def __repr__(self):
        return f"Op({self.name})"

    def __call__(self, *inputs, **attrs):
        for x in inputs:
            if hasattr(x, "record"):
                return x.record(self, inputs, attrs)
        out = self.forward(*inputs, **attrs)
        return out[0] if self.saves else out


def dense(x):
    """x itself if it is C-contiguous, else a copy that is: what a kernel needs."""
    return x if x.flags.c_contiguous else x.copy()


def as_float(x):
    """x as a floating array: integers and bools become float32, as everywhere in microreg."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)
