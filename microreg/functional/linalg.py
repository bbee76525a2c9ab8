"""Norms of vectors and matrices, as in torch.linalg."""

import math

from ..errors import ShapeError
from ..methods.reduction import vector_norm as _vector_norm
from ._inputs import a_tensor


def vector_norm(x, ord=2, dim=None, keepdim=False):
    """(sum |x|^ord)^(1/ord) over the axes `dim`, all if there are none given.

    ord inf and -inf are the largest and the smallest |x|, 0 counts what is not 0. Where the norm
    is 0 its gradient is 0; at several largest entries it is shared evenly.
    """
    return _vector_norm(a_tensor(x, "vector_norm", "x"), ord, dim, keepdim, "vector_norm")


def norm(A, ord=None, dim=None, keepdim=False):
    """`vector_norm` along one `dim`, or of all entries; a matrix norm over two.

    Matrix norms: "fro" the root of the sum of squares, 1 and -1 the largest and the smallest sum
    of |a| in a column, inf and -inf in a row. Without ord it is the root of the sum of squares.
    """
    A = a_tensor(A, "norm", "A")
    if ord is None:
        return vector_norm(A, 2, dim, keepdim)
    axes = range(A.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if len(axes) == 1 or (ord != "fro" and len(axes) == 0):
        return vector_norm(A, ord, dim, keepdim)
    if len(axes) != 2:
        raise ShapeError(f"norm(ord={ord!r}): expected one or two axes, got {len(axes)}; give dim")
    if ord == "fro":
        return vector_norm(A, 2, tuple(axes), keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(
            f"norm(ord={ord!r}): expected 'fro', 1, -1, inf or -inf for a matrix; singular "
            "values have no gradient here"
        )
    rows, columns = (i % A.ndim for i in axes)
    summed, left = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = abs(A).sum(summed, True)
    out = sums.amax(left, True) if ord > 0 else sums.amin(left, True)
    return out if keepdim else out.squeeze((rows, columns))
