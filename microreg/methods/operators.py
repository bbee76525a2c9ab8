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


KIND = {"b": "bools", "i": "integers", "f": "floating numbers"}


def of_kind(who, kinds, self, other):
    """Both, if their dtype is of one of the kinds: //, % and ** take no bools, &, | and ^ only
    bools and integers.
    """
    if self.data.dtype.kind not in kinds:
        expected = " or ".join(KIND[k] for k in kinds)
        raise DTypeError(f"{who}: expected {expected}, got {self.data.dtype}")
    return self, other


def binary(op, whole=True, kinds="bif"):
    """The methods of an operator and of its reflection."""

    def matched(self, other):
        return of_kind(op.name, kinds, *_matched(self, other, whole))

    def other_cases(self, other):
        if not isinstance(other, (Value, *NUMBERS)):
            return NotImplemented
        return self.record(op, matched(self, other), {})

    def reflected(self, other):
        number = type(other) is float or type(other) is int
        if not number or self.data.dtype.kind != "f" or "f" not in kinds:
            if not isinstance(other, NUMBERS):
                return NotImplemented
            self, other = matched(self, other)
        return self.record(op, (other, self), {})

    if "f" not in kinds:
        return other_cases, reflected
    return operator(op, other_cases, not whole or "b" not in kinds), reflected


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
    __floordiv__, __rfloordiv__ = binary(elementary.floor_divide, kinds="if")
    __mod__, __rmod__ = binary(elementary.remainder, kinds="if")
    __pow__, __rpow__ = binary(arithmetic.power, kinds="if")
    __and__, __rand__ = binary(elementary.bit_and, kinds="bi")
    __or__, __ror__ = binary(elementary.bit_or, kinds="bi")
    __xor__, __rxor__ = binary(elementary.bit_xor, kinds="bi")

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
