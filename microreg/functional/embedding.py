"""Rows of a table looked up by number."""

import numpy as np

from ..dtypes import as_array
from ..errors import DTypeError
from ..ops import shape as ops
from ..tensor import Tensor
from ._inputs import a_tensor


def embedding(input, weight, padding_idx=None):
    """out[..., j] = weight[input[...], j] for integers input.

    The row padding_idx, if given, gets no gradient.

    Raises
    ------
    IndexError
        If an entry is not the number of a row.
    """
    table, index = a_tensor(weight, "embedding", "weight"), as_array(input)
    if index.dtype.kind not in "iu":
        raise DTypeError(f"embedding: expected integers, got {index.dtype}; use .long()")
    rows = len(table)
    if index.__class__ is np.ndarray and index.size:
        low, high = index.min(), index.max()
        if low < 0 or high >= rows:
            raise IndexError(
                f"embedding: expected numbers from 0 to {rows - 1}, got {low if low < 0 else high}"
            )
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise IndexError(f"embedding(padding_idx={padding_idx}): the table has {rows} rows")
        table = Tensor.record(ops.freeze_row, (table,), {"row": padding_idx % rows})
    return Tensor.record(ops.index, (table,), {"key": index})
