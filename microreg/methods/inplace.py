"""What changes a tensor's numbers where they lie.

None of it is recorded: a tensor that requires a gradient is changed within `no_grad` alone. The
graph does not notice the change, so a backward pass through what was computed before it sees the
new numbers. x += y and the like outside `no_grad` are x = x + y where a gradient is asked, as long
as x is no leaf.
"""

import functools

import numpy as np

from ..dtypes import as_array
from ..errors import DTypeError, GraphError, ShapeError
from ..grad_mode import is_grad_enabled
from ..graph import Value
from ..runtime.remote import home_of, homes, recorder
from ..runtime.strided import overwrite
from .choice import plain_key
from .elementwise import Elementwise
from .operators import Operators

KINDS = "bif"  # bool, integer, float: a higher kind does not fit in a lower one


def _asked(*inputs):
    """Whether a gradient may be asked of one of them."""
    return is_grad_enabled() and any(getattr(x, "requires_grad", False) for x in inputs)


def _refuse_recorded(x, who, *others):
    """Raise where a change would have to be recorded."""
    if not _asked(x, *others):
        return
    if x.requires_grad and x._node is None:
        raise GraphError(
            f"{who}: this tensor is a leaf that requires a gradient; change it within no_grad()"
        )
    raise GraphError(
        f"{who}: a change in place is not recorded; make a new tensor (where, cat, stack, "
        "masked_fill, x = x + y), or change it within no_grad()"
    )


def _own(x):
    """Let x, if it was made within the step that is being recorded, be made anew in every run."""
    recording = recorder()
    if recording is not None and id(x.data) in recording.constants:
        x.data = recording.copy(recording.remote(x.data))


def _write(x, value, who):
    """Overwrite the numbers of x with those of a tensor, whose shape broadcasts to that of x."""
    if value.shape != x.shape:
        try:
            value = value.expand(x.shape)
        except ShapeError:
            raise ShapeError(f"{who}: expected shape {x.shape}, got {value.shape}") from None
    overwrite(x.data, value.data)
    return x


def _changed(who, function):
    """The method that overwrites a tensor with what a function makes of it and its arguments."""

    @functools.wraps(function)
    def method(self, *args, **options):
        _refuse_recorded(self, who, *args)
        made = function(self, *args, **options)
        if made is NotImplemented:
            raise TypeError(f"{who}: unsupported operand {type(args[0]).__name__}")
        if KINDS.index(made.dtype.kind) > KINDS.index(self.dtype.kind):
            raise DTypeError(f"{who}: a result of {made.dtype} does not fit {self.dtype}")
        _own(self)
        return _write(self, made.detach().to(self.dtype), who)

    method.__name__, method.__doc__ = who, f"{who[:-1]}, in place."
    return method


def _operator(who, function):
    """x += y: in place, or recorded like x = x + y where that asks for a gradient."""
    change = _changed(who, function)

    def method(self, other):
        if _asked(self, other) and not (self.requires_grad and self._node is None):
            return function(self, other)
        return change(self, other)

    return method


class InPlace:
    """What changes a tensor where it lies."""

    __slots__ = ()

    add_ = _changed("add_", Elementwise.add)
    sub_ = _changed("sub_", Elementwise.sub)
    mul_ = _changed("mul_", Elementwise.mul)
    div_ = _changed("div_", Elementwise.div)
    clamp_ = _changed("clamp_", Elementwise.clamp)
    masked_fill_ = _changed("masked_fill_", Elementwise.masked_fill)
    fill_ = _changed("fill_", lambda self, value: _number(self, value))
    zero_ = _changed("zero_", lambda self: _number(self, 0))

    __iadd__ = _operator("+=", Operators.__add__)
    __isub__ = _operator("-=", Operators.__sub__)
    __imul__ = _operator("*=", Operators.__mul__)
    __itruediv__ = _operator("/=", Operators.__truediv__)
    __ifloordiv__ = _operator("//=", Operators.__floordiv__)
    __imod__ = _operator("%=", Operators.__mod__)
    __ipow__ = _operator("**=", Operators.__pow__)
    __iand__ = _operator("&=", Operators.__and__)
    __ior__ = _operator("|=", Operators.__or__)
    __ixor__ = _operator("^=", Operators.__xor__)

    def __setitem__(self, key, value):
        who = "x[...] = value"
        _refuse_recorded(self, who, value)
        key, array = plain_key(key), as_array(value)
        if not homes or home_of((self.data, array)) is None:
            try:
                self.data[key] = array
            except ValueError as error:
                raise ShapeError(f"{who}: {error}") from None
            return
        _own(self)
        if isinstance(key, np.ndarray) and key.dtype == np.bool_ and array.size == 1:
            new = self.detach().masked_fill(key, array.reshape(()))
            _write(self, new, who)
        else:  # of arrays in a key only the numbers could tell the places
            part = Value.made(self.data[key], None)
            _write(part, Value.made(array, None).to(self.dtype), who)


def _number(x, value):
    """A number as a tensor of x's dtype."""
    return Value.made(np.asarray(value, x.dtype), None)
