"""The operators and methods of Tensor: each names an op, its arguments in PyTorch's order."""

import numpy as np

from .dtypes import as_array, as_dtype, get_default_dtype
from .errors import ShapeError
from .graph import Value, operator
from .ops import activation, arithmetic, linear, loss, reduction, shape
from .ops._op import Op

NUMBERS = (int, float, np.ndarray, np.generic, list, tuple)


def _operand(x, other):
    """`other` as an input beside tensor x: numbers stay numbers and do not widen x's dtype."""
    if isinstance(other, (np.generic, np.ndarray)) and other.ndim == 0:
        other = other.item()
    elif isinstance(other, (list, tuple)):
        other = np.asarray(other, x.data.dtype) if x.data.dtype.kind == "f" else as_array(other)
    return other


def _floating(x):
    """x itself if it is floating, else with the default dtype."""
    return x if x.data.dtype.kind == "f" else x.to(get_default_dtype())


def _meet(x, other):
    """Tensor x and an operand; integers and bools beside floats take the floats' dtype."""
    kind, dtype = x.data.dtype.kind, getattr(other, "dtype", None)
    if dtype is None:
        return (_floating(x) if type(other) is float else x), other
    if kind != "f" and dtype.kind == "f":
        return x.to(dtype), other
    if kind == "f" and dtype.kind != "f":
        to = other.to if hasattr(other, "record") else other.astype
        return x, to(x.data.dtype)
    return x, other


def _binary(op, floating=False):
    def other_cases(self, other):
        if isinstance(other, Value):
            self = _floating(self) if floating else self
            if self.data.dtype is not other.data.dtype:
                self, other = _meet(self, other)
            return self.record(op, (self, other), {})
        if (floating or type(other) is float) and self.data.dtype.kind != "f":
            self = _floating(self)
        if type(other) is not float and type(other) is not int:
            if not isinstance(other, NUMBERS):
                return NotImplemented
            self, other = _meet(self, _operand(self, other))
        return self.record(op, (self, other), {})

    method = operator(op, other_cases, floating)

    def reflected(self, other):
        if (floating or type(other) is float) and self.data.dtype.kind != "f":
            self = _floating(self)
        if type(other) is not float and type(other) is not int:
            if not isinstance(other, NUMBERS):
                return NotImplemented
            self, other = _meet(self, _operand(self, other))
        return self.record(op, (other, self), {})

    return method, reflected


def _compare(op):
    def method(self, other):
        return self.record(op, (self, _operand(self, other)), {})

    return method


def _unary(op, floating=False):
    def method(self):
        if floating and self.data.dtype.kind != "f":
            self = _floating(self)
        return self.record(op, (self,), {})

    return method


class Methods:
    """Mixed into Tensor; see `functional.py` for the same as functions."""

    __slots__ = ()
    __hash__ = object.__hash__

    __add__, __radd__ = _binary(arithmetic.add)
    __sub__, __rsub__ = _binary(arithmetic.sub)
    __mul__, __rmul__ = _binary(arithmetic.mul)
    __truediv__, __rtruediv__ = _binary(arithmetic.div, floating=True)
    __pow__, __rpow__ = _binary(arithmetic.power)
    __neg__ = neg = _unary(arithmetic.neg)
    __abs__ = abs = _unary(arithmetic.abs)
    add, sub, mul, div, pow = __add__, __sub__, __mul__, __truediv__, __pow__

    __eq__ = eq = _compare(arithmetic.equal)
    __ne__ = ne = _compare(arithmetic.not_equal)
    __lt__ = lt = _compare(arithmetic.less)
    __le__ = le = _compare(arithmetic.less_equal)
    __gt__ = gt = _compare(arithmetic.greater)
    __ge__ = ge = _compare(arithmetic.greater_equal)

    exp = _unary(arithmetic.exp, floating=True)
    log = _unary(arithmetic.log, floating=True)
    sqrt = _unary(arithmetic.sqrt, floating=True)
    relu = _unary(activation.relu)
    tanh = _unary(activation.tanh)
    sigmoid = _unary(activation.sigmoid)
    erf = _unary(activation.erf)

    def square(self):
        return self * self

    def clamp(self, min=None, max=None):
        """Entries below `min` become `min`, above `max` become `max`; their gradient is 0."""
        if min is None and max is None:
            raise ValueError("clamp: expected min, max or both")
        bounds = {"min": _bound(min, "min"), "max": _bound(max, "max")}
        x = _floating(self) if float in map(type, bounds.values()) else self
        return self.record(arithmetic.clamp, (x,), bounds)

    def __matmul__(self, other):
        return matmul(self, other)

    def __rmatmul__(self, other):
        return matmul(self.record(_constant, (np.asarray(_operand(self, other)),), {}), self)

    matmul = __matmul__

    def __getitem__(self, key):
        return self.record(shape.index, (self,), {"key": _plain_key(key)})

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def reshape(self, *sizes):
        return self.record(shape.reshape, (self,), {"shape": _sizes(self, sizes)})

    view = reshape

    def flatten(self, start_dim=0, end_dim=-1):
        """Join the axes from start_dim to end_dim into one."""
        if not self.ndim:
            return self.reshape(1)
        start, end = _axis(self, start_dim, "flatten"), _axis(self, end_dim, "flatten")
        joined = int(np.prod(self.shape[start : end + 1]))
        return self.reshape(*self.shape[:start], joined, *self.shape[end + 1 :])

    def permute(self, *dims):
        dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
        axes = tuple(_axis(self, d, "permute") for d in dims)
        if sorted(axes) != list(range(self.ndim)):
            raise ShapeError(f"permute{tuple(dims)}: expected each of {self.ndim} axes once")
        return self.record(shape.transpose, (self,), {"axes": axes})

    def transpose(self, dim0, dim1):
        """Exchange two axes."""
        axes = list(range(self.ndim))
        i, j = _axis(self, dim0, "transpose"), _axis(self, dim1, "transpose")
        axes[i], axes[j] = j, i
        return self.record(shape.transpose, (self,), {"axes": tuple(axes)})

    def t(self):
        """The transpose of a matrix."""
        if self.ndim > 2:
            raise ShapeError(f"t: expected a matrix, got shape {self.shape}; use transpose")
        return self.T

    @property
    def T(self):
        return self.record(shape.transpose, (self,), {"axes": tuple(reversed(range(self.ndim)))})

    def squeeze(self, dim=None):
        """Drop axes of length one: all of them, or `dim` alone."""
        drop = range(self.ndim) if dim is None else (_axis(self, dim, "squeeze"),)
        return self.reshape([n for i, n in enumerate(self.shape) if n != 1 or i not in drop])

    def unsqueeze(self, dim):
        """A new axis of length one at position `dim`."""
        at = dim + self.ndim + 1 if dim < 0 else dim
        if not 0 <= at <= self.ndim:
            raise ShapeError(
                f"unsqueeze: expected a position from {-self.ndim - 1} to {self.ndim}, got {dim}"
            )
        return self.reshape(*self.shape[:at], 1, *self.shape[at:])

    def expand(self, *sizes):
        """Broadcast to `sizes`, -1 keeping a length."""
        sizes = list(sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes)
        old = (1,) * (len(sizes) - self.ndim) + self.shape
        fits = len(old) == len(sizes) and all(
            m in (-1, n) or (n == 1 and m >= 0) for n, m in zip(old, sizes, strict=True)
        )
        if not fits or -1 in sizes[: len(sizes) - self.ndim]:
            raise ShapeError(f"expand{tuple(sizes)}: shape {self.shape} does not broadcast to it")
        sizes = [n if m == -1 else m for n, m in zip(old, sizes, strict=True)]
        return self.record(arithmetic.expand, (self,), {"shape": tuple(sizes)})

    def sum(self, dim=None, keepdim=False):
        return self.record(reduction.sum, (self,), _over(self, dim, keepdim, "sum"))

    def mean(self, dim=None, keepdim=False):
        return reduction.mean(self, reduction.axes_of(self.data, dim, "mean"), keepdim)

    def var(self, dim=None, correction=1, keepdim=False):
        """sum((x - mean)^2) / (n - correction); correction=1 is the unbiased estimate."""
        axes = reduction.axes_of(self.data, dim, "var")
        centred = self - self.mean(axes, True)
        count = int(np.prod([self.shape[i] for i in axes]))
        return (centred * centred).sum(axes, keepdim) / max(count - correction, 0)

    def std(self, dim=None, correction=1, keepdim=False):
        return self.var(dim, correction, keepdim).sqrt()

    def amax(self, dim=None, keepdim=False):
        """The largest entry; a tie shares the gradient evenly."""
        return self.record(reduction.amax, (self,), _over(self, dim, keepdim, "amax"))

    def amin(self, dim=None, keepdim=False):
        """The smallest entry; a tie shares the gradient evenly."""
        return self.record(reduction.amin, (self,), _over(self, dim, keepdim, "amin"))

    def argmax(self, dim=None, keepdim=False):
        return self._position(np.argmax, dim, keepdim)

    def argmin(self, dim=None, keepdim=False):
        return self._position(np.argmin, dim, keepdim)

    def _position(self, function, dim, keepdim):
        if dim is not None:
            _axis(self, dim, function.__name__)
        if not self.data.size:
            raise ShapeError(f"{function.__name__}: expected an entry, got shape {self.shape}")
        return self.record(
            Op(function.__name__, function, ()), (self,), {"axis": dim, "keepdims": keepdim}
        )

    def softmax(self, dim):
        return _last_axis(loss.softmax, self, dim)

    def log_softmax(self, dim):
        return _last_axis(loss.log_softmax, self, dim)

    def to(self, dtype):
        """This tensor with another dtype, or on another device; itself if nothing changes."""
        if isinstance(dtype, str) and dtype.split(":")[0] in ("cpu", "cuda"):
            return _on_device(self, dtype)
        dtype = as_dtype(dtype, "to")
        if dtype == self.data.dtype:
            return self
        return self.record(shape.cast, (self,), {"dtype": dtype})

    def float(self):
        return self.to(np.float32)

    def double(self):
        return self.to(np.float64)

    def long(self):
        return self.to(np.int64)

    def bool(self):
        return self.to(np.bool_)

    def clone(self):
        """A copy that gradients flow through."""
        return self.record(shape.clone, (self,), {})

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self):
        return self.ndim

    def numel(self):
        return self.data.size


def _bound(value, name):
    """A bound of clamp as a Python number, which does not widen the dtype."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        return value.item()
    if value is None or isinstance(value, (int, float)):
        return value
    raise TypeError(f"clamp: {name}: expected a number, got {type(value).__name__}; use maximum")


_constant = Op("constant", lambda x: x, ())


def matmul(a, b):
    """The matrix product; a vector counts as a row on the left and as a column on the right."""
    if not hasattr(b, "record"):
        b = a.record(_constant, (np.asarray(_operand(a, b)),), {})
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: expected at least one axis each, got {a.shape} and {b.shape}")
    a, b = _meet(a, b)
    row, column = a.ndim == 1, b.ndim == 1
    left = a.unsqueeze(0) if row else a
    right = b.unsqueeze(1) if column else b
    out = a.record(linear.matmul, (left, right), {})
    if column:
        out = out.reshape(out.shape[:-1])
    return out.reshape((*out.shape[: -2 + column], *out.shape[-1:][: 1 - column])) if row else out


def _on_device(x, device):
    if device.startswith("cuda"):
        from .errors import DeviceError

        raise DeviceError(f"to({device!r}): this build of microreg computes on the CPU only")
    return x


def _last_axis(op, x, dim):
    """Apply an op that works along the last axis along axis `dim`."""
    axis = _axis(x, dim, op.name)
    if axis == x.ndim - 1:
        return x.record(op, (x,), {})
    return x.record(op, (x.transpose(axis, -1),), {}).transpose(axis, -1)


def _over(x, dim, keepdim, who):
    return {"axes": reduction.axes_of(x.data, dim, who), "keepdims": bool(keepdim)}


def _axis(x, dim, who):
    if not -x.ndim <= dim < x.ndim:
        raise ShapeError(f"{who}: expected an axis from {-x.ndim} to {x.ndim - 1}, got {dim}")
    return dim % x.ndim


def _sizes(x, sizes):
    """The sizes given to reshape, with at most one -1 worked out."""
    sizes = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes
    sizes = tuple(int(n) for n in sizes)
    known = int(np.prod([n for n in sizes if n != -1]))
    free = sizes.count(-1)
    fits = x.data.size == known if free == 0 else known and x.data.size % known == 0
    if free > 1 or not fits or min(sizes, default=0) < -1:
        raise ShapeError(f"reshape{sizes}: {x.data.size} entries of shape {x.shape} do not fit")
    return tuple(x.data.size // known if n == -1 else n for n in sizes)


def _plain_key(key):
    """An index with arrays in place of tensors."""
    if isinstance(key, tuple):
        return tuple(_plain_key(k) for k in key)
    if hasattr(key, "record"):
        return key.data
    return np.asarray(key) if isinstance(key, list) else key
