"""The operators of Tensor, and how methods are made from ops."""

from ..errors import DTypeError
from ..graph import Value, operator
from ..ops import arithmetic, elementary
from ._meeting import NUMBERS, floating, meet, operand
from .products import matmul, rmatmul


def _matched(self, other, whole):
    """Tensor and operand in the dtype where they meet; without `whole` in a floating one."""
    self, other = meet(self, operand(self, other))
    return (self, other) if whole or self.data.dtype.kind == "f" else meet(floating(self), other)


def numbers(who, self, other):
    """Both, unless they are bools, which have no //, % and **."""
    if self.data.dtype.kind == "b":
        raise DTypeError(f"{who}: expected numbers, got bools; use .long()")
    return self, other


def binary(op, whole=True, bools=True):
    """The methods of an operator and of its reflection."""

    def matched(self, other):
        inputs = _matched(self, other, whole)
        return inputs if bools else numbers(op.name, *inputs)

    def other_cases(self, other):
        if not isinstance(other, (Value, *NUMBERS)):
            return NotImplemented
        return self.record(op, matched(self, other), {})

    def reflected(self, other):
        if (type(other) is not float and type(other) is not int) or self.data.dtype.kind != "f":
            if not isinstance(other, NUMBERS):
                return NotImplemented
            self, other = matched(self, other)
        return self.record(op, (other, self), {})

    return operator(op, other_cases, not (whole and bools)), reflected


def compare(op):
    """The method of a comparison."""

    def method(self, other):
        if not isinstance(other, (Value, *NUMBERS)):
            return NotImplemented
        return self.record(op, meet(self, operand(self, other)), {})

    return method


def unary(op, doc=None, whole=False):
    """The method of a function of one tensor; without `whole` integers are made floating first."""

    def method(self):
        if not whole and self.data.dtype.kind != "f":
            self = floating(self)
        return self.record(op, (self,), {})

    method.__name__, method.__doc__ = op.name, doc
    return method


class Operators:
    """+, -, *, ... and the comparisons."""

    __slots__ = ()
    __hash__ = object.__hash__

    __add__, __radd__ = binary(arithmetic.add)
    __sub__, __rsub__ = binary(arithmetic.sub)
    __mul__, __rmul__ = binary(arithmetic.mul)
    __truediv__, __rtruediv__ = binary(arithmetic.div, whole=False)
    __floordiv__, __rfloordiv__ = binary(elementary.floor_divide, bools=False)
    __mod__, __rmod__ = binary(elementary.remainder, bools=False)
    __pow__, __rpow__ = binary(arithmetic.power, bools=False)
    __and__, __rand__ = binary(elementary.bit_and)
    __or__, __ror__ = binary(elementary.bit_or)
    __xor__, __rxor__ = binary(elementary.bit_xor)

    __eq__ = eq = compare(arithmetic.equal)
    __ne__ = ne = compare(arithmetic.not_equal)
    __lt__ = lt = compare(arithmetic.less)
    __le__ = le = compare(arithmetic.less_equal)
    __gt__ = gt = compare(arithmetic.greater)
    __ge__ = ge = compare(arithmetic.greater_equal)

    __matmul__, __rmatmul__ = matmul, rmatmul
    __neg__ = unary(arithmetic.neg, whole=True)
    __abs__ = unary(arithmetic.abs, whole=True)

    def __pos__(self):
        return self

    def __invert__(self):
        """Not, of bools; of integers the bits turned over."""
        flipped = True if self.data.dtype.kind == "b" else -1
        return self ^ flipped
