"""The graph behind tensors, and the backward pass over it.

A Value holds an array. If it was computed from values that require gradients it also holds the Node
that says how: the op, its input tensors and what the op's vjp needs. The backward pass takes the
nodes from the newest to the oldest, each turning the gradient of its output into those of its
inputs, until it arrives at leaves: tensors that no node made. An op with several results has one
node, and each result is a Part of it.
"""

import heapq
import itertools

import numpy as np
from numpy import ndarray

from .errors import GraphError, ShapeError
from .grad_mode import enable_grad, is_grad_enabled, no_grad, off
from .ops._op import Op
from .runtime import address
from .runtime.quiet import enter, quietly
from .runtime.remote import beside, home_of, homes, recorder

_number = itertools.count().__next__
_new = object.__new__
NO_ATTRS: dict[str, object] = {}


class Node:
    """How a tensor came about. `op` is None once the backward pass has used it up."""

    __slots__ = ("attrs", "inputs", "needs", "number", "op", "out", "saved", "sources")

    def __init__(self, op, sources, needs, inputs, out, saved, attrs):
        self.op, self.sources, self.needs = op, sources, needs
        self.inputs, self.out, self.saved, self.attrs = inputs, out, saved, attrs
        self.number = _number()

    @property
    def many(self):
        """Whether there are several results."""
        return self.out.__class__ is tuple

    def __lt__(self, other):
        """Newer nodes come first, as the backward pass wants them."""
        return self.number > other.number

    def free(self):
        self.op = self.sources = self.inputs = self.out = self.saved = self.attrs = None


class Part:
    """What one of several results of an op has in the place of a Node."""

    __slots__ = ("index", "whole")

    def __init__(self, whole, index):
        self.whole, self.index = whole, index

    @property
    def op(self):
        return self.whole.op


class Traced:
    """A Node as a vjp sees it when the backward pass is itself recorded: tensors, not arrays."""

    __slots__ = ("attrs", "inputs", "needs", "out", "saved")

    def __init__(self, node):
        self.inputs, self.needs, self.attrs = node.sources, node.needs, node.attrs
        self.out = Value.several(node.out, node) if node.many else Value.made(node.out, node)
        self.saved = node.saved and [Value.made(one, None) for one in node.saved]


class Value:
    """What the graph knows of a tensor. `plain` is the class of results, Tensor."""

    __slots__ = ("__weakref__", "_node", "data", "grad", "requires_grad")
    plain: type

    @staticmethod
    def made(data, node):
        """A tensor around a checked array: no conversion, no checks."""
        made = _new(Value.plain)
        made.data, made.grad, made._node, made.requires_grad = data, None, node, node is not None
        return made

    @staticmethod
    def several(results, node):
        """The tensors of the results of one op."""
        return tuple(Value.made(x, node and Part(node, i)) for i, x in enumerate(results))

    @staticmethod
    def record(op, inputs, attrs):
        """Apply `op` to tensors, arrays and numbers, and remember it if a gradient may be asked.

        The result is a tensor; a tuple of tensors if the op has several results.
        """
        arrays, needs, wanted = [], [], False
        for x in inputs:
            if isinstance(x, Value):
                arrays.append(x.data)
                needs.append(x.requires_grad)
                wanted = wanted or x.requires_grad
            else:
                arrays.append(x)
                needs.append(False)
        if homes and (home := home_of(arrays)) is not None:
            home.note_tensors(inputs)
            out = home.apply(op, arrays, attrs)
        else:
            try:
                out = enter(op.forward, *arrays, **attrs)
            except RuntimeError:
                out = quietly(op.forward, *arrays, **attrs)
            except ValueError as error:
                raise _told(op, arrays, error) from None
        saved = None
        if type(out) is not ndarray:
            if type(out) is tuple:
                if not op.saves:
                    traced = wanted and op.vjp and (not off or is_grad_enabled())
                    node = Node(op, inputs, needs, arrays, out, None, attrs) if traced else None
                    return Value.several(out, node)
                out, *saved = out
            elif not isinstance(out, ndarray):
                out = np.asarray(out)
        node = None
        if wanted and op.vjp and out.dtype.kind == "f" and (not off or is_grad_enabled()):
            node = Node(op, inputs, needs, arrays, out, saved, attrs)
        return Value.made(out, node)


def _told(op, arrays, error):
    """The error of an op, in our words if NumPy only says that shapes do not broadcast."""
    if not str(error).startswith("operands could not be broadcast"):
        return error
    shapes = " and ".join(str(np.shape(x)) for x in arrays)
    return ShapeError(f"{op.name}: shapes {shapes} do not broadcast")


def operator(op, other_cases, floating=False):
    """The method of a binary operator: `record`, written out for two tensors of one dtype, and for
    a floating tensor and a number.

    On small arrays Python costs more than the numbers; `other_cases` does everything else.
    """
    function = op.forward

    def method(self, other):
        x = self.data
        if isinstance(other, Value):
            y, needs = other.data, (self.requires_grad, other.requires_grad)
            plain = x.dtype is y.dtype and (not floating or x.dtype.kind == "f")
        elif other.__class__ is float or other.__class__ is int:
            y, needs = other, (self.requires_grad, False)
            plain = x.dtype.kind == "f"
        else:
            plain = False
        if homes or not plain:
            return other_cases(self, other)
        try:
            out = enter(function, x, y)
        except RuntimeError:
            out = quietly(function, x, y)
        except ValueError as error:
            raise _told(op, (x, y), error) from None
        if out.__class__ is not ndarray:
            out = np.asarray(out)
        made = _new(Value.plain)
        made.data = out
        made.grad = None
        if (needs[0] or needs[1]) and (not off or is_grad_enabled()):
            made._node = node = _new(Node)
            made.requires_grad = True
            node.op = op
            node.sources = self, other
            node.needs = needs
            node.inputs = x, y
            node.out = out
            node.saved = None
            node.attrs = NO_ATTRS
            node.number = _number()
        else:
            made._node = None
            made.requires_grad = False
        return made

    return method


def sweep(outputs, seeds, keep, create_graph, wanted=None, stop=False):
    """Run the backward pass; pairs (tensor, gradient) for each leaf, or for each of `wanted`.

    Gradients are tensors of their own memory. With stop=True nothing behind `wanted` is visited.
    """
    recording = recorder()
    if create_graph:
        with enable_grad():
            return _sweep(outputs, seeds, keep, True, True, wanted, stop, recording)
    if homes:  # operators are for arrays of this CPU alone
        with no_grad():
            found = _sweep(outputs, seeds, keep, False, True, wanted, stop, recording)
        return found if recording is not None else _apart(found, seeds)
    arrays = [g.data for g in seeds]
    with np.errstate(all="ignore"):
        found = _sweep(outputs, arrays, keep, False, False, wanted, stop, None)
    return _owned(found, {id(g) for g in arrays})


def _sweep(outputs, seeds, keep, create_graph, tensors, wanted, stop, recording):
    """`sweep` on tensors, or on arrays alone, which is faster."""
    targets = None if wanted is None else {id(x) for x in wanted}
    queue, pending, arrived = [], {}, {}

    def deliver(x, dx):
        if isinstance(dx, np.generic):  # what NumPy makes of an array without axes
            dx = np.asarray(dx)
        if dx.dtype is not x.data.dtype and dx.dtype != x.data.dtype:
            dx = dx.to(x.data.dtype) if tensors else dx.astype(x.data.dtype)
        node = x._node
        if node is None or targets is not None:
            if targets is None or id(x) in targets:
                held = arrived.get(id(x))
                arrived[id(x)] = (x, dx if held is None else held[1] + dx)
                if stop:
                    return
            if node is None:
                return
        if node.__class__ is Part:
            parts = pending.get(node.whole)
            if parts is None:
                parts = pending[node.whole] = {}
                heapq.heappush(queue, node.whole)
            held = parts.get(node.index)
            parts[node.index] = dx if held is None else held + dx
            return
        held = pending.get(node)
        if held is None:
            pending[node] = dx
            heapq.heappush(queue, node)
        else:
            pending[node] = held + dx

    for y, g in zip(outputs, seeds, strict=True):
        deliver(y, g)
    while queue:
        node = heapq.heappop(queue)
        g, op = pending.pop(node), node.op
        if op is None:
            raise GraphError(
                "backward: this graph has been used up by an earlier backward; give that one "
                "retain_graph=True, or compute the loss again"
            )
        if recording is not None:
            recording.line = recording.line_of(node.out[0] if node.many else node.out)
        if node.many:
            g = _all_parts(g, node.out, tensors)
        if create_graph and op.reference is not None:
            gradients = _through_reference(node, g)
        elif op.vjp.__class__ is tuple:
            seen = Traced(node) if tensors else node
            for x, needed, rule in zip(node.sources, node.needs, op.vjp, strict=False):
                if needed:  # a bias may be left out
                    deliver(x, rule(g, seen))
            gradients = ()
        else:
            gradients = op.vjp(g, Traced(node) if tensors else node)
        for x, needed, dx in zip(node.sources, node.needs, gradients, strict=False):
            if needed and dx is not None:
                deliver(x, dx)
        if not keep:
            node.free()
    if recording is not None:
        recording.line = None
    return list(arrived.values())


def _all_parts(found, results, tensors):
    """The cotangent of every result, 0 for those that nothing came back to."""
    missing = {
        i: beside(np.zeros(x.shape, x.dtype), x.data)
        for i, x in enumerate(results)
        if i not in found
    }
    if tensors:
        missing = {i: Value.made(x, None) for i, x in missing.items()}
    return tuple(found[i] if i in found else missing[i] for i in range(len(results)))


def _owned(pairs, taken):
    """The pairs, each gradient a dense array of its own: a vjp may hand one array to several."""
    out = []
    for x, g in pairs:
        if isinstance(g, np.generic):
            g = np.asarray(g)
        if id(g) in taken or g.base is not None or not g.flags.c_contiguous:
            g = g.copy()
        taken.add(id(g))
        out.append((x, Value.made(g, None)))
    return out


def _apart(pairs, seeds):
    """The pairs, each gradient in memory of its own, as far as its first address says."""
    taken, out = {address(g.data) for g in seeds}, []
    for x, g in pairs:
        data = g.data
        if address(data) in taken or not data.flags.c_contiguous:
            data = data.copy()
        taken.add(address(data))
        out.append((x, Value.made(data, None)))
    return out


def _through_reference(node, g):
    """Differentiate the op's reference in its place: slower, and differentiable again."""
    needed = list(zip(node.sources, node.needs, strict=True))
    # behind one more node each, so that gradients stop there and do not walk on through x's past
    inputs = [Value.record(_same, (x,), {}) if n else x for x, n in needed]
    out = node.op.reference(*inputs, **node.attrs)
    outs, seeds = (out, g) if node.many else ([out], [g])
    targets = [x for x, (_, n) in zip(inputs, needed, strict=True) if n]
    found = dict(sweep(outs, seeds, True, True, targets, stop=True))
    return [found.get(x) if n else None for x, (_, n) in zip(inputs, needed, strict=True)]


_same = Op("same", lambda x: x.view(), (lambda g, node: g,))
