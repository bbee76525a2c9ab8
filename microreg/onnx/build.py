"""From the nodes of two runs to an ONNX model. onnx is imported here alone."""

from itertools import zip_longest

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .trace import Ints

TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL,
}
FIXED = "give batch_axis=None for a file of fixed size"


class Builder:
    """Collects the graph; `names` are those of parameters, by the id of their arrays."""

    def __init__(self, runs, names, batch_axis):
        self.runs, self.names, self.batch_axis = runs, names, batch_axis
        self.nodes, self.held, self.rows = [], {}, None

    def constant(self, array, name=None):
        """The name of an initializer."""
        key = (array.shape, array.dtype.str, array.tobytes()) if name is None else name
        if key not in self.held:
            name = name or f"constant_{len(self.held)}"
            array = np.array(array, order="C")
            self.held[key] = name, numpy_helper.from_array(array, name)
        return self.held[key][0]

    def add(self, kind, inputs, output, **attrs):
        attrs = {k: TYPES[v] if isinstance(v, np.dtype) else v for k, v in attrs.items()}
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attrs))
        return output

    def operand(self, kind, values):
        """An input of a node from what the runs say of it."""
        first, last = values[0], values[-1]
        if isinstance(first, str):
            return first
        if isinstance(first, Ints):
            return self.ints(kind, first, last)
        if not isinstance(last, np.ndarray):
            self.differ(kind)
        if first is last or _equal(first, last):
            return self.constant(np.asarray(first), self.names.get(id(first)))
        return self.constant(self.one_row(kind, first, last))

    def ints(self, kind, first, last):
        """A vector of integers; those that differ are multiples of the number of rows."""
        if first == last:
            return self.constant(np.array(first, np.int64))
        free = [i for i, (a, b) in enumerate(zip(first, last, strict=True)) if a != b]
        if kind == "Reshape" and len(free) == 1:
            return self.constant(np.array([-1 if i in free else a for i, a in enumerate(first)]))
        n, m = (run.inputs[0][1][self.batch_axis] for run in (self.runs[0], self.runs[-1]))
        parts = []
        for a, b in zip(first, last, strict=True):
            times = a // n
            if a == b:
                parts.append(self.constant(np.array([a], np.int64)))
            elif (times * n, times * m) != (a, b):
                self.differ(kind)
            else:
                many = self.constant(np.array([times], np.int64))
                name = f"rows_{len(self.nodes)}"
                parts.append(self.add("Mul", [self.row_count(), many], name))
        return self.add("Concat", parts, f"sizes_{len(self.nodes)}", axis=0)

    def row_count(self):
        """The name of a vector of one: the number of rows."""
        if self.rows is None:
            shape = self.add("Shape", ["input"], "shape")
            axis = self.batch_axis % len(self.runs[0].inputs[0][1])
            at = self.constant(np.array([axis], np.int64))
            self.rows = self.add("Gather", [shape, at], "rows", axis=0)
        return self.rows

    def one_row(self, kind, first, last):
        """A constant that is the same for every row, as that of one, which broadcasts."""
        axes = [i for i, (a, b) in enumerate(zip(first.shape, last.shape, strict=False)) if a != b]
        if first.ndim != last.ndim or len(axes) != 1 or kind in ("Concat", "Gather"):
            self.differ(kind)
        one = first.take([0], axes[0])
        if not all(_equal(x, one.repeat(x.shape[axes[0]], axes[0])) for x in (first, last)):
            self.differ(kind)
        return one

    def differ(self, kind):
        raise ValueError(
            f"onnx.export: what the network computes (a {kind}) depends on the number of rows; "
            f"{FIXED}"
        )


def _equal(x, y):
    return np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def build(runs, names, batch_axis, opset, ir):
    """The ONNX model for runs that differ in the number of rows."""
    made = Builder(runs, names, batch_axis)
    for nodes in zip_longest(*(run.nodes for run in runs)):
        if None in nodes or len({(n.kind, len(n.inputs), str(n.attrs)) for n in nodes}) > 1:
            made.differ(next(n for n in nodes if n).kind)
        node = nodes[0]
        found = zip(*(n.inputs for n in nodes), strict=True)
        inputs = [made.operand(node.kind, values) for values in found]
        made.add(node.kind, inputs, node.output, **node.attrs)
    graph = helper.make_graph(
        made.nodes,
        "microreg",
        _described([run.inputs for run in runs]),
        _described([run.outputs for run in runs]),
        [tensor for _, tensor in made.held.values()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, producer_name="microreg", opset_imports=opsets, ir_version=ir)
    onnx.checker.check_model(model, full_check=True)
    return model


def _described(lists):
    """Inputs or outputs with the axes that differ left free."""
    found = []
    for several in zip(*lists, strict=True):
        name, _, dtype = several[0]
        shape = [
            sizes[0] if len(set(sizes)) == 1 else "rows"
            for sizes in zip(*(s for _, s, _ in several), strict=True)
        ]
        found.append(helper.make_tensor_value_info(name, TYPES[dtype], shape))
    return found
