"""Shapes and the order of entries as methods."""

import numpy as np

from ..errors import ShapeError
from ..ops import arithmetic, shape
from ._meeting import axis, unpacked, whole_sizes


class Shapes:
    """What moves entries and changes none."""

    __slots__ = ()

    def reshape(self, *sizes):
        """The entries, in order, in another shape; one size may be -1."""
        sizes = whole_sizes(self, unpacked(sizes))
        return self.record(shape.reshape, (self,), {"shape": sizes})

    view = reshape

    def flatten(self, start_dim=0, end_dim=-1):
        """Join the axes from start_dim to end_dim into one."""
        if not self.ndim:
            return self.reshape(1)
        start, end = axis(self, start_dim, "flatten"), axis(self, end_dim, "flatten")
        if start > end:
            raise ShapeError(f"flatten({start_dim}, {end_dim}): expected the first axis first")
        joined = int(np.prod(self.shape[start : end + 1]))
        return self.reshape(*self.shape[:start], joined, *self.shape[end + 1 :])

    def permute(self, *dims):
        """The axes in another order."""
        dims = unpacked(dims)
        axes = tuple(axis(self, d, "permute") for d in dims)
        if sorted(axes) != list(range(self.ndim)):
            raise ShapeError(f"permute{dims}: expected each of {self.ndim} axes once")
        return self.record(shape.transpose, (self,), {"axes": axes})

    def transpose(self, dim0, dim1):
        """Exchange two axes."""
        axes = list(range(self.ndim))
        i, j = axis(self, dim0, "transpose"), axis(self, dim1, "transpose")
        if not axes:
            return self
        axes[i], axes[j] = j, i
        return self.record(shape.transpose, (self,), {"axes": tuple(axes)})

    def t(self):
        """The transpose of a matrix."""
        if self.ndim > 2:
            raise ShapeError(f"t: expected a matrix, got shape {self.shape}; use transpose")
        return self.T

    @property
    def T(self):
        """The axes in reverse order."""
        return self.record(shape.transpose, (self,), {"axes": tuple(reversed(range(self.ndim)))})

    @property
    def mT(self):
        """The transpose of each matrix."""
        return self.transpose(-2, -1)

    def squeeze(self, dim=None):
        """Drop axes of length one: all of them, or those of `dim` alone."""
        asked = range(self.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
        drop = {axis(self, d, "squeeze") for d in asked}
        return self.reshape([n for i, n in enumerate(self.shape) if n != 1 or i not in drop])

    def unsqueeze(self, dim):
        """A new axis of length one at position `dim`."""
        at = dim + self.ndim + 1 if dim < 0 else dim
        if not 0 <= at <= self.ndim:
            raise ShapeError(
                f"unsqueeze: expected a position from {-self.ndim - 1} to {self.ndim}, got {dim}"
            )
        return self.reshape(*self.shape[:at], 1, *self.shape[at:])

    def unbind(self, dim=0):
        """The entries along an axis, as a tuple of tensors without it."""
        if not self.ndim:
            raise ShapeError("unbind: expected at least one axis, got a single number")
        at = axis(self, dim, "unbind")
        order = at, *(i for i in range(self.ndim) if i != at)
        return self.record(shape.unbind, (self.permute(order) if at else self,), {})

    def expand(self, *sizes):
        """Broadcast to `sizes`, -1 keeping a length."""
        sizes = unpacked(sizes)
        old = (1,) * (len(sizes) - self.ndim) + self.shape
        fits = len(old) == len(sizes) and all(
            m in (-1, n) or (n == 1 and m >= 0) for n, m in zip(old, sizes, strict=True)
        )
        if not fits or -1 in sizes[: len(sizes) - self.ndim]:
            raise ShapeError(f"expand{sizes}: shape {self.shape} does not broadcast to it")
        whole = tuple(n if m == -1 else m for n, m in zip(old, sizes, strict=True))
        return self.record(arithmetic.expand, (self,), {"shape": whole})

    def broadcast_to(self, size):
        """Broadcast to a shape."""
        return self.expand(size)

    def expand_as(self, other):
        """Broadcast to the shape of another tensor."""
        return self.expand(other.shape)

    def view_as(self, other):
        """The entries, in order, in the shape of another tensor."""
        return self.reshape(other.shape)

    def repeat(self, *sizes):
        """The tensor so many times along each axis, new axes in front."""
        sizes = unpacked(sizes)
        if len(sizes) < self.ndim or min(sizes, default=0) < 0:
            raise ShapeError(
                f"repeat{sizes}: expected a number for each of {self.ndim} axes at least"
            )
        old = (1,) * (len(sizes) - self.ndim) + self.shape
        apart = self.reshape([m for n in old for m in (1, n)])
        spread = apart.expand([m for n, count in zip(old, sizes, strict=True) for m in (count, n)])
        return spread.reshape([n * count for n, count in zip(old, sizes, strict=True)])

    def flip(self, *dims):
        """The order of entries turned round along some axes."""
        axes = [axis(self, d, "flip") for d in unpacked(dims)]
        if len(set(axes)) < len(axes):
            raise ShapeError(f"flip{tuple(dims)}: expected each axis once")
        return shape.flip(self, axes) if self.ndim else self.clone()

    def split(self, split_size, dim=0):
        """Parts of `split_size` along `dim`, the last one smaller; or parts of given sizes."""
        at = axis(self, dim, "split")
        count = self.shape[at] if self.ndim else -1
        if isinstance(split_size, (int, np.integer)):
            if split_size < 1 or count < 0:
                raise ShapeError(f"split({split_size}): expected a size of at least 1 and an axis")
            starts = range(0, max(count, 1), split_size)
            sizes = [min(split_size, count - start) for start in starts]
        else:
            sizes = list(split_size)
            if sum(sizes) != count or min(sizes, default=0) < 0:
                raise ShapeError(f"split({sizes}): expected sizes that add up to {count}")
        ends = np.cumsum(sizes).tolist()
        ahead = (slice(None),) * at
        return tuple(
            self[(*ahead, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True)
        )

    def chunk(self, chunks, dim=0):
        """At most `chunks` parts along `dim`, all but the last of one size."""
        if chunks < 1:
            raise ShapeError(f"chunk({chunks}): expected at least 1 part")
        at = axis(self, dim, "chunk")
        count = self.shape[at] if self.ndim else 0
        if not count:
            return self.split([0] * chunks, dim)
        return self.split(-(-count // chunks), dim)

    def tril(self, diagonal=0):
        """Each matrix without the entries above a diagonal; those above the main one count up."""
        return _triangle(self, "tril", diagonal, False)

    def triu(self, diagonal=0):
        """Each matrix without the entries below a diagonal; those above the main one count up."""
        return _triangle(self, "triu", diagonal - 1, True)


def _triangle(x, who, diagonal, dropped):
    """Zero where np.tri of a diagonal is `dropped`."""
    if x.ndim < 2:
        raise ShapeError(f"{who}: expected at least two axes, got shape {x.shape}")
    return x.masked_fill(np.tri(*x.shape[-2:], diagonal, dtype=bool) == dropped, 0)
