"""Functions of the single entries of tensors; what they do is said at the methods."""

from ..tensor import Tensor
from ._inputs import method

abs = method("abs")
add = method("add")
ceil = method("ceil")
clamp = method("clamp")
cos = method("cos")
cosh = method("cosh")
div = method("div")
erf = method("erf")
exp = method("exp")
expm1 = method("expm1")
floor = method("floor")
floor_divide = method("floor_divide")
isfinite = method("isfinite")
isinf = method("isinf")
isnan = method("isnan")
log = method("log")
log10 = method("log10")
log1p = method("log1p")
log2 = method("log2")
masked_fill = method("masked_fill")
mul = method("mul")
neg = method("neg")
reciprocal = method("reciprocal")
remainder = method("remainder")
round = method("round")
rsqrt = method("rsqrt")
sign = method("sign")
sin = method("sin")
sinh = method("sinh")
sqrt = method("sqrt")
square = method("square")
sub = method("sub")
tan = method("tan")
true_divide = method("true_divide")


def pow(input, exponent):
    """input ** exponent; one of them may be a number."""
    return input**exponent


def maximum(input, other):
    """The larger of the two, entry by entry; at a tie each gets half of the gradient."""
    return input.maximum(other) if isinstance(input, Tensor) else other.maximum(input)


def minimum(input, other):
    """The smaller of the two, entry by entry; at a tie each gets half of the gradient."""
    return input.minimum(other) if isinstance(input, Tensor) else other.minimum(input)


def where(condition, input, other):
    """`input` where the condition holds, `other` elsewhere."""
    return Tensor.where(input, condition, other)
