"""What a kernel's line in the registry is, and where its numbers come from.

    Entry(name, kernel, make, small, large)

make(draw, n) gives the arguments of a launch, n being the size of the dimension along which the
work is split: `small` is one block and quickly interpreted, `large` is several blocks.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from microreg.kernels._jit import Kernel

from .running import garbage


class Draw:
    """A source of arrays, of one dtype unless asked for another."""

    def __init__(self, dtype, seed=31):
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(seed)

    def real(self, *shape, mean=0.0, dtype=None):
        return (self.rng.normal(size=shape) + mean).astype(dtype or self.dtype)

    def positive(self, *shape, dtype=None):
        return self.rng.uniform(0.2, 2.0, shape).astype(dtype or self.dtype)

    def integers(self, low, high, *shape, dtype=np.int64):
        return self.rng.integers(low, high, shape).astype(dtype)

    def numbers(self, *values):
        return np.array(values, self.dtype)

    def new(self, *shape, dtype=None):
        """Memory for a result."""
        return garbage(shape, dtype or self.dtype)


class Entry(NamedTuple):
    name: str
    kernel: Kernel
    make: Callable
    small: int
    large: int


def entry(kernel, make, small, large, note=""):
    return Entry(f"{kernel.name} {note}".strip(), kernel, make, small, large)
