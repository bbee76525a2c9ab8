"""The methods of Tensor by subject: each names an op, its arguments in PyTorch's order."""

from .choice import Choices
from .conversion import Conversions
from .elementwise import Elementwise
from .inplace import InPlace
from .operators import Operators
from .products import Products
from .reduction import Reductions
from .shape import Shapes


class Methods(Operators, Elementwise, Reductions, Products, Shapes, Choices, Conversions, InPlace):
    """Mixed into Tensor; see `functional` for the same as functions."""

    __slots__ = ()
