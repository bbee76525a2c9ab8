"""Matrix products as methods."""

import numpy as np

from ..errors import ShapeError
from ..ops import linear
from ._meeting import constant, meet, operand


def matmul(self, other):
    """The matrix product; a vector counts as a row on the left and as a column on the right."""
    a, b = self, other
    if not hasattr(b, "record"):
        b = a.record(constant, (np.asarray(operand(a, b)),), {})
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: expected at least one axis each, got {a.shape} and {b.shape}")
    if a.data.dtype is not b.data.dtype:
        a, b = meet(a, b)
    row, column = a.ndim == 1, b.ndim == 1
    left = a.unsqueeze(0) if row else a
    right = b.unsqueeze(1) if column else b
    out = a.record(linear.matmul, (left, right), {})
    if column:
        out = out.reshape(out.shape[:-1])
    return out.reshape((*out.shape[: -2 + column], *out.shape[-1:][: 1 - column])) if row else out


def rmatmul(self, other):
    return matmul(self.record(constant, (np.asarray(operand(self, other)),), {}), self)


def _product(who, a, b, *axes):
    """matmul of operands with so many axes, which broadcast nothing."""
    fits = (a.ndim, b.ndim) == axes and a.shape[-1] == b.shape[-min(axes[1], 2)]
    if not fits or (axes == (3, 3) and a.shape[0] != b.shape[0]):
        left, right = ("(k,)", "(m, k)", "(n, m, k)"), ("(k,)", "(k, p)", "(n, k, p)")
        raise ShapeError(
            f"{who}: expected {left[axes[0] - 1]} and {right[axes[1] - 1]}, got {a.shape} and "
            f"{b.shape}"
        )
    return matmul(a, b)


class Products:
    """Products of matrices and vectors."""

    __slots__ = ()

    matmul = matmul

    def mm(self, mat2):
        """The product of two matrices."""
        return _product("mm", self, mat2, 2, 2)

    def bmm(self, mat2):
        """The products of the matrices of two batches of one length."""
        return _product("bmm", self, mat2, 3, 3)

    def mv(self, vec):
        """The product of a matrix and a vector."""
        return _product("mv", self, vec, 2, 1)

    def dot(self, other):
        """The sum of the products of two vectors' entries."""
        return _product("dot", self, other, 1, 1)

    def outer(self, vec2):
        """out[i, j] = self[i] * vec2[j]."""
        if self.ndim != 1 or vec2.ndim != 1:
            raise ShapeError(f"outer: expected two vectors, got {self.shape} and {vec2.shape}")
        return self.unsqueeze(1) * vec2.unsqueeze(0)

    def addmm(self, mat1, mat2, *, beta=1, alpha=1):
        """beta * self + alpha * mat1 @ mat2; with beta 0 self does not count, not even NaN."""
        product = _product("addmm", mat1, mat2, 2, 2)
        product = product if alpha == 1 else product * alpha
        if not beta:
            return product
        return (self if beta == 1 else self * beta) + product
