"""Sequences of different lengths."""

import numpy as np

from ...errors import ShapeError
from ...functional import cat, stack
from ...tensor import Tensor


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences (length, ...) of different lengths in one tensor (longest, n, ...), padded.

    (n, longest, ...) with batch_first. Padding goes behind each sequence, or before it if
    padding_side is "left".
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence(padding_side={padding_side!r}): expected 'left' or 'right'")
    sequences = [x if isinstance(x, Tensor) else Tensor(x) for x in sequences]
    if not sequences:
        raise ShapeError("pad_sequence: expected at least one sequence")
    rest = sequences[0].shape[1:]
    if any(not x.ndim or x.shape[1:] != rest for x in sequences):
        raise ShapeError(
            "pad_sequence: expected sequences (length, ...) alike but for their length, got shapes "
            f"{[x.shape for x in sequences]}"
        )
    longest = max(len(x) for x in sequences)
    return stack(
        [_padded(x, longest, padding_value, padding_side) for x in sequences],
        0 if batch_first else 1,
    )


def _padded(x, length, value, side):
    if len(x) == length:
        return x
    pad = Tensor(np.full((length - len(x), *x.shape[1:]), value, x.dtype))
    return cat([x, pad] if side == "right" else [pad, x])
