"""Tensor: an array that remembers how it was computed. Read this first, then `graph.py`.

`backward` follows what was remembered and leaves a gradient in `.grad` of every leaf, that is of
every tensor that was not computed, if it asked for one.
"""

import numpy as np

from .dtypes import FLOAT32, as_array
from .errors import DTypeError, GraphError, ShapeError
from .graph import Value, sweep
from .methods import Methods
from .runtime import cuda
from .runtime.remote import Remote, on_cpu, recorder
from .runtime.strided import filled, overwrite

OPERATORS = {
    np.add: ("__add__", "__radd__"),
    np.subtract: ("__sub__", "__rsub__"),
    np.multiply: ("__mul__", "__rmul__"),
    np.true_divide: ("__truediv__", "__rtruediv__"),
    np.floor_divide: ("__floordiv__", "__rfloordiv__"),
    np.remainder: ("__mod__", "__rmod__"),
    np.power: ("__pow__", "__rpow__"),
    np.matmul: ("__matmul__", "__rmatmul__"),
    np.bitwise_and: ("__and__", "__rand__"),
    np.bitwise_or: ("__or__", "__ror__"),
    np.bitwise_xor: ("__xor__", "__rxor__"),
    np.equal: ("__eq__", "__eq__"),
    np.not_equal: ("__ne__", "__ne__"),
    np.less: ("__lt__", "__gt__"),
    np.less_equal: ("__le__", "__ge__"),
    np.greater: ("__gt__", "__lt__"),
    np.greater_equal: ("__ge__", "__le__"),
}


def _arrays(x):
    """What NumPy is to see: arrays in place of tensors, also within tuples, lists and dicts."""
    if isinstance(x, Tensor):
        return x.numpy()
    if isinstance(x, dict):
        return {name: _arrays(value) for name, value in x.items()}
    return type(x)(map(_arrays, x)) if type(x) in (tuple, list) else x


class Tensor(Methods, Value):
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : array_like
        A NumPy array is used as it is, without a copy; its dtype is kept.
    requires_grad : bool, default False
        Whether `backward` shall leave a gradient in `.grad`.
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=False):
        self.data = as_array(data)
        self.grad = None
        self._node = None
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    def __setstate__(self, state):
        """What pickle and copy give back."""
        for name, value in state[1].items():
            setattr(self, name, value)
        self.data = as_array(self.data)

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
        """Where the numbers are: "cpu" or "cuda"."""
        return cuda.name_of(self.data)

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
        for leaf, dx in sweep([self], [g], keep, create_graph):
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
            if isinstance(self.data, Remote):
                return Tensor.made(filled(self.shape, self.dtype, 1.0, self.data), None)
            return Tensor.made(np.ones(self.shape, self.dtype), None)
        gradient = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
        if gradient.shape != self.shape:
            raise ShapeError(f"backward: gradient: expected {self.shape}, got {gradient.shape}")
        return gradient

    def detach(self):
        """The same numbers (shared), cut off from the graph."""
        return Tensor.made(self.data, None)

    def item(self):
        """The one number in this tensor, as a Python number."""
        if self.data.size != 1:
            raise ShapeError(f"item: expected a single number, got shape {self.shape}")
        _refuse_while_recording("item")
        return self.data.item()

    def numpy(self):
        """The array itself (shared); refused while a gradient could flow through it."""
        if self.requires_grad:
            raise GraphError("numpy: this tensor requires a gradient; use detach().numpy()")
        if isinstance(self.data, Remote):
            self.data.home.refuse("numpy")
        return self.data

    def tolist(self):
        return self.data.tolist()

    def copy_(self, source):
        """Overwrite the numbers of this tensor, in place and outside the graph."""
        array = source.data if isinstance(source, Tensor) else as_array(source)
        if array.shape != self.shape:
            raise ShapeError(f"copy_: expected shape {self.shape}, got {array.shape}")
        if (recording := recorder()) is not None:
            recording.note_tensors((self, source))
        elif not isinstance(self.data, Remote):
            array = on_cpu(array)
        overwrite(self.data, array)
        return self

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """array + tensor is the tensor's own; other NumPy functions see an array and give one."""
        if method == "__call__" and ufunc in OPERATORS and not options:
            name, reflected = OPERATORS[ufunc]
            left, right = inputs
            if isinstance(left, Tensor):
                return getattr(left, name)(right)
            return getattr(right, reflected)(left)
        return getattr(ufunc, method)(*_arrays(inputs), **_arrays(options))

    def __array_function__(self, function, kinds, args, options):
        return function(*_arrays(args), **_arrays(options))

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self.data)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value):
        return bool((self == value).any())

    def __bool__(self):
        if self.data.size != 1:
            raise ShapeError(
                f"bool: expected a single number, got shape {self.shape}; use any() or all()"
            )
        _refuse_while_recording("bool")
        return bool(self.data)

    def __format__(self, spec):
        return object.__format__(self, spec) if self.ndim else format(self.item(), spec)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return self.data.__index__()

    def __repr__(self):
        numbers = on_cpu(self.data)
        text = np.array2string(numbers, separator=", ", prefix="tensor(", precision=4)
        if self.device != "cpu":
            text += f", device='{self.device}'"
        if self.data.dtype not in (FLOAT32, np.int64, np.bool_):
            text += f", dtype={self.data.dtype}"
        if self._node is not None:
            text += f", grad_fn={self._node.op and self._node.op.name}"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __dlpack__(self, **options):
        if isinstance(self.data, Remote) and not self.requires_grad:
            return self.data.home.dlpack(self.data, **options)
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self):
        if isinstance(self.data, Remote):
            return self.data.home.dlpack_device
        return self.data.__dlpack_device__()

    @property
    def __cuda_array_interface__(self):
        if not isinstance(self.data, Remote):
            raise AttributeError("__cuda_array_interface__: this tensor is on the CPU")
        return self.data.home.cuda_array_interface(self.data)


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
    for x, dx in sweep(outputs, seeds, keep, create_graph, inputs):
        found[id(x)] = found[id(x)] + dx if id(x) in found else dx
    missing = [i for i, x in enumerate(inputs) if id(x) not in found]
    if missing and not allow_unused:
        raise GraphError(
            f"grad: inputs {missing} are not part of the graph of outputs; allow_unused=True "
            "returns None for them"
        )
    return tuple(found.get(id(x)) for x in inputs)


def _refuse_while_recording(what):
    """What Python sees of a tensor would be a constant of the recorded step from then on."""
    if (recording := recorder()) is not None:
        recording.refuse(what)


Value.plain = Tensor
