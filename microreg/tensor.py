"""Tensor, the graph behind it, and the backward pass. Read this first.

A Tensor holds an array. If it was computed from tensors that require gradients it also holds the
Node that says how: the op, its input tensors and what the op's vjp needs. `backward` walks the
nodes from the newest to the oldest, each turning the gradient of its output into those of its
inputs, until it arrives at leaves: tensors that no node made, whose `.grad` it adds to.
"""

import itertools

import numpy as np

from .dtypes import FLOAT32, as_array
from .errors import DTypeError, GraphError, ShapeError
from .grad_mode import enable_grad, mode, no_grad
from .methods import Methods
from .ops._op import Op
from .runtime.remote import home_of, homes, recorder
from .runtime.strided import overwrite

_order = itertools.count()


class Node:
    """How a tensor came about. `op` is None once the backward pass has used it up."""

    __slots__ = ("attrs", "inputs", "needs", "number", "op", "out", "saved", "sources")

    def __init__(self, op, sources, needs, inputs, out, saved, attrs):
        self.op, self.sources, self.needs = op, sources, needs
        self.inputs, self.out, self.saved, self.attrs = inputs, out, saved, attrs
        self.number = next(_order)

    def free(self):
        self.op = self.sources = self.inputs = self.out = self.saved = self.attrs = None


class Traced:
    """A Node as a vjp sees it when the backward pass is itself recorded: tensors, not arrays."""

    __slots__ = ("attrs", "inputs", "needs", "out", "saved")

    def __init__(self, node):
        self.inputs, self.needs, self.attrs = node.sources, node.needs, node.attrs
        self.out = Tensor._made(node.out, node)
        self.saved = node.saved and [Tensor._made(one, None) for one in node.saved]


class Tensor(Methods):
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : array_like
        A NumPy array is used as it is, without a copy; its dtype is kept.
    requires_grad : bool, default False
        Whether `backward` shall leave a gradient in `.grad`.
    """

    __slots__ = ("__weakref__", "_node", "data", "grad", "requires_grad")
    __array_ufunc__ = None  # array + tensor asks the tensor

    def __init__(self, data, requires_grad=False):
        self.data = as_array(data)
        self.grad = None
        self._node = None
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def _made(cls, data, node):
        """A tensor around a checked array: no conversion, no checks."""
        made = Tensor.__new__(Tensor)
        made.data, made.grad, made._node, made.requires_grad = data, None, node, node is not None
        return made

    @staticmethod
    def record(op, inputs, attrs):
        """Apply `op` to tensors, arrays and numbers, and remember it if a gradient may be asked.

        The result is a tensor; a tuple of tensors if the op has several results.
        """
        arrays, needs, wanted = [], [], False
        for x in inputs:
            if isinstance(x, Tensor):
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
            out = op.forward(*arrays, **attrs)
        saved = None
        if type(out) is not np.ndarray:
            if type(out) is tuple:
                if not op.saves:
                    return tuple(Tensor._made(one, None) for one in out)
                out, *saved = out
            elif not isinstance(out, np.ndarray):
                out = np.asarray(out)
        node = None
        if wanted and op.vjp and out.dtype.kind == "f" and getattr(mode, "enabled", True):
            node = Node(op, inputs, needs, arrays, out, saved, attrs)
        return Tensor._made(out, node)

    @property
    def shape(self):
        return self.data.shape

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def device(self):
        return "cpu"

    @property
    def is_leaf(self):
        """Whether no op made this tensor."""
        return self._node is None

    @property
    def grad_fn(self):
        """The op that made this tensor, or None."""
        return None if self._node is None else self._node.op

    def requires_grad_(self, requires_grad=True):
        """Ask for a gradient of this leaf; only floating tensors have one."""
        if requires_grad and self.data.dtype.kind != "f":
            raise DTypeError(
                f"requires_grad_: only floating tensors have gradients, this one is {self.dtype}"
            )
        if self._node is not None and not requires_grad:
            raise GraphError("requires_grad_(False): this tensor is not a leaf; use detach()")
        self.requires_grad = bool(requires_grad)
        return self

    def backward(self, gradient=None, retain_graph=None, create_graph=False):
        """Add d(sum(self * gradient))/d(leaf) to `.grad` of every leaf that requires it.

        Parameters
        ----------
        gradient : Tensor, optional
            The cotangent, of this tensor's shape. May be left out for a single number.
        retain_graph : bool, default create_graph
            Keep what the vjps need, so that backward can be called once more.
        create_graph : bool, default False
            Record the backward pass too, so that the gradients can be differentiated.
        """
        g = self._seed(gradient)
        keep = create_graph if retain_graph is None else retain_graph
        recording = recorder()
        for leaf, dx in _sweep([self], [g], keep, create_graph):
            if recording is not None:
                recording.leaves.setdefault(id(leaf), (leaf, leaf.grad))
            leaf.grad = dx if leaf.grad is None else leaf.grad + dx

    def _seed(self, gradient):
        if not self.requires_grad:
            raise GraphError(
                "backward: this tensor does not require a gradient; give requires_grad=True to a "
                "tensor it is computed from, or leave no_grad()"
            )
        if gradient is None:
            if self.data.size != 1:
                raise GraphError(
                    f"backward: expected a single number or a gradient argument, got a tensor of "
                    f"shape {self.shape}; call .sum() or .mean() first"
                )
            return Tensor._made(np.ones(self.shape, self.dtype), None)
        gradient = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
        if gradient.shape != self.shape:
            raise ShapeError(f"backward: gradient: expected {self.shape}, got {gradient.shape}")
        return gradient

    def detach(self):
        """The same numbers (shared), cut off from the graph."""
        return Tensor._made(self.data, None)

    def item(self):
        """The one number in this tensor, as a Python number."""
        if self.data.size != 1:
            raise ShapeError(f"item: expected a single number, got shape {self.shape}")
        return self.data.item()

    def numpy(self):
        """The array itself (shared); refused while a gradient could flow through it."""
        if self.requires_grad:
            raise GraphError("numpy: this tensor requires a gradient; use detach().numpy()")
        return self.data

    def tolist(self):
        return self.data.tolist()

    def copy_(self, source):
        """Overwrite the numbers of this tensor, in place and outside the graph."""
        array = as_array(source.data if isinstance(source, Tensor) else source)
        if array.shape != self.shape:
            raise ShapeError(f"copy_: expected shape {self.shape}, got {array.shape}")
        overwrite(self.data, array)
        return self

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self.data)

    def __bool__(self):
        return bool(self.data)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return self.data.__index__()

    def __repr__(self):
        text = np.array2string(self.data, separator=", ", prefix="tensor(", precision=4)
        if self.data.dtype not in (FLOAT32, np.int64, np.bool_):
            text += f", dtype={self.data.dtype}"
        if self._node is not None:
            text += f", grad_fn={self._node.op and self._node.op.name}"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __dlpack__(self, **options):
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()


def grad(
    outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False
):
    """The gradients of the sum of `outputs` for each of `inputs`, as a tuple; no `.grad` changes.

    With create_graph=True the result can be differentiated again.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs] * len(outputs)
    seeds = [y._seed(g) for y, g in zip(outputs, grad_outputs, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found = {}
    for x, dx in _sweep(outputs, seeds, keep, create_graph, inputs):
        found[id(x)] = found[id(x)] + dx if id(x) in found else dx
    missing = [i for i, x in enumerate(inputs) if id(x) not in found]
    if missing and not allow_unused:
        raise GraphError(
            f"grad: inputs {missing} are not part of the graph of outputs; allow_unused=True "
            "returns None for them"
        )
    return tuple(found.get(id(x)) for x in inputs)


def _reachable(outputs, barred):
    """All nodes behind `outputs`, newest first; what lies behind a barred tensor is left out."""
    stack, seen = [y._node for y in outputs if y._node is not None], set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op is None:
            raise GraphError(
                "backward: this graph has been used up by an earlier backward; give that one "
                "retain_graph=True, or compute the loss again"
            )
        stack.extend(x._node for x, n in _needed(node) if n and x._node and id(x) not in barred)
    return sorted(seen, key=lambda node: -node.number)


def _sweep(outputs, seeds, keep, create_graph, wanted=None, stop=False):
    """Run the backward pass; return pairs (tensor, gradient) for each leaf, or each of `wanted`.

    Gradients are tensors of their own memory. With stop=True nothing behind `wanted` is visited.
    """
    targets = None if wanted is None else {id(x) for x in wanted}
    barred = targets if stop else ()
    nodes = _reachable(outputs, barred)
    pending, arrived = {}, {}
    recording = recorder()
    tensors = create_graph or recording is not None  # or arrays alone, which is faster

    def deliver(x, dx):
        if dx.dtype != x.data.dtype:
            dx = dx.to(x.data.dtype) if tensors else dx.astype(x.data.dtype)
        if x._node is not None and id(x) not in barred:
            held = pending.get(x._node)
            pending[x._node] = dx if held is None else held + dx
        if id(x) in targets if targets is not None else x._node is None:
            held = arrived.get(id(x))
            arrived[id(x)] = (x, dx if held is None else held[1] + dx)

    with enable_grad() if create_graph else no_grad():
        for y, g in zip(outputs, seeds, strict=True):
            deliver(y, g if tensors else g.data)
        for node in nodes:
            g = pending.pop(node, None)
            if g is None:
                continue
            if recording is not None:
                recording.line = recording.line_of(node.out)
            gradients = _vjp(node, g, create_graph, tensors)
            for (x, needed), dx in zip(_needed(node), gradients, strict=False):
                if needed and dx is not None:
                    deliver(x, dx)
            if not keep:
                node.free()
    if recording is not None:
        recording.line = None
    if tensors:
        return list(arrived.values())
    return _owned(list(arrived.values()), {id(g.data) for g in seeds})


def _owned(pairs, taken):
    """The pairs, each gradient a dense array of its own: a vjp may hand one array to several."""
    out = []
    for x, g in pairs:
        g = np.asarray(g)  # NumPy makes a scalar of what has no axes
        if id(g) in taken or g.base is not None or not g.flags.c_contiguous:
            g = g.copy()
        taken.add(id(g))
        out.append((x, Tensor._made(g, None)))
    return out


def _vjp(node, g, create_graph, tensors):
    """The gradients of a node's inputs."""
    op = node.op
    if create_graph and op.reference is not None:
        return _through_reference(node, g)
    seen = Traced(node) if tensors else node
    if isinstance(op.vjp, tuple):
        return [
            rule(g, seen) if needed else None
            for rule, needed in zip(op.vjp, node.needs, strict=False)  # a bias may be left out
        ]
    return op.vjp(g, seen)


def _through_reference(node, g):
    """Differentiate the op's reference in its place: slower, and differentiable again."""
    # behind one more node each, so that gradients stop there and do not walk on through x's past
    inputs = [Tensor.record(_same, (x,), {}) if n else x for x, n in _needed(node)]
    out = node.op.reference(*inputs, **node.attrs)
    targets = [x for x, n in zip(inputs, node.needs, strict=True) if n]
    found = dict(_sweep([out], [g], True, True, targets, stop=True))
    return [found.get(x) if n else None for x, n in zip(inputs, node.needs, strict=True)]


_same = Op("same", lambda x: x.view(), (lambda g, node: g,))


def _needed(node):
    return zip(node.sources, node.needs, strict=True)
