"""The signature of a kernel, as one line of text.

    "x[n,d] weight[d] labels:int64[n] -> out[n,d] mean:float64[n]; eps count:int64 start"

Arrays first, each with its dimensions; those after the arrow are written. After the semicolon the
scalars. Everything has the kernel's element type (float32 or float64) unless it names another.
A dimension is a name, a number, or `blocks`: one row for each block of the split dimension.
Reserved scalars are filled in by the entry, not by the caller: `start`, the index of the block's
first row; `tid` and `nt`, this thread and how many there are; `row`, the address of the arguments.
"""

import re
from typing import NamedTuple

ELEMENT = "T"
RESERVED = ("start", "tid", "nt", "row")
_ARRAY = re.compile(r"(\w+)(?::(\w+))?\[([\w,]*)\]$")


class ArraySpec(NamedTuple):
    name: str
    dtype: str
    dims: tuple[str, ...]
    written: bool


class ScalarSpec(NamedTuple):
    name: str
    dtype: str


class Signature:
    """A parsed signature. `row` order: array addresses, scalars, sizes of the named dimensions."""

    def __init__(self, text):
        arrays, _, scalars = text.partition(";")
        read, _, written = arrays.partition("->")
        self.arrays = [self._array(t, False) for t in read.split()]
        self.arrays += [self._array(t, True) for t in written.split()]
        names = [t.partition(":") for t in scalars.split()]
        self.reserved = [n for n, _, _ in names if n in RESERVED]
        self.scalars = [ScalarSpec(n, t or ELEMENT) for n, _, t in names if n not in RESERVED]
        self.dims = []  # (name, index of an array that has it, axis)
        seen = set()
        for i, array in enumerate(self.arrays):
            for axis, dim in enumerate(array.dims):
                if not dim.isdigit() and dim != "blocks" and dim not in seen:
                    seen.add(dim)
                    self.dims.append((dim, i, axis))
        self.names = [a.name for a in self.arrays] + [n for n, _, _ in names]

    @staticmethod
    def _array(text, written):
        match = _ARRAY.match(text)
        if match is None:
            raise SyntaxError(f"kernel signature: expected name[dims], got {text!r}")
        name, dtype, dims = match.groups()
        return ArraySpec(name, dtype or ELEMENT, tuple(dims.split(",")) if dims else (), written)

    def slot(self, dim):
        """Where the size of dimension `dim` lies in a row."""
        names = [name for name, _, _ in self.dims]
        return len(self.arrays) + len(self.scalars) + names.index(dim)
